// rerank/c_api.h over rerank/reranker.h. Every function catches what is thrown: out of memory is an answer too.
#include "rerank/c_api.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/settings/assign.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "rerank/reranker.h"

struct rerank_model {
  std::unique_ptr<rerank::Reranker> reranker;
  std::string engine;
};

namespace rerank {
namespace {

Status assign(Options& options, const char* name, const char* value) {
  if (name == nullptr || value == nullptr) return absl::InvalidArgumentError("a setting without a name or a value");
  return assign_setting(options, name, value);
}

int tell(const Status& status, char** error) {
  if (error != nullptr) *error = status.ok() ? nullptr : ::strdup(std::string(message_of(status)).c_str());
  return static_cast<int>(status.code());
}

template <class Body>
int guarded(char** error, const Body& body) {
  try {
    return tell(body(), error);
  } catch (const std::bad_alloc&) {
    return tell(absl::ResourceExhaustedError("out of memory"), error);
  } catch (const std::exception& other) {
    return tell(absl::InternalError(other.what()), error);
  }
}

std::string text_of(const rerank_text& text) {
  return text.bytes == 0 ? std::string() : std::string(text.data, text.bytes);
}

// Pairs of one query, on their way.
struct Part {
  size_t begin = 0;
  std::future<Result<RerankResponse>> answer;
};

Part submit(Reranker& reranker, const rerank_text* queries, const rerank_text* documents, size_t begin, size_t end) {
  auto request = std::make_shared<RerankRequest>();
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
               float* logits) {
  constexpr size_t kWindow = 256, kPortion = 512;  // pairs are submitted while that many parts are under way
  std::vector<Part> parts;
  size_t waited = 0;
  Status status;
  const auto wait_for_one = [&] {
    Part& part = parts[waited++];
    auto response = part.answer.get();
    if (!response.ok()) return status.Update(response.status());
    for (const RankedDocument& r : response->results) logits[part.begin + r.index] = r.logit;
  };
  for (size_t begin = 0; begin < count && status.ok();) {
    size_t end = begin + 1;
    while (end < count && end - begin < kPortion && equal(queries[end], queries[begin])) ++end;
    parts.push_back(submit(reranker, queries, documents, begin, end));
    begin = end;
    if (parts.size() - waited >= kWindow) wait_for_one();
  }
  while (waited < parts.size()) wait_for_one();
  return status;
}

}  // namespace
}  // namespace rerank

extern "C" {

const char* rerank_version(void) { return RERANKD_VERSION; }

rerank_model* rerank_open(const rerank_setting* settings, size_t count, char** error) {
  std::unique_ptr<rerank_model> model;
  rerank::guarded(error, [&]() -> rerank::Status {
    rerank::Options options;
    options.model.queue.max_queue_ms = 0;  // the caller waits; no other request is kept waiting by it
    for (size_t i = 0; i < count; ++i) {
      rerank::Status status = rerank::assign(options, settings[i].name, settings[i].value);
      if (!status.ok()) return status;
    }
    ASSIGN_OR_RETURN(auto opened, rerank::Reranker::open(options));
    const rerank::ModelInfo& info = opened->info();
    std::string engine = rerank::str_cat(info.engine, " ", info.precision, " ", info.kernel);
    model.reset(new rerank_model{std::move(opened), std::move(engine)});
    return rerank::ok_status();
  });
  return model.release();
}

void rerank_close(rerank_model* model) { delete model; }

const char* rerank_name(const rerank_model* model) { return model->reranker->info().id.c_str(); }
const char* rerank_engine(const rerank_model* model) { return model->engine.c_str(); }

int rerank_rank(rerank_model* model, const rerank_text* query, const rerank_text* documents, size_t count, size_t top_n,
                rerank_result* results, size_t* result_count, char** error) {
  return rerank::guarded(error, [&]() -> rerank::Status {
    const size_t wanted = top_n == 0 ? count : std::min(top_n, count);
    if (*result_count < wanted) {
      return absl::InvalidArgumentError(
          rerank::str_cat("room for ", *result_count, " results, and ", wanted, " are asked for"));
    }
    rerank::RerankRequest request;
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
  return rerank::guarded(error, [&] { return rerank::predict(*model->reranker, queries, documents, count, logits); });
}

void rerank_free(char* text) { std::free(text); }

}  // extern "C"
