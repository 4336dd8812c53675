// What the HTTP interface needs to know besides the reranker.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "observe/request_record.h"
#include "rerank/catalog.h"
#include "rerank/options.h"
#include "transport/callers/keys.h"
#include "transport/memory_budget.h"

namespace rerank::api {

struct ApiOptions {
  size_t max_documents = 10000;                // in one request; more is 422
  size_t max_text_bytes = 32u << 20;           // of texts that are made by joining fields; more is 413
  bool return_documents = true;                // in the common dialect, when the client does not say
  AnswerForm answer_as = AnswerForm::kCommon;  // of the common dialect
  OverloadStatus overload_status = OverloadStatus::k429;
  std::string api_keys;                      // comma-separated; empty: no key is asked for
  std::shared_ptr<transport::KeyRing> keys;  // taken instead of api_keys when set: also has the keys of a file
  bool local = false;                        // the server listens on a loopback address only
  std::string cors_origins;                  // comma-separated, or "*"; empty: none
  size_t max_batch_tokens = 8192;            // the next three are only told in /info
  size_t max_connections = 4096;
  size_t tokenizer_threads = 0;
  bool metrics_apart = false;                    // /metrics is served at its own address only
  std::chrono::milliseconds request_timeout{0};  // of requests that do not say; 0: none
  std::shared_ptr<transport::MemoryBudget>
      memory;  // what requests are counted in; null: not counted (by gRPC; HTTP has its own)
  // Set when gRPC can take no more connections: /health then says that the server is not well.
  std::shared_ptr<std::atomic<bool>> grpc_failed = std::make_shared<std::atomic<bool>>(false);
  // This server will soon take no more requests: health says so, while they are still answered.
  std::shared_ptr<std::atomic<bool>> leaving = std::make_shared<std::atomic<bool>>(false);
  // POST /admin/models, at the metrics address; empty: it is not there. And how a model is made of settings by their
  // names; null: none can be loaded.
  std::string admin_key;
  std::function<Result<ModelSpec>(const std::vector<std::pair<std::string, std::string>>& settings,
                                  const std::vector<std::string>& aliases)>
      make_spec;
  std::vector<std::shared_ptr<observe::RequestObserver>> observers;  // told of every request when it is answered

  // The keys to ask for.
  std::shared_ptr<transport::KeyRing> key_ring() const {
    return keys ? keys : std::make_shared<transport::KeyRing>(api_keys);
  }

  static ApiOptions from(const Options& library, const ServerOptions& server) {
    return {.max_documents = library.model.queue.max_documents,
            .max_text_bytes = server.max_body_bytes,
            .return_documents = server.return_documents,
            .answer_as = server.answer_as,
            .overload_status = server.overload_status,
            .api_keys = server.api_key,
            .local = server.host == "localhost" || server.host == "::1" || server.host.starts_with("127."),
            .cors_origins = server.cors_origin,
            .max_batch_tokens = library.model.queue.max_batch_tokens,
            .max_connections = server.max_connections,
            .tokenizer_threads = library.host.tokenizer_threads,
            .request_timeout = std::chrono::milliseconds(server.request_timeout_ms),
            .admin_key = server.models.admin_key};
  }
};

}  // namespace rerank::api
