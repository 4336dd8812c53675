// rerank/c_api.h over rerank/reranker.h. Every function catches what is thrown: out of memory is an answer too.
#include "rerank/c_api.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/settings/assign.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "rank/host.h"
#include "rerank/reranker.h"

struct rerank_model {
  std::shared_ptr<rerank::rank::Host> host;  // of the models that were opened beside each other
  std::unique_ptr<rerank::Reranker> reranker;
  std::string engine;
};

// The calls that are to be given up together.
struct rerank_stop {
  // A call's cancellation, which is cancelled already where everything is.
  std::shared_ptr<rerank::Cancellation> enter() {
    auto call = std::make_shared<rerank::Cancellation>();
    const std::lock_guard lock(mutex);
    if (stopped) call->cancel();
    calls.push_back(call);
    return call;
  }
  void leave(const std::shared_ptr<rerank::Cancellation>& call) {
    const std::lock_guard lock(mutex);
    std::erase(calls, call);
  }
  void now() {
    std::vector<std::shared_ptr<rerank::Cancellation>> all;
    {
      const std::lock_guard lock(mutex);
      stopped = true;
      all = calls;
    }
    for (const auto& call : all) call->cancel();
  }

  std::mutex mutex;
  bool stopped = false;
  std::vector<std::shared_ptr<rerank::Cancellation>> calls;
};

namespace rerank {
namespace {

// A call that may be given up, as long as it lives.
class Stoppable {
 public:
  explicit Stoppable(rerank_stop* stop) : stop_(stop), cancellation_(stop ? stop->enter() : nullptr) {}
  ~Stoppable() {
    if (stop_) stop_->leave(cancellation_);
  }
  Stoppable(const Stoppable&) = delete;
  Stoppable& operator=(const Stoppable&) = delete;
  const std::shared_ptr<Cancellation>& cancellation() const { return cancellation_; }
  bool stopped() const { return cancellation_ && cancellation_->cancelled(); }

 private:
  rerank_stop* stop_;
  std::shared_ptr<Cancellation> cancellation_;
};

Status assign(Options& options, const char* name, const char* value) {
  if (name == nullptr || value == nullptr) return absl::InvalidArgumentError("a setting without a name or a value");
  return assign_setting(options, name, value);
}

int write_error(const Status& status, char** error) {
  if (error != nullptr) *error = status.ok() ? nullptr : ::strdup(std::string(message_of(status)).c_str());
  return static_cast<int>(status.code());
}

template <class Body>
int guarded(char** error, const Body& body) {
  try {
    return write_error(body(), error);
  } catch (const std::bad_alloc&) {
    return write_error(absl::ResourceExhaustedError("out of memory"), error);
  } catch (const std::exception& other) {
    return write_error(absl::InternalError(other.what()), error);
  }
}

rerank_model* open_model(const rerank_model* other, const rerank_setting* settings, size_t count, char** error) {
  std::unique_ptr<rerank_model> model;
  guarded(error, [&]() -> Status {
    Options options;
    options.model.queue.max_queue_ms = 0;  // the caller waits; no other request is kept waiting by it
    for (size_t i = 0; i < count; ++i) RETURN_IF_ERROR(assign(options, settings[i].name, settings[i].value));
    std::shared_ptr<rank::Host> host = other != nullptr ? other->host : nullptr;
    if (host == nullptr) {
      ASSIGN_OR_RETURN(host, rank::Host::make(options.host, nullptr));
    }
    ASSIGN_OR_RETURN(auto opened, Reranker::open(options, nullptr, {.host = host}));
    const ModelInfo& info = opened->info();
    std::string engine = str_cat(info.engine, " ", info.precision, " ", info.kernel);
    model.reset(new rerank_model{std::move(host), std::move(opened), std::move(engine)});
    return ok_status();
  });
  return model.release();
}

std::string text_of(const rerank_text& text) {
  return text.bytes == 0 ? std::string() : std::string(text.data, text.bytes);
}

// Pairs of one query, on their way.
struct Part {
  size_t begin = 0;
  std::future<Result<RerankResponse>> answer;
};

Part submit(Reranker& reranker, const rerank_text* queries, const rerank_text* documents, size_t begin, size_t end,
            const Stoppable& call) {
  auto request = std::make_shared<RerankRequest>();
  request->cancellation = call.cancellation();
  request->query = text_of(queries[begin]);
  for (size_t i = begin; i < end; ++i) request->documents.push_back(text_of(documents[i]));
  auto promise = std::make_shared<std::promise<Result<RerankResponse>>>();
  Part part{begin, promise->get_future()};
  reranker.submit(std::move(request), [promise](Result<RerankResponse> r) { promise->set_value(std::move(r)); });
  return part;
}

bool equal(const rerank_text& a, const rerank_text& b) {
  return a.bytes == b.bytes && (a.bytes == 0 || std::memcmp(a.data, b.data, a.bytes) == 0);
}

// All parts are waited for, also when one has failed: they write into the caller's memory.
Status predict(Reranker& reranker, const rerank_text* queries, const rerank_text* documents, size_t count,
               float* logits, const Stoppable& call, const std::function<void(size_t)>& progress) {
  constexpr size_t kWindow = 256, kPortion = 512;  // pairs are submitted while that many parts are under way
  std::vector<Part> parts;
  size_t waited = 0, done = 0;
  Status status;
  const auto wait_for_one = [&] {
    Part& part = parts[waited++];
    auto response = part.answer.get();
    if (!response.ok()) return status.Update(response.status());
    for (const RankedDocument& r : response->results) logits[part.begin + r.index] = r.logit;
    done += response->results.size();
    if (progress) progress(done);
  };
  for (size_t begin = 0; begin < count && status.ok() && !call.stopped();) {
    size_t end = begin + 1;
    while (end < count && end - begin < kPortion && equal(queries[end], queries[begin])) ++end;
    parts.push_back(submit(reranker, queries, documents, begin, end, call));
    begin = end;
    if (parts.size() - waited >= kWindow) wait_for_one();
  }
  while (waited < parts.size()) wait_for_one();
  return status.ok() && done < count ? absl::CancelledError("stopped") : status;
}

}  // namespace
}  // namespace rerank

extern "C" {

const char* rerank_version(void) { return RERANKD_VERSION; }

rerank_model* rerank_open(const rerank_setting* settings, size_t count, char** error) {
  return rerank::open_model(nullptr, settings, count, error);
}

rerank_model* rerank_open_beside(rerank_model* other, const rerank_setting* settings, size_t count, char** error) {
  return rerank::open_model(other, settings, count, error);
}

void rerank_close(rerank_model* model) { delete model; }

const char* rerank_name(const rerank_model* model) { return model->reranker->info().id.c_str(); }
const char* rerank_engine(const rerank_model* model) { return model->engine.c_str(); }

int rerank_rank(rerank_model* model, const rerank_text* query, const rerank_text* documents, size_t count, size_t top_n,
                rerank_result* results, size_t* result_count, char** error) {
  return rerank_rank_with(model, query, documents, count, top_n, results, result_count, nullptr, error);
}

int rerank_rank_with(rerank_model* model, const rerank_text* query, const rerank_text* documents, size_t count,
                     size_t top_n, rerank_result* results, size_t* result_count, rerank_stop* stop, char** error) {
  return rerank::guarded(error, [&]() -> rerank::Status {
    const size_t wanted = top_n == 0 ? count : std::min(top_n, count);
    if (*result_count < wanted) {
      return absl::InvalidArgumentError(
          rerank::str_cat("room for ", *result_count, " results, and ", wanted, " are asked for"));
    }
    const rerank::Stoppable call(stop);
    if (call.stopped()) return absl::CancelledError("stopped");
    rerank::RerankRequest request;
    request.cancellation = call.cancellation();
    request.query = rerank::text_of(*query);
    for (size_t i = 0; i < count; ++i) request.documents.push_back(rerank::text_of(documents[i]));
    request.top_n = top_n;
    ASSIGN_OR_RETURN(auto response, model->reranker->rerank(std::move(request)));
    *result_count = 0;
    for (const rerank::RankedDocument& r : response.results)
      results[(*result_count)++] = {r.index, r.score, r.logit, r.tokens, r.truncated ? 1u : 0u};
    return rerank::ok_status();
  });
}

int rerank_predict(rerank_model* model, const rerank_text* queries, const rerank_text* documents, size_t count,
                   float* logits, char** error) {
  return rerank_predict_with(model, queries, documents, count, logits, nullptr, nullptr, nullptr, error);
}

int rerank_predict_with(rerank_model* model, const rerank_text* queries, const rerank_text* documents, size_t count,
                        float* logits, rerank_stop* stop, rerank_progress progress, void* context, char** error) {
  return rerank::guarded(error, [&] {
    const rerank::Stoppable call(stop);
    std::function<void(size_t)> report;
    if (progress != nullptr) report = [&](size_t done) { progress(context, done, count); };
    return rerank::predict(*model->reranker, queries, documents, count, logits, call, report);
  });
}

rerank_stop* rerank_stop_new(void) { return new (std::nothrow) rerank_stop; }
void rerank_stop_now(rerank_stop* stop) { stop->now(); }
void rerank_stop_free(rerank_stop* stop) { delete stop; }

void rerank_free(char* text) { std::free(text); }

}  // extern "C"
