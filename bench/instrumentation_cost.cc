// What metrics, the request log and traces cost: the same requests, by turns, to a server's insides with everything on
// and with nothing on. Both compute; what differs is the instrumentation.
//
// Usage: instrumentation_cost MODEL_FOLDER [DOCUMENTS=32] [TOKENS=128] [SECONDS=60]
//
// Prints the median of the ratios of neighbouring requests, with its 95 % interval (by the sign test).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "api/api.h"
#include "base/log.h"
#include "observe/request_log.h"
#include "observe/tracer.h"
#include "rerank/reranker.h"

namespace rerank {
namespace {

struct Instance {
  std::shared_ptr<Metrics> metrics;
  std::unique_ptr<Reranker> reranker;
  std::unique_ptr<api::Api> api;

  Instance(const std::string& folder, bool watched) {
    Options options;
    options.model.source.model = folder;
    options.host.caches.cache_bytes = options.host.caches.token_cache_bytes = 0;
    api::ApiOptions served;
    if (watched) {
      metrics = std::make_shared<Metrics>();
      served.observers.push_back(observe::make_request_log(1000));
      observe::TracerOptions tracing;
      tracing.endpoint = "http://127.0.0.1:9";  // nobody: making spans and failing to send them costs no less
      served.observers.push_back(*make_tracer(tracing, metrics));
    }
    auto opened = Reranker::open(options, metrics);
    if (!opened.ok()) {
      std::fprintf(stderr, "%s\n", std::string(opened.status().message()).c_str());
      std::exit(1);
    }
    reranker = std::move(*opened);
    api = std::make_unique<api::Api>(*reranker, metrics, served);
  }

  double ask(const std::string& body) {
    transport::HttpRequest request;
    request.method = "POST";
    request.target = "/v1/rerank";
    request.body = body;
    const TimePoint begin = Clock::now();
    std::promise<int> answered;
    api->handle(std::move(request), [&](transport::HttpResponse response) {
      if (response.complete) response.complete(response);
      answered.set_value(response.status);
    });
    if (answered.get_future().get() != 200) std::exit(1);
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
};

// No document is like another: equal ones are computed once. Words of one token each.
std::string body_of(size_t documents, size_t tokens, size_t number) {
  static constexpr const char* kWords[] = {"the ", "water ", "of ", "and ", "in ", "time ", "work ", "city "};
  std::mt19937_64 random(number);
  const auto text = [&](size_t words) {
    std::string made;
    for (size_t i = 0; i < words; ++i) made += kWords[random() % 8];
    return made;
  };
  std::string body = R"({"query":")" + text(8) + R"(","documents":[)";
  // The query's 8 words and three special tokens count.
  for (size_t i = 0; i < documents; ++i) body += (i ? ",\"" : "\"") + text(tokens - 11) + "\"";
  return body + "]}";
}

void run(const std::string& folder, size_t documents, size_t tokens, double seconds) {
  Instance plain(folder, false), watched(folder, true);
  std::vector<double> ratios, times;
  const std::string warm = body_of(documents, tokens, 999983);
  plain.ask(warm), watched.ask(warm);
  const TimePoint end = Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
  for (size_t number = 0; Clock::now() < end; ++number) {
    const std::string body = body_of(documents, tokens, number);
    double without = 0, with = 0;
    if (number % 2 == 0) without = plain.ask(body);
    with = watched.ask(body);
    if (number % 2 == 1) without = plain.ask(body);
    ratios.push_back(with / without);
    times.push_back(without);
  }
  std::sort(ratios.begin(), ratios.end());
  std::sort(times.begin(), times.end());
  const size_t n = ratios.size();
  const auto half = static_cast<size_t>(0.98 * std::sqrt(static_cast<double>(n)));
  std::printf(
      "%zu documents of %zu tokens, %s, %s: %zu pairs of requests, %.2f ms each; everything on costs %+.3f %% (%+.3f "
      "to %+.3f)\n",
      documents, tokens, plain.reranker->info().precision.c_str(), plain.reranker->info().kernel.c_str(), n,
      1e3 * times[n / 2], 100 * (ratios[n / 2] - 1), 100 * (ratios[n / 2 - std::min(half, n / 2)] - 1),
      100 * (ratios[std::min(n / 2 + half, n - 1)] - 1));
}

}  // namespace
}  // namespace rerank

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: instrumentation_cost MODEL_FOLDER [DOCUMENTS] [TOKENS] [SECONDS]\n");
    return 2;
  }
  const auto number = [&](int i, double otherwise) { return argc > i ? std::atof(argv[i]) : otherwise; };
  size_t written = 0;
  rerank::set_log_sink([&](auto, std::string_view message, auto) { written += message.size(); });
  rerank::run(argv[1], static_cast<size_t>(number(2, 32)), static_cast<size_t>(number(3, 128)), number(4, 60));
  return 0;
}
