// The engine alone, driven line by line, so that a script can interleave it with its peers in one run.
//
// Usage: engine_bench [--weight-cache DIR] [--pin-threads] MODEL_FOLDER BATCH_JSON [precision] [kernel] [threads]
// [engine]
//        engine_bench --profile MODEL_FOLDER BATCH_JSON [precision] [kernel]
// BATCH_JSON: {"ids": [[...], ...], "segments": [[...], ...]}. Prints one line with the engine's name, then for each
// line on stdin computes the batch once and prints {"seconds": S, "peak_resident_bytes": B, "logits": [...]}; B is the
// most that this process has held so far.
// --profile: on one thread, where processor time goes by verb of the forward pass, and what of the peak that this
// program measures at the same time the whole is.
#include <simdjson.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "bench/peak.h"
#include "bench/profile.h"
#include "engine/registry.h"

namespace {

rerank::engine::OwnedBatch read_batch(const char* path) {
  simdjson::dom::parser parser;
  simdjson::dom::element root = parser.load(path);
  const auto numbers = [](simdjson::dom::array row) {
    std::vector<int32_t> numbers;
    for (int64_t number : row) numbers.push_back(static_cast<int32_t>(number));
    return numbers;
  };
  rerank::engine::OwnedBatch batch;
  const simdjson::dom::array ids = root["ids"], segments = root["segments"];
  for (auto row = ids.begin(), row_segments = segments.begin(); row != ids.end(); ++row, ++row_segments)
    batch.add(numbers(*row), numbers(*row_segments));
  return batch;
}

// 0 where Linux does not tell.
size_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) << 10;
  }
  return 0;
}

int fail(const rerank::Status& status) {
  std::fprintf(stderr, "engine_bench: %s\n", std::string(status.message().data(), status.message().size()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  bool profile = false;
  rerank::engine::BackendOptions options;
  for (; argc > 1 && std::string_view(argv[1]).starts_with("--"); --argc, ++argv) {
    const std::string_view flag = argv[1];
    if (flag == "--profile") profile = true;
    if (flag == "--pin-threads") options.pin_threads = true;
    if (flag == "--weight-cache" && argc > 2) {
      options.weight_cache = argv[2];
      options.weight_cache_bytes = size_t{64} << 30;
      --argc, ++argv;
    }
  }
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: engine_bench [--profile] [--weight-cache DIR] [--pin-threads] MODEL_FOLDER BATCH_JSON "
                 "[precision] [kernel] [threads] [engine]\n");
    return 2;
  }
  auto model = rerank::model::load_model(argv[1]);
  if (!model.ok()) return fail(model.status());
  const rerank::engine::OwnedBatch batch = read_batch(argv[2]);
  const auto precision = rerank::parse_choice<rerank::Precision>(argc > 3 ? argv[3] : "auto");
  if (!precision) return fail(absl::InvalidArgumentError(argv[3]));
  const auto kernel = rerank::parse_choice<rerank::KernelTier>(argc > 4 ? argv[4] : "auto");
  if (!kernel) return fail(absl::InvalidArgumentError(argv[4]));
  options.precision = *precision;
  options.kernel = *kernel;
  if (argc > 5) options.threads = std::stoul(argv[5]);
  if (profile) {
    rerank::bench::print_profile(*model, options, batch);
    return 0;
  }
  const auto engine = rerank::parse_choice<rerank::EngineKind>(argc > 6 ? argv[6] : "auto");
  if (!engine) return fail(absl::InvalidArgumentError(argv[6]));
  auto backend = rerank::engine::open_backend(*model, *engine, options);
  if (!backend.ok()) return fail(backend.status());
  const auto& info = (*backend)->info();
  std::printf("%s %s %s %zu\n", info.engine_text().c_str(), info.precision_text().c_str(), info.kernel.c_str(),
              info.threads);
  std::fflush(stdout);
  std::vector<float> logits(batch.offsets.size() - 1);
  for (std::string line; std::getline(std::cin, line);) {
    const auto begin = std::chrono::steady_clock::now();
    const auto status = (*backend)->forward({batch.ids, batch.segments, batch.offsets}, logits);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!status.ok()) return fail(status);
    std::printf("{\"seconds\":%.9g,\"peak_resident_bytes\":%zu,\"logits\":[", seconds, peak_resident_bytes());
    for (size_t i = 0; i < logits.size(); ++i) std::printf("%s%.9g", i ? "," : "", logits[i]);
    std::printf("]}\n");
    std::fflush(stdout);
  }
  return 0;
}
