// Runs each target over its corpus, and over some thousand inputs that are made of it by fixed rules: what a campaign
// has found stays found, with any compiler. Usage: campaign_replay CORPUS_FOLDER [TARGET]
//
// A corpus is one file, TARGET.corpus: inputs one after another, each after its length as 4 little-endian bytes.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "base/log.h"
#include "targets/targets.h"

namespace rerank::campaign {
namespace {

constexpr struct {
  const char* name;
  void (*run)(Input);
} kTargets[] = {{"http_request", http_request}, {"http_body", http_body},         {"dialect", dialect},
                {"grpc_message", grpc_message}, {"safetensors", safetensors},     {"gguf", gguf},
                {"torch_file", torch_file},     {"sentencepiece", sentencepiece}, {"config", config},
                {"tokenizer", tokenizer},       {"chat_template", chat_template}, {"onnx_graph", onnx_graph},
                {"collection", collection},     {"redis_reply", redis_reply},     {"exits", exits},
                {"engine_file", engine_file}};
constexpr int kMade = 1000;

std::vector<std::string> read_corpus(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> inputs;
  for (size_t at = 0; at + 4 <= bytes.size();) {
    uint32_t length = 0;
    std::memcpy(&length, bytes.data() + at, 4);
    inputs.push_back(bytes.substr(at + 4, length));
    at += 4 + size_t{length};
  }
  return inputs;
}

// Bytes changed, taken out, put in twice, or joined with another input's.
std::string changed(const std::vector<std::string>& inputs, std::mt19937& random) {
  std::string made = inputs[random() % inputs.size()];
  for (size_t changes = random() % 4 + 1; changes > 0 && !made.empty(); --changes) {
    const size_t at = random() % made.size(), length = random() % 16;
    switch (random() % 4) {
      case 0:
        made[at] = static_cast<char>(random());
        break;
      case 1:
        made.erase(at, length);
        break;
      case 2:
        made.insert(at, made.substr(random() % made.size(), length));
        break;
      default:
        const std::string& other = inputs[random() % inputs.size()];
        made.resize(at);
        made += other.substr(std::min(at, other.size()));
    }
  }
  return made;
}

int replay(const std::string& folder, const std::string& only) {
  set_log_sink([](LogLevel, std::string_view, std::span<const LogField>) {});
  int ran = 0;
  for (const auto& [name, run] : kTargets) {
    if (!only.empty() && only != name) continue;
    const auto inputs = read_corpus(folder + "/" + name + ".corpus");
    if (inputs.empty()) {
      std::fprintf(stderr, "%s: no corpus\n", name);
      return 1;
    }
    for (const std::string& input : inputs) run(input);
    std::mt19937 random(1);
    for (int i = 0; i < kMade; ++i) run(changed(inputs, random));
    std::printf("%-14s %zu inputs and %d made of them\n", name, inputs.size(), kMade);
    std::fflush(stdout);
    ++ran;
  }
  return ran > 0 ? 0 : 1;
}

}  // namespace
}  // namespace rerank::campaign

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: campaign_replay CORPUS_FOLDER [TARGET]\n"), 2;
  return rerank::campaign::replay(argv[1], argc > 2 ? argv[2] : "");
}
