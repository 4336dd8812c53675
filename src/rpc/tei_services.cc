// tei.v1: what text-embeddings-inference's gRPC clients call.
#include <algorithm>
#include <string>
#include <utility>

#include "api/dialect.h"
#include "api/handlers/score_pairs.h"
#include "base/status_macros.h"
#include "rpc/reactors.h"
#include "rpc/services.h"
#include "tei/v1/tei.grpc.pb.h"
#include "transport/body.h"

namespace rerank::rpc {
namespace {

namespace tei = ::tei::v1;
using Context = grpc::CallbackServerContext;

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
  request.scale = in.raw_scores() ? ScoreScale::kLogit : ScoreScale::kSigmoid;
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

// Texts come one by one and are ranked when all are there.
class RankStream : public grpc::ServerReadReactor<tei::RerankStreamRequest> {
 public:
  RankStream(RpcCore& core, Context& context, tei::RerankResponse& out)
      : call_(core, context, "tei.v1.Rerank/RerankStream"), out_(out) {}

  void start() {
    Status admitted = call_.admit();
    if (admitted.ok()) {
      Result<RerankRequest> request = call_.request();
      admitted = request.status();
      if (request.ok()) request_ = *std::move(request);
    }
    admitted.ok() ? read() : end(admitted);
  }

 private:
  void read() {
    call_.begin_receiving();
    StartRead(&in_);
  }
  void OnReadDone(bool ok) override {
    call_.end_receiving();
    if (call_.cancelled()) return end(absl::CancelledError("the call was cancelled"));
    if (!ok) {
      return handle_guarded([this](const Status& status) { end(status); },
                            [&](const RpcDone& done) { rank(call_, std::move(request_), return_text_, out_, done); });
    }
    if (const Status status = guarded([&] { return take(); }); !status.ok()) return end(status);
    read();
  }
  Status take() {
    if (request_.documents.empty()) {
      request_.query = in_.query();
      return_text_ = in_.return_text();
      read_settings(in_, request_);
    }
    bytes_ += in_.ByteSizeLong();
    ASSIGN_OR_RETURN(auto held, call_.hold(bytes_));
    memory_ = std::move(held);
    request_.memory = memory_;
    request_.documents.push_back(std::move(*in_.mutable_text()));
    in_ = {};  // gives back what else was in it
    const size_t count = request_.documents.size(), limit = call_.core().options.max_documents;
    RETURN_IF_ERROR(transport::check_count("texts", count, limit));
    return bytes_ > call_.core().max_message_bytes ? too_much_text() : ok_status();
  }
  void OnCancel() override { call_.cancel(); }
  void OnDone() override { delete this; }
  void end(const Status& status) { Finish(call_.finish(status)); }

  RpcCall call_;
  tei::RerankResponse& out_;
  tei::RerankStreamRequest in_;
  RerankRequest request_;
  std::shared_ptr<transport::MemoryHold> memory_;
  size_t bytes_ = 0;
  bool return_text_ = false;
};

class RerankService : public tei::Rerank::CallbackService {
 public:
  explicit RerankService(RpcCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* Rerank(Context* context, const tei::RerankRequest* in, tei::RerankResponse* out) override {
    return (new UnaryReactor(core_, *context, "tei.v1.Rerank/Rerank"))
        ->run(in->ByteSizeLong(), [&](RpcCall& call, const RpcDone& done) {
          Result<RerankRequest> request = call.request();
          if (!request.ok()) return done(request.status());
          request->query = in->query();
          request->documents.assign(in->texts().begin(), in->texts().end());
          read_settings(*in, *request);
          rank(call, *std::move(request), in->return_text(), *out, done);
        });
  }

  grpc::ServerReadReactor<tei::RerankStreamRequest>* RerankStream(Context* context, tei::RerankResponse* out) override {
    auto* stream = new RankStream(core_, *context, *out);
    stream->start();
    return stream;
  }

 private:
  RpcCore& core_;
};

void predict_pair(RpcCall& call, const tei::PredictPairRequest& in, tei::PredictResponse& out, RpcDone done) {
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
  api::score_pairs(reranker, *request, {.queries = {in.inputs(0)}, .documents = {in.inputs(1)}},
                   [&call, &core, &out, done = std::move(done), cost,
                    model = *std::move(chosen)](Result<api::PairScores> result) mutable {
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
    made.set_text(transport::repair_text(text.substr(place->begin, place->end - place->begin), false));
    made.set_start(static_cast<uint32_t>(place->begin));
    made.set_stop(static_cast<uint32_t>(place->end));
  } else {
    made.set_text(transport::repair_text(token.text, false));
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
             if (text.ok()) out.set_text(transport::repair_text(*text, false));
             return text.status();
           });
}

// A method with one message each way, and a stream of the same.
template <class In, class Out, class Handle>
grpc::ServerUnaryReactor* unary(RpcCore& core, Context& context, const char* method, const In& in, Out& out,
                                Handle handle) {
  return (new UnaryReactor(core, context, method))->run(in.ByteSizeLong(), [&](RpcCall& call, const RpcDone& done) {
    handle(call, in, out, done);
  });
}

template <class In, class Out, class Handle>
grpc::ServerBidiReactor<In, Out>* stream(RpcCore& core, Context& context, const char* method, Handle handle) {
  auto* reactor = new OrderedStream<In, Out>(core, context, method, handle);
  reactor->start();
  return reactor;
}

class PredictService : public tei::Predict::CallbackService {
 public:
  explicit PredictService(RpcCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* Predict(Context* context, const tei::PredictRequest* in,
                                    tei::PredictResponse* out) override {
    return unary(core_, *context, "tei.v1.Predict/Predict", *in, *out, predict_single);
  }
  grpc::ServerUnaryReactor* PredictPair(Context* context, const tei::PredictPairRequest* in,
                                        tei::PredictResponse* out) override {
    return unary(core_, *context, "tei.v1.Predict/PredictPair", *in, *out, predict_pair);
  }
  grpc::ServerBidiReactor<tei::PredictRequest, tei::PredictResponse>* PredictStream(Context* context) override {
    return stream<tei::PredictRequest, tei::PredictResponse>(core_, *context, "tei.v1.Predict/PredictStream",
                                                             predict_single);
  }
  grpc::ServerBidiReactor<tei::PredictPairRequest, tei::PredictResponse>* PredictPairStream(Context* context) override {
    return stream<tei::PredictPairRequest, tei::PredictResponse>(core_, *context, "tei.v1.Predict/PredictPairStream",
                                                                 predict_pair);
  }

 private:
  RpcCore& core_;
};

class TokenizeService : public tei::Tokenize::CallbackService {
 public:
  explicit TokenizeService(RpcCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* Tokenize(Context* context, const tei::EncodeRequest* in,
                                     tei::EncodeResponse* out) override {
    return unary(core_, *context, "tei.v1.Tokenize/Tokenize", *in, *out, encode);
  }
  grpc::ServerUnaryReactor* Decode(Context* context, const tei::DecodeRequest* in, tei::DecodeResponse* out) override {
    return unary(core_, *context, "tei.v1.Tokenize/Decode", *in, *out, decode);
  }
  grpc::ServerBidiReactor<tei::EncodeRequest, tei::EncodeResponse>* TokenizeStream(Context* context) override {
    return stream<tei::EncodeRequest, tei::EncodeResponse>(core_, *context, "tei.v1.Tokenize/TokenizeStream", encode);
  }
  grpc::ServerBidiReactor<tei::DecodeRequest, tei::DecodeResponse>* DecodeStream(Context* context) override {
    return stream<tei::DecodeRequest, tei::DecodeResponse>(core_, *context, "tei.v1.Tokenize/DecodeStream", decode);
  }

 private:
  RpcCore& core_;
};

class InfoService : public tei::Info::CallbackService {
 public:
  explicit InfoService(RpcCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* Info(Context* context, const tei::InfoRequest* in, tei::InfoResponse* out) override {
    return unary(core_, *context, "tei.v1.Info/Info", *in, *out, describe);
  }

 private:
  static void describe(RpcCall& call, const tei::InfoRequest&, tei::InfoResponse& out, const RpcDone& done) {
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

  RpcCore& core_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> make_tei_services(RpcCore& core) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<InfoService>(core));
  services.push_back(std::make_unique<RerankService>(core));
  services.push_back(std::make_unique<PredictService>(core));
  services.push_back(std::make_unique<TokenizeService>(core));
  return services;
}

}  // namespace rerank::rpc
