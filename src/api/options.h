// What the HTTP interface needs to know besides the reranker.
#pragma once

#include <cstddef>

#include "rerank/options.h"

namespace rerank {

struct ApiOptions {
  size_t max_documents = 10000;    // in one request; more is 422
  bool return_documents = true;    // in the common dialect, when the client does not say
  size_t max_batch_tokens = 8192;  // the next three are only told in /info
  size_t max_connections = 4096;
  size_t tokenizer_threads = 0;

  static ApiOptions from(const Options& library, const ServerOptions& server) {
    return {library.max_documents, server.return_documents, library.max_batch_tokens, server.max_connections,
            library.tokenizer_threads};
  }
};

}  // namespace rerank
