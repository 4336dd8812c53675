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
#include "rerank/catalog.h"
#include "transport/body.h"
#include "transport/callers/access.h"
#include "transport/errors.h"
#include "transport/http.h"

namespace rerank::api {

struct Api::State {
  std::shared_ptr<Catalog> catalog;
  std::shared_ptr<Metrics> metrics;
  ApiOptions options;
  transport::Access access;
  transport::Access admins;
  observe::RequestMetrics requests;

  void finished(const observe::RequestRecord& record) {
    requests.time(record);
    for (const auto& observer : options.observers) observer->finished(record);
  }
};

struct Exchange {
  std::shared_ptr<Api::State> state;
  transport::HttpRequest request;
  std::string path;  // normalised, and without what names the model
  Api::Done done;
  std::vector<std::pair<std::string, std::string>> cors;  // headers for every answer
  TimePoint begin = Clock::now();
  int priority = 0;                 // of the caller's key
  std::string path_model;           // what the path names, as /models/NAME/...; empty: nothing
  std::shared_ptr<Reranker> model;  // that answers, once it is chosen

  // Chooses the model: the path's, else what the body's `model` names, else the default. `query` decides where a name
  // is split among several. Without `wait`, one that has to be loaded first is Unavailable. Errors: as Catalog::find().
  Status choose(transport::Body& body, std::string_view query, bool wait = true);

  observe::RequestRecord record{
      .started = std::chrono::system_clock::now()};  // its label: the route's name, then the dialect's

  // What the record says of a request when it goes to the reranker, and when it comes back.
  void note_parsed() { record.parsed = Clock::now() - begin; }
  void note_ranked(const RerankResponse& result) {
    record.timings = result.timings;
    record.documents = result.documents;
    record.tokens = result.total_tokens;
    state->access.charge(record.key, result.total_tokens);
    record.truncated_documents = result.truncated_documents;
    record.cached_documents = result.cached_documents;
  }

  // Takes the name of the dialect, once it is known.
  void note_dialect(const char* name) {
    record.label = name;
    record.is_dialect = true;
  }

  // Sends an error, whose field the log names.
  void refuse(const Status& status, transport::ErrorShape shape = transport::ErrorShape::kCommon) {
    record.field = observe::field_of(std::string_view(status.message().data(), status.message().size()));
    finish(transport::error_response(status, shape));
  }

  // Counts and sends the answer. Once.
  void finish(transport::HttpResponse response) {
    if (!record.id.empty()) response.headers.emplace_back("X-Request-Id", record.id);
    record.overloaded = response.status == 429 && !record.rate_limited;
    if (record.overloaded && state->options.overload_status == OverloadStatus::k503) response.status = 503;
    if (*state->options.leaving) response.close = true;
    for (auto& header : cors) response.headers.push_back(std::move(header));
    record.status = response.status;
    if (model) {
      record.model = model->info().version();
      if (response.status < 300) response.headers.emplace_back("X-Rerankd-Model", record.model);
    }
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
void handle_admin(Exchange&& exchange);     // POST /admin/models

}  // namespace rerank::api
