// Which of a repository's files are taken: GGUF files, and graphs where there are no weights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <tuple>

#include "base/log.h"
#include "base/mapped_file.h"
#include "base/strings.h"
#include "convert/verify.h"
#include "convert/writers.h"
#include "engine/registry.h"
#include "local_hub.h"
#include "model/hub.h"
#include "model/weights.h"
#include "rank/locate.h"
#include "support/tolerances.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const std::string kModel = RERANKD_SOURCE_DIR "/tests/data/models/bert-a";

TEST_F(HubTest, TakesGgufFiles) {
  const std::string file = *read_file(RERANKD_SOURCE_DIR "/tests/data/gguf/qwen3-q8_0/model.gguf", 1u << 30);
  hub_.add("tiny-Q8_0.gguf", file);
  hub_.add("mmproj-F16.gguf", file);
  auto found = model::fetch_from_hub("org/tiny", "main", options());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, cache_ + "/models--org--tiny/snapshots/c0ffee/tiny-Q8_0.gguf");
  EXPECT_TRUE(model::load_model(*found).ok()) << model::load_model(*found).status();
  EXPECT_EQ(*model::fetch_from_hub("org/tiny", "main", options(true)), *found);
  EXPECT_EQ(*model::weight_bytes_on_hub("org/tiny", "main", options()), file.size());

  fs::remove_all(cache_);
  hub_.add("tiny-Q4_K_M.gguf", file);
  EXPECT_THAT(model::fetch_from_hub("org/tiny", "main", options()).status().ToString(),
              AllOf(HasSubstr("several GGUF files"), HasSubstr("--model org/tiny:NAME"), HasSubstr("tiny-Q8_0.gguf")));
  Options wanted;
  wanted.model.source.hub_endpoint = hub_.endpoint();
  wanted.model.source.hub_cache = cache_;
  const auto locate = [&](const std::string& name) {
    wanted.model.source.model = name;
    return rank::locate_model(wanted);
  };
  const auto part = locate("org/tiny:q4_k");
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_THAT(part->folder, ::testing::EndsWith("/tiny-Q4_K_M.gguf"));
  EXPECT_EQ(part->name, "tiny-reranker");
  EXPECT_THAT(locate("org/tiny:tiny-Q8_0.gguf")->folder, ::testing::EndsWith("/tiny-Q8_0.gguf"));
  EXPECT_THAT(locate("org/tiny:Q5_K").status().ToString(), HasSubstr("no GGUF file is named by `Q5_K`"));
}

class GraphHubTest : public HubTest {
 protected:
  void SetUp() override {
    HubTest::SetUp();
    auto loaded = model::load_model(kModel);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    model_ = *loaded;
    const std::string out = ::testing::TempDir() + "/hub_test_graphs";
    for (const char* name : {"config.json", "tokenizer.json"})
      hub_.add(name, *read_file(str_cat(kModel, "/", name), 1u << 20));
    for (const auto& [precision, name, beside] : {std::tuple(Precision::kFp32, "onnx/model.onnx", true),
                                                  std::tuple(Precision::kInt8, "onnx/model_quantized.onnx", false)}) {
      convert::ConvertOptions convert;
      convert.precision = precision;
      if (beside) convert.inline_bytes = 0;
      ASSERT_TRUE(convert::write_onnx(*model_, out, convert).ok());
      hub_.add(name, *read_file(out + "/model.onnx", 1u << 30));
      if (beside) hub_.add("onnx/model.onnx_data", *read_file(out + "/model.onnx_data", 1u << 30));
    }
  }

  Options served(EngineKind engine, Precision precision = Precision::kAuto, const std::string& file = "") {
    Options o;
    o.model.source.model = "org/tiny";
    o.model.engine.engine = engine, o.model.engine.precision = precision, o.model.engine.onnx_file = file;
    o.model.source.hub_endpoint = hub_.endpoint(), o.model.source.hub_cache = cache_;
    return o;
  }

  std::shared_ptr<const model::Model> model_;
};

TEST_F(GraphHubTest, TheGraphIsTakenWhereThereAreNoWeights) {
  std::string lines;
  set_log_sink([&](LogLevel, std::string_view line, std::span<const LogField>) { lines += str_cat(line, "\n"); });
  Options options = served(EngineKind::kAuto);
  auto located = rank::locate_model(options);
  set_log_sink({});
  ASSERT_TRUE(located.ok()) << located.status();
  EXPECT_THAT(lines, HasSubstr("no weights on the hub, so its graph onnx/model.onnx was taken, for engine onnx"));
  EXPECT_THAT(hub_.downloaded(),
              UnorderedElementsAre("config.json", "tokenizer.json", "onnx/model.onnx", "onnx/model.onnx_data"));
  // It computes what the weights do: files behind links, weights beside the graph.
  auto loaded = model::load_model(located->folder);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  auto backend = engine::open_backend(*loaded, EngineKind::kAuto, engine::backend_options(options));
  const std::string_view refusal = message_of(backend.status());
  if (refusal.find("built without it, for ONNX") != std::string_view::npos ||
      refusal.find("is not there (looked") != std::string_view::npos)
    GTEST_SKIP() << refusal;
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->info().engine_text(), "onnx");
  const auto found = convert::verify_converted(model_, 0, **backend, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_LT(found->largest, testing::tolerance(EngineKind::kOnnx, Precision::kFp32).generated);
}

TEST_F(GraphHubTest, OneFileIsTakenAndTheCacheIsEnough) {
  hub_.add("model.safetensors", "never asked for");
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx, Precision::kInt8)).ok());
  EXPECT_THAT(hub_.downloaded(), UnorderedElementsAre("config.json", "tokenizer.json", "onnx/model_quantized.onnx"));
  // The other graph is another wish, whatever is in the cache.
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx)).ok());
  EXPECT_THAT(hub_.downloaded(), Contains("onnx/model.onnx_data"));
  EXPECT_THAT(hub_.downloaded(), Not(Contains("model.safetensors")));
  const size_t requests = hub_.seen().size();
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx)).ok());
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx, Precision::kAuto, "onnx/model_quantized.onnx")).ok());
  Options offline = served(EngineKind::kAuto);
  offline.model.source.hub_offline = true;
  EXPECT_TRUE(rank::locate_model(offline).ok());
  EXPECT_EQ(hub_.seen().size(), requests);
  // A file of weights that has gone from the cache is fetched again.
  fs::remove(cache_ + "/models--org--tiny/snapshots/c0ffee/onnx/model.onnx_data");
  fs::remove(cache_ + "/models--org--tiny/blobs/onnx-model.onnx_data-etag");
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx)).ok());
  EXPECT_GT(hub_.seen().size(), requests);
}

TEST_F(GraphHubTest, AGraphThatIsNotThereIsNamedWithThoseThatAre) {
  const auto error = [&](const Options& o) { return std::string(message_of(rank::locate_model(o).status())); };
  EXPECT_THAT(error(served(EngineKind::kOnnx, Precision::kFp16)),
              AllOf(HasSubstr("onnx/model_fp16.onnx"), HasSubstr("onnx/model_quantized.onnx")));
  EXPECT_THAT(error(served(EngineKind::kOnnx, Precision::kAuto, "onnx/model_O9.onnx")),
              HasSubstr("onnx/model_O9.onnx"));
  EXPECT_THAT(error(served(EngineKind::kOnnx, Precision::kAuto, "../../nowhere.onnx")),
              HasSubstr("neither a file here nor a name"));
  EXPECT_THAT(error(served(EngineKind::kCpu)), HasSubstr("neither model.safetensors"));
}

}  // namespace
}  // namespace rerank
