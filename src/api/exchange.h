// One request on its way through a handler, and what all requests share.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/api.h"
#include "api/options.h"
#include "observe/request_metrics.h"
#include "rerank/reranker.h"
#include "transport/callers/access.h"
#include "transport/http.h"

namespace rerank::api {

struct Api::State {
  Reranker& reranker;
  std::shared_ptr<Metrics> metrics;
  ApiOptions options;
  transport::Access access;
  observe::RequestMetrics requests;

  void finished(const observe::RequestRecord& record) {
    requests.time(record);
    for (const auto& observer : options.observers) observer->finished(record);
  }
};

struct Exchange {
  std::shared_ptr<Api::State> state;
  transport::HttpRequest request;
  std::string path;  // normalised
  Api::Done done;
  std::vector<std::pair<std::string, std::string>> cors;  // headers for every answer
  TimePoint begin = Clock::now();
  int priority = 0;  // of the caller's key

  observe::RequestRecord record{
      .started = std::chrono::system_clock::now()};  // its label: the route's name, then the dialect's

  // What the record says of a request when it goes to the reranker, and when it comes back.
  void note_parsed() { record.parsed = Clock::now() - begin; }
  void note_ranked(const RerankResponse& result) {
    record.timings = result.timings;
    record.documents = result.documents;
    record.tokens = result.total_tokens;
    record.truncated_documents = result.truncated_documents;
    record.cached_documents = result.cached_documents;
  }

  // Counts and sends the answer. Once.
  void finish(transport::HttpResponse response) {
    for (auto& header : cors) response.headers.push_back(std::move(header));
    record.status = response.status;
    const auto now = Clock::now() - begin;
    if (record.parsed.count() > 0) record.ranked = now;
    state->requests.count(record);
    if (response.complete) {
      response.complete = [state = state, begin = begin, record = record,
                           write = std::move(response.complete)](transport::HttpResponse& self) mutable {
        write(self);
        record.total = Clock::now() - begin;
        state->finished(record);
      };
    } else {
      record.total = now;
      state->finished(record);
    }
    done(std::move(response));
  }
};

// Each finishes the exchange: at once, or when the reranker is done.
void handle_rerank(Exchange&& exchange);    // every dialect
void handle_model(Exchange&& exchange);     // POST under a model's name: dialects of pairs
void handle_score(Exchange&& exchange);     // vLLM /score
void handle_tokenize(Exchange&& exchange);  // TEI /tokenize
void handle_decode(Exchange&& exchange);    // TEI /decode

}  // namespace rerank::api
