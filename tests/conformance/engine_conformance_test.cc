// Every engine, precision and kernel tier that this machine runs, held against logits recorded from transformers. The
// tolerance belongs to the precision.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/strings.h"
#include "convert/writers.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/registry.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank {
namespace {

struct Row {
  EngineKind engine;
  engine::BackendOptions options;
  std::string name = {};   // of rows that differ in more than precision and kernel
  bool all_models = true;  // else one of each family: XLA takes a second or two to compile for each

  // Of |logit - recorded|. What rounding does to a logit grows with the logits: fp32 apart, it is by their span.
  double tolerance(double span) const {
    const double recorded = testing::tolerance(engine, options.precision).recorded;
    return options.precision == Precision::kFp32 ? recorded : recorded * std::max(1.0, span / 2);
  }
};

std::vector<Row> rows() {
  std::vector<Row> rows = {{EngineKind::kReference, {.precision = Precision::kFp32}},
                           {EngineKind::kCpu, {.precision = Precision::kFp32, .threads = 2}}};
  for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8})
    rows.push_back({EngineKind::kCuda, {.precision = precision}});
  for (const auto* table : engine::cpu::compiled_kernels()) {
    if (!engine::cpu::unsupported_reason(*table).empty()) continue;
    rows.push_back({EngineKind::kCpu, {.precision = table->precision, .kernel = table->tier, .threads = 1}});
  }
  for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kInt8})
    rows.push_back({EngineKind::kOnnx, {.precision = precision, .threads = 2}});
  // Plugins for CPUs, the oldest and the newest that tools/pjrt.sh fetches, on one device and on three.
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    for (const char* plugin : {"oldest", "newest"}) {
      engine::BackendOptions options = {.precision = precision, .threads = 2};
      options.pjrt_plugin = str_cat(RERANKD_SOURCE_DIR "/.deps/pjrt/", plugin, ".so");
      options.pjrt_options = "cpu_device_count=3";
      const bool three = (precision == Precision::kFp32) == (std::string_view(plugin) == "oldest");
      if (three) options.devices = "0,1,2";
      const bool all = precision == Precision::kFp32 && std::string_view(plugin) == "newest";
      rows.push_back({EngineKind::kPjrt, options, str_cat(plugin, three ? "_three_devices" : ""), all});
    }
  }
  return rows;
}

// A model's recorded pairs as one batch.
struct Pairs {
  explicit Pairs(const std::string& folder) : golden(testing::read_golden_pairs(folder)) {
    for (const auto& pair : golden) batch.add(pair.ids, pair.segments);
  }

  std::vector<testing::GoldenPair> golden;
  // Between the largest recorded logit and the smallest.
  double span() const {
    const auto less = [](const auto& a, const auto& b) { return a.logit < b.logit; };
    const auto [low, high] = std::minmax_element(golden.begin(), golden.end(), less);
    return high->logit - low->logit;
  }

  engine::OwnedBatch batch;
};

// An engine that this build or this machine does not have is no failure here.
bool is_absent(const Status& status) {
  const std::string_view message = message_of(status);
  return message.find("built without") != std::string_view::npos ||
         message.find("ONNX Runtime is not there") != std::string_view::npos ||
         message.find("tools/pjrt.sh fetches it") != std::string_view::npos;
}

class EngineConformanceTest : public ::testing::TestWithParam<Row> {};

// `layers`: a graph's; 0: all.
Result<std::unique_ptr<engine::Backend>> open(const Row& row, const std::shared_ptr<const model::Model>& model,
                                              size_t layers = 0) {
  engine::BackendOptions options = row.options;
  if (row.engine == EngineKind::kOnnx) {
    const std::string out =
        str_cat(::testing::TempDir(), "/conformance_", ::getpid(), "_", word_of(row.options.precision));
    convert::ConvertOptions convert;
    convert.precision = row.options.precision;
    convert.keep_layers = layers;
    if (Status status = convert::write_onnx(*model, out, convert); !status.ok()) return status;
    options.onnx_file = out + "/" + convert::kOnnxFile;
  }
  if (row.engine == EngineKind::kPjrt) {
    if (!std::filesystem::exists(options.pjrt_plugin))
      return absl::NotFoundError(str_cat(options.pjrt_plugin, " is not there: tools/pjrt.sh fetches it"));
    size_t longest = 1;  // small programs: old plugins take seconds for large ones in bf16
    for (const auto& pair : testing::read_golden_pairs(model->folder)) longest = std::max(longest, pair.ids.size());
    options.pjrt_shapes = str_cat("4x", longest, ",8x", (longest + 3) / 4);
  }
  return engine::open_backend(model, row.engine, options);
}

// Holds the engine against the folders' recorded logits. Where it refuses a model, and `may_refuse` says that it may,
// the others are compared.
template <class MayRefuse>
void compare(const Row& row, const std::vector<std::string>& folders, const MayRefuse& may_refuse) {
  // By hand: each row on all models, some minutes for XLA.
  const bool every_model = std::getenv("RERANKD_EVERY_MODEL") != nullptr;
  double largest = 0, part = 0;  // and of its tolerance
  size_t compared = 0;
  Status refusal;
  for (const std::string& folder : folders) {
    if (!row.all_models && !every_model && !folder.ends_with("-a")) continue;
    auto model = model::load_model(folder);
    ASSERT_TRUE(model.ok()) << model.status();
    auto backend = open(row, *model);
    if (!backend.ok() && is_absent(backend.status())) GTEST_SKIP() << backend.status();
    if (absl::IsUnimplemented(backend.status()) && may_refuse(folder)) {
      refusal = backend.status();
      continue;
    }
    ASSERT_TRUE(backend.ok()) << folder << ": " << backend.status();
    const Pairs recorded(folder);
    const auto& pairs = recorded.golden;
    ASSERT_GE(pairs.size(), 10u);
    std::vector<float> logits(pairs.size());
    ASSERT_TRUE((*backend)->forward(recorded.batch, logits).ok());
    ++compared;
    // Where rounding turns a choice of experts around, a logit takes a step.
    const auto has_experts = [](const model::Block& block) { return block.feed_forward.experts.has_value(); };
    const bool steps =
        std::ranges::any_of((*model)->architecture().blocks, has_experts) && row.options.precision != Precision::kFp32;
    // Rows of 32 numbers are few for FP8.
    const double tolerance = row.tolerance(recorded.span()) * (steps                                      ? 4
                                                               : row.options.precision == Precision::kFp8 ? 1.5
                                                                                                          : 1);
    for (size_t i = 0; i < pairs.size(); ++i) {
      EXPECT_NEAR(logits[i], pairs[i].logit, tolerance)
          << folder << " pair " << i << " of " << pairs[i].ids.size() << " tokens";
      for (size_t j = 0; j < i; ++j) {
        const double apart = pairs[i].logit - pairs[j].logit;
        if (std::abs(apart) > tolerance) {
          EXPECT_EQ(logits[i] > logits[j], apart > 0) << folder << " order of " << i << " and " << j;
        }
      }
      const double apart = std::abs(logits[i] - pairs[i].logit);
      largest = std::max(largest, apart), part = std::max(part, apart / tolerance);
    }
  }
  if (compared == 0) GTEST_SKIP() << refusal;
  ::testing::Test::RecordProperty("largest_difference", std::to_string(largest));
  std::printf("  %s %s %s, %zu models: largest |logit - transformers| %.2g, or %.0f %% of the tolerance\n",
              std::string(word_of(row.engine)).c_str(), std::string(word_of(row.options.precision)).c_str(),
              std::string(word_of(row.options.kernel)).c_str(), compared, largest, 100 * part);
}

bool is_tiles(const Row& row) {
  return row.options.kernel == KernelTier::kAmx || row.options.kernel == KernelTier::kEmulatedAmx;
}

bool computes_all(const Row& row) {
  return row.engine == EngineKind::kReference || row.engine == EngineKind::kPjrt ||
         (row.engine == EngineKind::kCpu && !is_tiles(row));
}

// A CUDA device may be missing, or have no kernels for a model's widths.
TEST_P(EngineConformanceTest, EqualsRecordedLogits) {
  const Row& row = GetParam();
  compare(row, testing::golden_models(), [&](const std::string&) { return row.engine == EngineKind::kCuda; });
}

// The reference, the CPU's vector tiers, XLA and graphs compute every decoder, tiles those without a causal mask; what
// others do not compute they refuse by name.
TEST_P(EngineConformanceTest, EqualsRecordedLogitsOfDecoders) {
  const Row& row = GetParam();
  compare(row, testing::decoder_models(), [&](const std::string& folder) {
    const bool causal = folder.find("eurobert") == std::string::npos && folder.find("nemotron") == std::string::npos;
    return row.engine == EngineKind::kCuda || (is_tiles(row) && causal);
  });
}

// A layerwise model's outputs after its earlier layers, alone and beside others of the batch.
TEST_P(EngineConformanceTest, EqualsRecordedOutputsOfEachLayer) {
  const Row& row = GetParam();
  if (row.engine == EngineKind::kPjrt) GTEST_SKIP() << "a program computes all layers";
  const std::string folder = RERANKD_SOURCE_DIR "/tests/data/decoders/minicpm-a";
  const auto model = model::load_model(folder);
  ASSERT_TRUE(model.ok()) << model.status();
  const auto backend = open(row, *model);
  const bool computes = row.engine == EngineKind::kReference || (row.engine == EngineKind::kCpu && !is_tiles(row)) ||
                        row.engine == EngineKind::kOnnx;
  if (!backend.ok() && is_absent(backend.status())) GTEST_SKIP() << backend.status();
  if (!backend.ok() && !computes) GTEST_SKIP() << backend.status();
  ASSERT_TRUE(backend.ok()) << backend.status();
  Pairs recorded(folder);
  const auto outputs = testing::read_golden_outputs(folder);
  const size_t first = (*model)->architecture().scoring.first_output, last = (*model)->architecture().layers();
  const double tolerance = row.tolerance(recorded.span());
  // A graph has one output, that of the layers kept.
  for (size_t layers = first; row.engine == EngineKind::kOnnx && layers <= last; ++layers) {
    const auto graph = open(row, *model, layers);
    ASSERT_TRUE(graph.ok()) << graph.status();
    std::vector<float> logits(outputs.size());
    ASSERT_TRUE((*graph)->forward(recorded.batch, logits).ok());
    for (size_t i = 0; i < outputs.size(); ++i)
      EXPECT_NEAR(logits[i], outputs[i].at(layers - first), tolerance) << i << " of " << layers << " layers";
  }
  if (row.engine == EngineKind::kOnnx) return;
  recorded.batch.layers.resize(outputs.size());
  for (size_t turn = 0; turn <= last - first; ++turn) {
    for (size_t i = 0; i < outputs.size(); ++i)
      recorded.batch.layers[i] = static_cast<uint8_t>(first + (i + turn) % (last - first + 1));
    std::vector<float> logits(outputs.size());
    ASSERT_TRUE((*backend)->forward(recorded.batch, logits).ok());
    for (size_t i = 0; i < outputs.size(); ++i)
      EXPECT_NEAR(logits[i], outputs[i].at(recorded.batch.layers[i] - first), tolerance) << i << " turn " << turn;
  }
}

// Files of GGUF, whose weights the recorded logits were computed with.
TEST_P(EngineConformanceTest, EqualsRecordedLogitsOfGguf) {
  const Row& row = GetParam();
  const bool all = computes_all(row);
  compare(row, testing::gguf_models(), [&](const std::string& folder) {
    const bool encoder = folder.find("xlm-roberta") != std::string::npos;
    return !all && (row.engine == EngineKind::kCuda || (row.engine != EngineKind::kOnnx && !encoder));
  });
}

// Graphs as other tools exported them, served as they are.
struct Exported {
  const char* name;
  EngineKind engine;
  const char* graph;  // of tests/data/graphs; its name begins with the model's
  const char* model;
};

class ExportedGraphTest : public ::testing::TestWithParam<Exported> {};

TEST_P(ExportedGraphTest, EqualsRecordedLogits) {
  const std::string folder = str_cat(RERANKD_SOURCE_DIR, "/tests/data/models/", GetParam().model);
  auto model = model::load_model(folder);
  ASSERT_TRUE(model.ok()) << model.status();
  engine::BackendOptions options;
  options.onnx_file = str_cat(RERANKD_SOURCE_DIR, "/tests/data/graphs/", GetParam().graph);
  options.torchscript_file = options.onnx_file;
  auto backend = engine::open_backend(*model, GetParam().engine, options);
  if (!backend.ok() && is_absent(backend.status())) GTEST_SKIP() << backend.status();
  ASSERT_TRUE(backend.ok()) << backend.status();
  const Pairs pairs(folder);
  std::vector<float> logits(pairs.golden.size());
  ASSERT_TRUE((*backend)->forward(pairs.batch, logits).ok());
  for (size_t i = 0; i < logits.size(); ++i)
    EXPECT_NEAR(logits[i], pairs.golden[i].logit, testing::tolerance(GetParam().engine, Precision::kFp32).recorded)
        << i;
}

INSTANTIATE_TEST_SUITE_P(
    Graphs, ExportedGraphTest,
    ::testing::Values(Exported{"onnx_torchscript_exporter", EngineKind::kOnnx, "bert-a-torchscript.onnx", "bert-a"},
                      Exported{"onnx_dynamo_exporter", EngineKind::kOnnx, "xlm-roberta-a-dynamo.onnx", "xlm-roberta-a"},
                      Exported{"torchscript", EngineKind::kTorchscript, "bert-a.torchscript", "bert-a"}),
    [](const auto& info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(Engines, EngineConformanceTest, ::testing::ValuesIn(rows()), [](const auto& info) {
  const engine::BackendOptions& options = info.param.options;
  std::string name = str_cat(word_of(info.param.engine), "_", word_of(options.precision), "_",
                             info.param.name.empty() ? word_of(options.kernel) : info.param.name);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace rerank
