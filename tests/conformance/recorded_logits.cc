// Prints the bits of every logit that each engine, precision and kernel tier computes for the recorded models:
// tools/same_scores compares two builds by it. Beside the emulated CUDA library, so that the cuda engine is among them.
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "convert/writers.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/registry.h"
#include "support/golden.h"

namespace {

using namespace rerank;

void print(const std::string& label, engine::Backend& backend, const engine::Batch& batch) {
  std::vector<float> logits(batch.size());
  const Status status = backend.forward(batch, logits);
  for (size_t i = 0; i < logits.size(); ++i)
    std::printf("%s %zu %08x%s\n", label.c_str(), i, std::bit_cast<uint32_t>(logits[i]), status.ok() ? "" : " failed");
}

engine::BackendOptions options_of(const std::string& precision, const std::string& kernel, size_t threads) {
  engine::BackendOptions options;
  options.precision = precision;
  options.kernel = kernel;
  options.threads = threads;
  return options;
}

struct Row {
  std::string engine, precision, kernel = "auto";
};

std::vector<Row> rows() {
  std::vector<Row> rows = {{"reference", "auto"}, {"cuda", "fp32"}, {"cuda", "fp16"}, {"cuda", "bf16"},
                           {"cuda", "fp8"},       {"onnx", "fp32"}, {"onnx", "fp16"}, {"onnx", "int8"}};
  for (const auto* table : engine::cpu::compiled_kernels()) rows.push_back({"cpu", table->precision, table->name});
  return rows;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> folders(argv + 1, argv + argc);
  if (folders.empty()) folders = testing::golden_models();
  const std::string graphs = std::filesystem::temp_directory_path() / ("recorded_logits_" + std::to_string(::getpid()));
  for (const std::string& folder : folders) {
    auto model = model::load_model(folder);
    if (!model.ok()) continue;  // a family that this build does not have
    std::vector<int32_t> ids, segments;
    std::vector<uint32_t> offsets{0};
    for (const auto& pair : testing::read_golden_pairs(folder)) {
      ids.insert(ids.end(), pair.ids.begin(), pair.ids.end());
      segments.insert(segments.end(), pair.segments.begin(), pair.segments.end());
      offsets.push_back(static_cast<uint32_t>(ids.size()));
    }
    const engine::Batch batch{ids, segments, offsets};
    const std::string name = std::filesystem::path(folder).filename();
    for (const Row& row : rows()) {
      for (size_t threads : {1, 2}) {
        if (threads == 2 && row.engine != "cpu") continue;
        engine::BackendOptions options = options_of(row.precision, row.kernel, threads);
        if (row.engine == "onnx") {
          convert::ConvertOptions how;
          how.precision = parse_choice<Precision>(row.precision).value();
          if (!convert::write_onnx(**model, graphs, how).ok()) continue;
          options.onnx_file = graphs + "/" + convert::kOnnxFile;
        }
        auto backend = engine::open_backend(*model, parse_choice<EngineKind>(row.engine).value(), options);
        if (!backend.ok()) continue;  // not on this machine, or widths that the engine does not have
        print(name + " " + row.engine + " " + row.precision + " " + row.kernel + " " + std::to_string(threads),
              **backend, batch);
      }
    }
  }
  std::error_code error;
  std::filesystem::remove_all(graphs, error);
  return 0;
}
