// Prints the bits of every logit, or number of a vector, that each engine, precision and kernel tier computes for the
// recorded models: tools/same_scores compares two builds by it. Beside the emulated CUDA library, so that the cuda
// engine is among them.
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/strings.h"
#include "convert/writers.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/encoder.h"
#include "engine/registry.h"
#include "support/golden.h"

namespace {

using namespace rerank;

// The recorded sequences; of a model that reads documents together, the blocks whose ids are recorded.
engine::OwnedBatch batch_of(const model::Model& model) {
  engine::OwnedBatch batch;
  if (!model.architecture().scoring.marks) {
    for (const auto& pair : testing::read_golden_pairs(model.folder)) batch.add(pair.ids, pair.segments);
    return batch;
  }
  for (const auto& list : testing::read_golden_lists(model.folder)) {
    for (const auto& block : list.blocks) {
      if (!block.ids.empty()) batch.add(block.ids, std::vector<int32_t>(block.ids.size()));
    }
  }
  return batch;
}

void print(const std::string& label, engine::Backend& backend, const model::Architecture& architecture,
           const engine::Batch& batch) {
  std::vector<float> logits(engine::result_count(architecture, batch));
  const Status status = backend.forward(batch, logits);
  for (size_t i = 0; i < logits.size(); ++i)
    std::printf("%s %zu %08x%s\n", label.c_str(), i, std::bit_cast<uint32_t>(logits[i]), status.ok() ? "" : " failed");
}

struct Row {
  EngineKind engine;
  Precision precision = Precision::kAuto;
  KernelTier kernel = KernelTier::kAuto;
};

std::vector<Row> rows() {
  std::vector<Row> rows = {{EngineKind::kReference}};
  for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8})
    rows.push_back({EngineKind::kCuda, precision});
  for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kInt8})
    rows.push_back({EngineKind::kOnnx, precision});
  for (const auto* table : engine::cpu::compiled_kernels())
    rows.push_back({EngineKind::kCpu, table->precision, table->tier});
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
    const engine::OwnedBatch batch = batch_of(**model);
    const std::string name = std::filesystem::path(folder).filename();
    for (const Row& row : rows()) {
      for (size_t threads : {1, 2}) {
        if (threads == 2 && row.engine != EngineKind::kCpu) continue;
        engine::BackendOptions options = {.precision = row.precision, .kernel = row.kernel, .threads = threads};
        if (row.engine == EngineKind::kOnnx) {
          convert::ConvertOptions how;
          how.precision = row.precision;
          if (!convert::write_onnx(**model, graphs, how).ok()) continue;
          options.onnx_file = graphs + "/" + convert::kOnnxFile;
        }
        auto backend = engine::open_backend(*model, row.engine, options);
        if (!backend.ok()) continue;  // not on this machine, or widths that the engine does not have
        print(str_cat(name, " ", word_of(row.engine), " ", word_of(row.precision), " ", word_of(row.kernel), " ",
                      threads),
              **backend, (*model)->architecture(), batch);
      }
    }
  }
  std::error_code error;
  std::filesystem::remove_all(graphs, error);
  return 0;
}
