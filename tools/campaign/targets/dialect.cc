// Requests to the API, of every dialect: path, headers, JSON.
#include <algorithm>

#include "api/api.h"
#include "support/fake_reranker.h"
#include "targets/targets.h"

namespace rerank::campaign {
namespace {

constexpr const char* kTargets[] = {"/rerank",  "/v1/rerank", "/v2/rerank", "/score",  "/predict",
                                    "/ranking", "/tokenize",  "/decode",    "/rerank", "/api/rerank"};

}  // namespace

// One byte for the route, a path where it says so, a header, the body.
void dialect(Input input) {
  static FakeReranker reranker;
  static const api::ApiOptions options = [] {
    api::ApiOptions made;
    made.max_documents = 100;
    made.max_text_bytes = 1 << 20;
    return made;
  }();
  static api::Api api(reranker, std::make_shared<Metrics>(), options);
  Reader reader(input);
  const size_t route = reader.byte() % (std::size(kTargets) + 1);
  transport::HttpRequest request;
  request.method = "POST";
  request.target = route < std::size(kTargets) ? kTargets[route] : "/" + std::string(reader.part());
  const std::string_view header = reader.part();
  const size_t colon = std::min(header.find(':'), header.size());
  request.headers = {
      {std::string(header.substr(0, colon)), std::string(header.substr(std::min(colon + 1, header.size())))}};
  request.body = std::string(reader.rest());
  const size_t bytes = input.size();
  const bool tokenizes = request.target.find("tokenize") != std::string::npos;
  int answers = 0;
  api.handle(std::move(request), [&](transport::HttpResponse response) {
    ++answers;
    if (response.complete) response.complete(response);
    require(response.status >= 200 && response.status < 600);
    require(response.status != 500);
    // What comes out is bounded by what came in: texts may come back, and each result costs some fields. A byte may be
    // three tokens, with five fields each: /tokenize has a limit of its own.
    require(response.body.size() < 64 * 1024 + std::max(128 * bytes, tokenizes ? options.max_text_bytes : 0));
  });
  require(answers == 1);
}

}  // namespace rerank::campaign
