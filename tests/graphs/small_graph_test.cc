// What a graph may look like - ids, logits, their shapes - and what becomes of one that fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"
#include "engine/registry.h"
#include "graphs/small_graph.h"
#include "rerank/reranker.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LogitShape;
using testing::SmallGraph;

const std::string kModel = RERANKD_SOURCE_DIR "/tests/data/models/bert-a";

bool is_absent(const Status& status) {
  const std::string_view message = message_of(status);
  return message.find("built without") != std::string_view::npos ||
         message.find("ONNX Runtime is not there") != std::string_view::npos;
}

Result<std::unique_ptr<engine::Backend>> open(const std::string& graph, const std::string& folder = kModel) {
  auto model = model::load_model(folder);
  if (!model.ok()) return model.status();
  engine::BackendOptions options;
  options.threads = 1;
  options.onnx_file = graph;
  return engine::open_backend(*model, EngineKind::kOnnx, options);
}

engine::OwnedBatch batch_of(const std::vector<std::vector<int32_t>>& sequences) {
  engine::OwnedBatch batch;
  for (const auto& ids : sequences) batch.add(ids);
  return batch;
}

TEST(SmallGraphTest, EveryShapeOfLogitsAndEveryTypeOfIdsIsRead) {
  const engine::OwnedBatch batch = batch_of({{2, 7, 3}, {2, 9, 11, 3}, {5}});
  for (const LogitShape shape : {LogitShape::kN, LogitShape::kNx1, LogitShape::kNx2}) {
    for (const bool int32_ids : {false, true}) {
      for (const bool half_logits : {false, true}) {
        const SmallGraph spec{shape, int32_ids, half_logits};
        auto backend = open(testing::write_small_graph(spec, "small.onnx"));
        if (!backend.ok() && is_absent(backend.status())) GTEST_SKIP() << backend.status();
        ASSERT_TRUE(backend.ok()) << backend.status();
        std::vector<float> logits(3);
        ASSERT_TRUE((*backend)->forward(batch, logits).ok());
        EXPECT_THAT(logits, ::testing::ElementsAre(12, 25, 5)) << static_cast<int>(shape) << int32_ids << half_logits;
      }
    }
  }
}

TEST(SmallGraphTest, PositionsBeginWhereTheModelsDo) {
  const std::string graph = testing::write_small_graph({.positions = true}, "positions.onnx");
  const engine::OwnedBatch batch = batch_of({{2, 7, 3}, {2, 9}});
  std::vector<float> logits(2);
  for (const auto& [name, first] : {std::pair("bert-a", 0), std::pair("xlm-roberta-a", 2)}) {
    auto backend = open(graph, str_cat(RERANKD_SOURCE_DIR, "/tests/data/models/", name));
    if (!backend.ok() && is_absent(backend.status())) GTEST_SKIP() << backend.status();
    ASSERT_TRUE(backend.ok()) << backend.status();
    ASSERT_TRUE((*backend)->forward(batch, logits).ok());
    EXPECT_THAT(logits, ::testing::ElementsAre(12 + 3 * first + 3, 11 + 2 * first + 1)) << name;
  }
}

// Of the recorded model's tokenizer: "into".
constexpr int32_t kGreedy = 297;

TEST(SmallGraphTest, OutOfMemoryIsOneBatchesError) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers end the process where new would throw";
#endif
  auto backend = open(testing::write_small_graph({.greedy_id = kGreedy}, "greedy.onnx"));
  if (!backend.ok() && is_absent(backend.status())) GTEST_SKIP() << backend.status();
  ASSERT_TRUE(backend.ok()) << backend.status();
  std::vector<float> logits(1);
  const auto run = [&](std::vector<int32_t> ids) { return (*backend)->forward(batch_of({ids}), logits); };
  ASSERT_TRUE(run({7, 8, 9}).ok());
  EXPECT_EQ(logits[0], 24);
  const Status failed = run({7, kGreedy, 8, 9});
  EXPECT_TRUE(absl::IsInternal(failed)) << failed;
  EXPECT_THAT(std::string(message_of(failed)), HasSubstr("1 x 4 tokens"));
  EXPECT_TRUE(run({7, 8, 9}).ok());
}

// The same through the whole service, from a folder that holds nothing but a graph.
TEST(SmallGraphTest, ABatchThatFailsIsItsRequestsError) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers end the process where new would throw";
#endif
  const std::string folder = ::testing::TempDir() + "/greedy_model";
  fs::create_directories(folder);
  for (const char* name : {"config.json", "tokenizer.json"})
    fs::copy_file(kModel + "/" + name, folder + "/" + name, fs::copy_options::overwrite_existing);
  fs::rename(testing::write_small_graph({.greedy_id = kGreedy}, "greedy.onnx"), folder + "/model.onnx");
  std::mutex mutex;
  std::string lines;
  set_log_sink([&](LogLevel, std::string_view line, std::span<const LogField>) {
    const std::lock_guard lock(mutex);
    lines += str_cat(line, "\n");
  });
  Options options;
  options.model.source.model = folder;
  options.host.caches.cache_bytes = 0;
  auto reranker = Reranker::open(options);
  set_log_sink({});
  if (!reranker.ok() && is_absent(reranker.status())) GTEST_SKIP() << reranker.status();
  ASSERT_TRUE(reranker.ok()) << reranker.status();
  EXPECT_THAT(lines,
              AllOf(HasSubstr("engine onnx picked; not cuda: "), HasSubstr("; not cpu: "),
                    HasSubstr("model.safetensors"), HasSubstr("; not torchscript: "), HasSubstr("; not reference: ")));
  const auto ask = [&](const std::string& document) {
    return (*reranker)->rerank({.query = "now", .documents = {document}});
  };
  const auto before = ask("this and then");
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_TRUE(absl::IsInternal(ask("into").status())) << ask("into").status();
  const auto after = ask("this and then");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->results[0].logit, before->results[0].logit);
}

}  // namespace
}  // namespace rerank
