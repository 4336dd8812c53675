// The hot paths of the program, one at a time, for tools/regress: what runs between rerankd_measure()'s braces is
// counted by callgrind in instructions, which say the same on a busy machine as on an idle one.
//
// Usage: hot_paths list | hot_paths NAME MODEL_FOLDER
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/api.h"
#include "cache/cache.h"
#include "engine/registry.h"
#include "model/weights.h"
#include "observe/request_record.h"
#include "schedule/planner.h"
#include "support/fake_reranker.h"
#include "text/pair.h"
#include "text/tokenizer.h"

// The one function whose instructions are counted, with all it calls. noipa: a copy made for one caller would have
// another name. What follows the call keeps it from being a jump, which callgrind takes for the end of the function.
extern "C" [[gnu::noipa]] void rerankd_measure(const std::function<void()>& path) {
  path();
  asm volatile("" ::: "memory");
}

namespace rerank {
namespace {

constexpr size_t kDocuments = 66;  // what RAGFlow sends

// Prose of about `words` words; different for each number.
std::string prose(size_t number, size_t words) {
  static constexpr const char* kWords[] = {
      "the",   "search", "index",   "keeps", "every", "document", "that",   "a",     "user",    "may",   "ask",
      "for",   "and",    "returns", "best",  "of",    "them",     "in",     "order", "latency", "grows", "when",
      "queue", "is",     "longer",  "than",  "what",  "engine",   "takes,", "so",    "the",     "tail"};
  std::string text;
  for (size_t i = 0; i < words; ++i)
    text += std::string(i ? " " : "") + kWords[(number * 7 + i * (number % 5 + 1)) % 32];
  return text;
}

std::vector<std::string> documents(size_t words) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < kDocuments; ++i) texts.push_back(prose(i, words));
  return texts;
}

template <class T>
T expect(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "hot_paths: %s\n", std::string(result.status().message()).c_str());
  std::exit(1);
}

void tokenize(const std::string& folder) {
  const auto tokenizer = expect(text::Tokenizer::from_folder(folder));
  const auto texts = documents(120);
  std::vector<int32_t> ids;
  tokenizer->encode(texts[0], ids);
  rerankd_measure([&] {
    for (const std::string& text : texts) ids.clear(), tokenizer->encode(text, ids);
  });
}

void join_pairs(const std::string& folder) {
  const auto tokenizer = expect(text::Tokenizer::from_folder(folder));
  std::vector<int32_t> query, document;
  tokenizer->encode(prose(3, 12), query);
  tokenizer->encode(prose(5, 300), document);
  rerankd_measure([&] {
    for (size_t i = 0; i < kDocuments; ++i) {
      text::join_pair(tokenizer->pair_template(), query, document, {.max_length = 256});
    }
  });
}

std::string request_body(const std::vector<std::string>& texts) {
  std::string body = R"({"model":"m","query":"what grows when the queue is longer?","documents":[)";
  for (size_t i = 0; i < texts.size(); ++i) body += (i ? ",\"" : "\"") + texts[i] + "\"";
  return body + "]}";
}

// From a request's bytes to the answer's, but for ranking.
void request_and_answer(const std::string&) {
  FakeReranker reranker;
  api::Api api(reranker, std::make_shared<Metrics>(), {});
  const std::string body = request_body(documents(120));
  const auto ask = [&] {
    transport::HttpRequest request;
    request.method = "POST";
    request.target = "/v1/rerank";
    request.body = body;
    api.handle(std::move(request), [](transport::HttpResponse response) {
      if (response.complete) response.complete(response);
    });
  };
  ask();
  rerankd_measure([&] {
    for (int i = 0; i < 10; ++i) ask();
  });
}

void cache(const std::string&) {
  cache::PairCache pairs(1 << 20, std::chrono::seconds(60));
  const TimePoint now = Clock::now();
  const auto key = [](uint64_t i) { return Hash128{i * 0x9e3779b97f4a7c15u, i * 0xbf58476d1ce4e5b9u}; };
  for (uint64_t i = 0; i < 20000; ++i) pairs.insert(key(i), {1, 100, false}, now);
  rerankd_measure([&] {
    for (uint64_t i = 0; i < 10000; ++i) {
      pairs.find(key(i * 3), now);
      pairs.insert(key(100000 + i), {1, 100, false}, now);
    }
  });
}

// Requests of all sizes come faster than they are done.
void plan(const std::string&) {
  schedule::PlannerOptions options;
  options.max_queue_seconds = 0;
  schedule::Planner planner(options);
  planner.observe(1000, 0.01);
  std::vector<uint32_t> lengths;
  rerankd_measure([&] {
    double now = 0;
    for (uint64_t i = 0; i < 2000; ++i, now += 0.001) {
      lengths.assign(1 + i * 37 % 66, static_cast<uint32_t>(16 + i * 53 % 400));
      (void)planner.admit({i, lengths, {}, 0, std::nullopt}, now);
      if (i % 4 != 0) continue;
      planner.finished(planner.next(now), now, 0.01, true);
    }
  });
}

void forward(const std::string& folder, Precision precision) {
  const auto model = expect(model::load_model(folder));
  const auto backend = expect(engine::open_backend(model, EngineKind::kCpu, {.precision = precision, .threads = 1}));
  engine::OwnedBatch batch;
  for (size_t i = 0; i < 8; ++i) {
    std::vector<int32_t> ids(24 + 8 * i);
    for (size_t j = 0; j < ids.size(); ++j) ids[j] = static_cast<int32_t>((i * 31 + j * 17) % 200);
    batch.add(ids);
  }
  std::vector<float> logits(8);
  if (!backend->forward(batch, logits).ok()) std::exit(1);
  rerankd_measure([&] { (void)backend->forward(batch, logits); });
}

const std::map<std::string, std::function<void(const std::string&)>>& paths() {
  static const std::map<std::string, std::function<void(const std::string&)>> kPaths = {
      {"tokenize", tokenize},
      {"join_pairs", join_pairs},
      {"request_and_answer", request_and_answer},
      {"cache", cache},
      {"plan", plan},
      {"forward_fp32", [](const std::string& folder) { forward(folder, Precision::kFp32); }},
      {"forward_int8", [](const std::string& folder) { forward(folder, Precision::kInt8); }},
  };
  return kPaths;
}

}  // namespace
}  // namespace rerank

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "list") {
    for (const auto& [path, run] : rerank::paths()) std::printf("%s\n", path.c_str());
    return 0;
  }
  const auto found = rerank::paths().find(name);
  if (argc != 3 || found == rerank::paths().end()) {
    std::fprintf(stderr, "usage: hot_paths list | hot_paths NAME MODEL_FOLDER\n");
    return 2;
  }
  found->second(argv[2]);
  return 0;
}
