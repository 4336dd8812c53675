// One request on its way through a handler, and what all requests share.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/access.h"
#include "api/api.h"
#include "api/http.h"
#include "api/options.h"
#include "api/request_metrics.h"
#include "rerank/reranker.h"

namespace rerank {

struct Api::State {
  Reranker& reranker;
  std::shared_ptr<Metrics> metrics;
  ApiOptions options;
  Access access;
  RequestMetrics requests;
};

struct Exchange {
  std::shared_ptr<Api::State> state;
  HttpRequest request;
  std::string path;   // normalised
  const char* label;  // in metrics: the route's name, then the dialect's
  Api::Done done;
  std::vector<std::pair<std::string, std::string>> cors;  // headers for every answer
  TimePoint begin = Clock::now();
  int priority = 0;  // of the caller's key

  // Counts and sends the answer. Once.
  void finish(HttpResponse response) {
    for (auto& header : cors) response.headers.push_back(std::move(header));
    state->requests.count(label, response.status, Clock::now() - begin);
    done(std::move(response));
  }
};

// Each finishes the exchange: at once, or when the reranker is done.
void handle_rerank(Exchange&& exchange);    // every rerank dialect
void handle_score(Exchange&& exchange);     // vLLM /score
void handle_predict(Exchange&& exchange);   // TEI /predict
void handle_tokenize(Exchange&& exchange);  // TEI /tokenize
void handle_decode(Exchange&& exchange);    // TEI /decode

}  // namespace rerank
