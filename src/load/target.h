// What a load test asks: a rerank server over HTTP, or the service in this process.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rerank/reranker.h"
#include "rerank/status.h"
#include "rerank/types.h"

namespace rerank::load {

struct Answer {
  Status status;
  int http_status = 0;  // 0: none was received, or no HTTP was spoken
  struct Ranked {
    size_t index;
    double score;
  };
  std::vector<Ranked> results;                         // in the order given
  uint64_t tokens = 0;                                 // as the target reports; 0: not reported
  std::vector<std::pair<std::string, double>> stages;  // name, milliseconds: as the target reports (Server-Timing)
};

// Thread-safe. The destructor waits for what is under way, as long as its own time limit allows.
class Target {
 public:
  using Done = std::function<void(Answer)>;
  virtual ~Target() = default;
  // Returns at once; `done` is called exactly once, on another thread or on this one.
  virtual void submit(std::shared_ptr<const RerankRequest> request, Done done) = 0;
};

// `reranker` must outlive the target.
std::unique_ptr<Target> engine_target(Reranker& reranker);

struct HttpTargetOptions {
  std::string url;                 // http://host[:port][/path]; without a path the dialect's own
  std::string dialect = "cohere";  // cohere (also Jina, vLLM, Xinference, infinity: "documents") or tei ("texts")
  std::string model = "rerank";    // the name sent where the dialect has one
  std::string api_key;             // sent as a bearer token when not empty
  double timeout_seconds = 60;
  size_t max_connections = 4096;  // more requests at a time fail as a client's would
};

// InvalidArgument for an address or dialect that cannot be; nothing is connected before the first request.
Result<std::unique_ptr<Target>> http_target(const HttpTargetOptions& options);

}  // namespace rerank::load
