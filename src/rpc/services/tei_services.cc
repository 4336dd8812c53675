// tei.v1: what text-embeddings-inference's gRPC clients call.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "api/dialect.h"
#include "api/handlers/score_pairs.h"
#include "base/status_macros.h"
#include "rpc/services/reactors.h"
#include "rpc/services/services.h"
#include "tei/v1/tei.pb.h"
#include "transport/body.h"

namespace rerank::rpc {
namespace {

namespace tei = ::tei::v1;

constexpr size_t kMaxTokenizedBytes = 256u << 10;  // at once: others wait for their turn

// Times as means per text, but the first.
void write_metadata(const api::TeiCost& cost, const Timings& timings, tei::Metadata& out) {
  const auto mean_ns = [&](int64_t us) { return static_cast<uint64_t>(us) * 1000 / cost.texts; };
  out.set_compute_chars(static_cast<uint32_t>(cost.characters));
  out.set_compute_tokens(static_cast<uint32_t>(cost.tokens));
  out.set_total_time_ns(static_cast<uint64_t>(timings.total_us) * 1000);
  out.set_tokenization_time_ns(mean_ns(timings.tokenize_us));
  out.set_queue_time_ns(mean_ns(timings.queue_us));
  out.set_inference_time_ns(mean_ns(timings.compute_us));
}

// What the requests that score have in common.
template <class In>
void read_settings(const In& in, RerankRequest& request) {
  if (in.raw_scores()) request.scale = ScoreScale::kLogit;
  request.truncate = in.truncate();
  if (in.truncation_direction() == tei::TRUNCATION_DIRECTION_LEFT) request.truncation_side = TruncationSide::kLeft;
}

void write_ranks(const RerankRequest& request, const RerankResponse& result, bool return_text,
                 tei::RerankResponse& out) {
  api::TeiCost cost{request.documents.size(), 0, result.total_tokens};
  cost.characters = api::count_characters(request.query) * cost.texts;
  for (const std::string& text : request.documents) cost.characters += api::count_characters(text);
  out.mutable_ranks()->Reserve(static_cast<int>(result.results.size()));
  for (const RankedDocument& document : result.results) {
    tei::Rank& rank = *out.add_ranks();
    rank.set_index(static_cast<uint32_t>(document.index));
    rank.set_score(document.score);
    if (return_text) rank.set_text(request.documents[document.index]);
  }
  write_metadata(cost, result.timings, *out.mutable_metadata());
}

// Ranks `request`, whose texts have not been counted yet, into `out`.
void rank(RpcCall& call, RerankRequest&& request, bool return_text, tei::RerankResponse& out, const RpcDone& done) {
  RpcCore& core = call.core();
  if (Status count = transport::check_count("texts", request.documents.size(), core.options.max_documents);
      !count.ok()) {
    return done(count);
  }
  auto chosen = call.choose(request.query);
  if (!chosen.ok()) return done(chosen.status());
  const auto shared = std::make_shared<const RerankRequest>(std::move(request));
  Reranker& reranker = **chosen;
  reranker.submit(shared, [&call, &core, shared, return_text, &out, done,
                           model = *std::move(chosen)](Result<RerankResponse> result) {
    if (result.ok()) {
      call.note_ranked(*result);
      call.note_model(model->info());
    }
    core.write(done, [shared, return_text, &out, result = std::move(result)] {
      if (result.ok()) write_ranks(*shared, *result, return_text, out);
      return result.status();
    });
  });
}

void rerank(RpcCall& call, const tei::RerankRequest& in, tei::RerankResponse& out, const RpcDone& done) {
  Result<RerankRequest> request = call.request();
  if (!request.ok()) return done(request.status());
  request->query = in.query();
  request->documents.assign(in.texts().begin(), in.texts().end());
  read_settings(in, *request);
  rank(call, *std::move(request), in.return_text(), out, done);
}

// Texts come one by one and are ranked when all are there.
class RankStream : public StreamReactor<tei::RerankStreamRequest> {
 public:
  using StreamReactor::StreamReactor;

 private:
  void on_message(std::shared_ptr<transport::MemoryHold> memory) override {
    if (const Status status = take(std::move(memory)); !status.ok()) fail(status);
  }

  Status take(std::shared_ptr<transport::MemoryHold> memory) {
    if (held_.empty()) {
      ASSIGN_OR_RETURN(request_, call().request());
      request_.query = in().query();
      return_text_ = in().return_text();
      read_settings(in(), request_);
    }
    held_.push_back(std::move(memory));
    bytes_ += in().ByteSizeLong();
    request_.documents.push_back(std::move(*in().mutable_text()));
    const RpcCore& core = call().core();
    RETURN_IF_ERROR(transport::check_count("texts", request_.documents.size(), core.options.max_documents));
    return bytes_ > core.max_message_bytes ? too_much_text() : ok_status();
  }

  void on_end() override {
    if (held_.empty()) return fail(transport::make_error(transport::ErrorKind::kEmpty, "`texts` cannot be empty"));
    begin_work();
    const RpcDone done = [this](const Status& status) {
      const Status sent = status.ok() ? guarded([&] { send(out_); }) : status;
      out_.Clear();
      end_work(1, sent);
    };
    handle_guarded(done, [&](const RpcDone& once) { rank(call(), std::move(request_), return_text_, out_, once); });
  }

  RerankRequest request_;
  tei::RerankResponse out_;
  std::vector<std::shared_ptr<transport::MemoryHold>> held_;  // of all messages
  size_t bytes_ = 0;
  bool return_text_ = false;
};

void predict_pair(RpcCall& call, const tei::PredictPairRequest& in, tei::PredictResponse& out, const RpcDone& done) {
  if (in.inputs_size() != 2) {
    return done(transport::make_error(transport::ErrorKind::kInvalid, "`inputs` must be a pair: query and text"));
  }
  Result<RerankRequest> request = call.request();
  if (!request.ok()) return done(request.status());
  read_settings(in, *request);
  RpcCore& core = call.core();
  api::TeiCost cost{1, api::count_characters(in.inputs(0)) + api::count_characters(in.inputs(1)), 0};
  auto chosen = call.choose(in.inputs(0));
  if (!chosen.ok()) return done(chosen.status());
  Reranker& reranker = **chosen;
  api::score_pairs(
      reranker, *request, {.queries = {in.inputs(0)}, .documents = {in.inputs(1)}},
      [&call, &core, &out, done, cost, model = *std::move(chosen)](Result<api::PairScores> result) mutable {
        if (result.ok()) {
          call.note_ranked(result->whole);
          call.note_model(model->info());
        }
        core.write(done, [model, &out, cost, result = std::move(result)]() mutable {
          RETURN_IF_ERROR(result.status());
          tei::Prediction& prediction = *out.add_predictions();
          prediction.set_score(result->scores[0]);
          prediction.set_label(model->info().label);
          cost.tokens = result->whole.total_tokens;
          write_metadata(cost, result->whole.timings, *out.mutable_metadata());
          return ok_status();
        });
      });
}

void predict_single(RpcCall&, const tei::PredictRequest&, tei::PredictResponse&, const RpcDone& done) {
  done(transport::make_error(transport::ErrorKind::kInvalid, "this model scores pairs: call PredictPair or Rerank"));
}

void add_token(std::string_view text, const Token& token, tei::EncodeResponse& out) {
  tei::SimpleToken& made = *out.add_tokens();
  made.set_id(static_cast<uint32_t>(token.id));
  made.set_special(token.special);
  if (const auto& place = token.place) {
    made.set_text(repair_text(text.substr(place->begin, place->end - place->begin), false));
    made.set_start(static_cast<uint32_t>(place->begin));
    made.set_stop(static_cast<uint32_t>(place->end));
  } else {
    made.set_text(repair_text(token.text, false));
  }
}

// Of an answer: a byte may be several tokens, where a normalizer writes characters out.
constexpr size_t kMostTokens = 256u << 10, kUncountedTokens = 4096;
constexpr size_t kBytesPerToken = 160;  // as a message in memory, and as it is sent

void encode(RpcCall& call, const tei::EncodeRequest& in, tei::EncodeResponse& out, const RpcDone& done) {
  const std::string& text = in.inputs();
  if (text.empty()) return done(transport::make_error(transport::ErrorKind::kEmpty, "`inputs` cannot be empty"));
  if (text.size() > kMaxTokenizedBytes) {
    return done(
        transport::make_error(transport::ErrorKind::kInvalid, "`inputs` is larger than 256 KiB: send less at once"));
  }
  // The message is not there any more when its turn comes: a stream has read the next one.
  RpcCore& core = call.core();
  auto chosen = call.choose("", {}, /*wait=*/false);
  if (!chosen.ok()) return done(chosen.status());
  core.run(core.tokenizers, done,
           [&call, model = *std::move(chosen), &out, text, special = in.add_special_tokens()]() -> Status {
             const std::vector<Token> tokens = model->tokenize(text, special);
             if (tokens.size() > kMostTokens) {
               return transport::make_error(transport::ErrorKind::kBodyTooLarge,
                                            "`inputs` comes to more than 262,144 tokens: send less at once");
             }
             if (tokens.size() > kUncountedTokens) RETURN_IF_ERROR(call.keep(tokens.size() * kBytesPerToken));
             for (const Token& token : tokens) add_token(text, token, out);
             return ok_status();
           });
}

void decode(RpcCall& call, const tei::DecodeRequest& in, tei::DecodeResponse& out, const RpcDone& done) {
  if (in.ids().empty()) return done(transport::make_error(transport::ErrorKind::kEmpty, "`ids` cannot be empty"));
  if (static_cast<size_t>(in.ids_size()) > kMaxTokenizedBytes) {
    return done(
        transport::make_error(transport::ErrorKind::kInvalid, "`ids` holds more than 262,144 ids: send less at once"));
  }
  std::vector<int32_t> ids;
  for (const uint32_t id : in.ids()) ids.push_back(id <= INT32_MAX ? static_cast<int32_t>(id) : -1);
  RpcCore& core = call.core();
  auto chosen = call.choose("", {}, /*wait=*/false);
  if (!chosen.ok()) return done(chosen.status());
  core.run(core.tokenizers, done,
           [model = *std::move(chosen), &out, ids = std::move(ids), skip = in.skip_special_tokens()]() -> Status {
             const Result<std::string> text = model->decode(ids, skip);
             if (text.ok()) out.set_text(repair_text(*text, false));
             return text.status();
           });
}

void describe(RpcCall& call, const tei::InfoRequest&, tei::InfoResponse& out, const RpcDone& done) {
  const auto chosen = call.choose("", {}, /*wait=*/false);
  if (!chosen.ok()) return done(chosen.status());
  const ModelInfo& model = (*chosen)->info();
  const api::ApiOptions& options = call.core().options;
  out.set_version(RERANKD_VERSION);
  out.set_model_id(model.id);
  out.set_model_dtype(model.precision);
  out.set_model_type(tei::MODEL_TYPE_RERANKER);
  out.set_max_concurrent_requests(static_cast<uint32_t>(options.max_connections));
  out.set_max_input_length(static_cast<uint32_t>(model.max_length));
  out.set_max_batch_tokens(static_cast<uint32_t>(options.max_batch_tokens));
  out.set_max_client_batch_size(static_cast<uint32_t>(options.max_documents));
  out.set_tokenization_workers(static_cast<uint32_t>(options.tokenizer_threads ? options.tokenizer_threads
                                                                               : std::max<size_t>(model.threads, 1)));
  done(ok_status());
}

}  // namespace

std::vector<Method> tei_methods() {
  using tei::DecodeRequest, tei::DecodeResponse, tei::EncodeRequest, tei::EncodeResponse;
  using tei::PredictPairRequest, tei::PredictRequest, tei::PredictResponse;
  return {{"tei.v1.Info/Info", unary<tei::InfoRequest, tei::InfoResponse>(describe)},
          {"tei.v1.Rerank/Rerank", unary<tei::RerankRequest, tei::RerankResponse>(rerank)},
          {"tei.v1.Rerank/RerankStream", stream<RankStream>()},
          {"tei.v1.Predict/Predict", unary<PredictRequest, PredictResponse>(predict_single)},
          {"tei.v1.Predict/PredictPair", unary<PredictPairRequest, PredictResponse>(predict_pair)},
          {"tei.v1.Predict/PredictStream", ordered_stream<PredictRequest, PredictResponse>(predict_single)},
          {"tei.v1.Predict/PredictPairStream", ordered_stream<PredictPairRequest, PredictResponse>(predict_pair)},
          {"tei.v1.Tokenize/Tokenize", unary<EncodeRequest, EncodeResponse>(encode)},
          {"tei.v1.Tokenize/Decode", unary<DecodeRequest, DecodeResponse>(decode)},
          {"tei.v1.Tokenize/TokenizeStream", ordered_stream<EncodeRequest, EncodeResponse>(encode)},
          {"tei.v1.Tokenize/DecodeStream", ordered_stream<DecodeRequest, DecodeResponse>(decode)}};
}

}  // namespace rerank::rpc
