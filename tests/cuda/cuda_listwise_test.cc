// Models that read the documents of a request together, on the emulated engine: vectors of marked tokens, of blocks as
// their makers' code gives them, and through the service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "engine/cuda/model_spec.h"
#include "engine/encoder.h"
#include "engine/reference/reference_backend.h"
#include "engine/registry.h"
#include "rank/lists/list_scores.h"
#include "rank/rank_test.h"
#include "support.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank {
namespace {

using emulation::Order;
using ::testing::HasSubstr;

using Vectors = std::vector<float>;

constexpr size_t kReserved = size_t{256} << 20;  // what a small device leaves to others

std::shared_ptr<const model::Model> list_model(const char* name) { return load(testing::list_model(name)); }

// The blocks that are recorded, up to a length.
std::vector<testing::GoldenBlock> blocks_of(const model::Model& model, size_t longest) {
  std::vector<testing::GoldenBlock> blocks;
  for (testing::GoldenList& list : testing::read_golden_lists(model.folder))
    for (testing::GoldenBlock& block : list.blocks)
      if (!block.ids.empty() && block.ids.size() <= longest) blocks.push_back(std::move(block));
  return blocks;
}

engine::OwnedBatch batch_of(const std::vector<testing::GoldenBlock>& blocks) {
  engine::OwnedBatch batch;
  for (const testing::GoldenBlock& block : blocks) batch.add(block.ids);
  return batch;
}

// Of a document's and a query's token every `step` tokens.
engine::OwnedBatch marked_batch(const model::Architecture& a, std::initializer_list<size_t> lengths, size_t step) {
  engine::OwnedBatch batch = testing::random_batch(lengths, a.embedding.vocabulary, 1, 5);
  const auto document = static_cast<int32_t>(a.scoring.marks->document_id),
             query = static_cast<int32_t>(a.scoring.marks->query_id);
  for (size_t t = 0; t < batch.ids.size(); ++t) {
    if (batch.ids[t] == document || batch.ids[t] == query) batch.ids[t] = 0;
    if (t % step == step - 1) batch.ids[t] = t % (2 * step) == step - 1 ? document : query;
  }
  return batch;
}

Vectors vectors_of(const model::Model& model, engine::Backend& backend, const engine::Batch& batch) {
  Vectors vectors(engine::result_count(model.architecture(), batch));
  const Status status = backend.forward(batch, vectors);
  EXPECT_TRUE(status.ok()) << status;
  return vectors;
}

double tolerance(Precision precision) { return testing::tolerance(EngineKind::kCuda, precision).recorded; }

struct Case {
  Precision precision;
  Order order;
};

class CudaListwiseTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    emulation::settings().order = GetParam().order;
    emulation::graphs() = {};
  }
  void TearDown() override { emulation::settings() = {}; }

  Precision precision() const { return GetParam().precision; }
  std::unique_ptr<engine::Backend> open_with(std::shared_ptr<const model::Model> model,
                                             engine::BackendOptions options = {}) const {
    options.precision = precision();
    return open(std::move(model), options);
  }
};

INSTANTIATE_TEST_SUITE_P(Precisions, CudaListwiseTest,
                         ::testing::Values(Case{Precision::kFp32, Order::kLate}, Case{Precision::kFp16, Order::kEarly},
                                           Case{Precision::kBf16, Order::kCopiesLate},
                                           Case{Precision::kFp8, Order::kLate}),
                         [](const auto& info) { return std::string(word_of(info.param.precision)); });

TEST_P(CudaListwiseTest, EqualsTheRecordedScoresOfEachBlock) {
  for (const char* name : {"jina-v3-a", "jina-v3-b"}) {
    const auto model = list_model(name);
    const auto blocks = blocks_of(*model, precision() == Precision::kFp32 ? 1400 : 620);  // for time
    ASSERT_GE(blocks.size(), precision() == Precision::kFp32 ? 9u : 3u);
    const size_t width = model->architecture().scoring.labels;
    const auto batch = batch_of(blocks);
    const Vectors vectors = vectors_of(*model, *open_with(model), batch);
    size_t at = 0;
    for (const testing::GoldenBlock& block : blocks) {
      const text::ListBlock shape = {.first = 0, .count = block.scores.size(), .ids = {}, .tokens = {}};
      const size_t floats = (shape.count + 1) * width;
      const auto scores = rank::list_scores({&shape, 1}, std::span(vectors).subspan(at, floats), width);
      for (size_t i = 0; i < scores.size(); ++i)
        EXPECT_NEAR(scores[i], block.scores[i], tolerance(precision())) << name << " of " << block.ids.size();
      at += floats;
    }
    EXPECT_EQ(at, vectors.size());
  }
}

// What is in the batch, which buffers there are already, and whether launches are a graph's, changes no bit.
TEST_P(CudaListwiseTest, ABlocksVectorsAreItsOwn) {
  const auto model = list_model("jina-v3-b");
  const model::Architecture& a = model->architecture();
  const auto backend = open_with(model);
  // The same class of rows with other numbers of marked tokens, twice and more: then there is a graph.
  for (const size_t step : {1, 3, 40}) {
    const auto batch = marked_batch(a, {130, 7, 129, 140}, step);
    Vectors alone;
    for (size_t s = 0; s < batch.size(); ++s) {
      engine::OwnedBatch one;
      one.add(batch, s);
      const Vectors own = vectors_of(*model, *open_with(model, {.cuda_graphs = false}), one);
      alone.insert(alone.end(), own.begin(), own.end());
    }
    for (int round = 0; round < 2; ++round)
      EXPECT_EQ(vectors_of(*model, *backend, batch), alone) << "a mark every " << step << ", round " << round;
  }
  EXPECT_GT(emulation::graphs().launched, 8u);
  EXPECT_EQ(backend->prefix_counters(), nullptr) << "no block's beginning is kept";
}

TEST_P(CudaListwiseTest, EqualsTheReferenceAtEachDepth) {
  const auto model = list_model("jina-v3-b");
  auto batch = marked_batch(model->architecture(), {90, 33, 64}, 7);
  const auto backend = open_with(model);
  for (const uint8_t layers : {1, 2, 3}) {
    batch.layers.assign(batch.size(), layers);
    const Vectors expected = vectors_of(*model, *engine::make_reference_backend(model), batch);
    const Vectors found = vectors_of(*model, *backend, batch);
    const auto [low, high] = std::ranges::minmax(expected);
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(found[i], expected[i], tolerance(precision()) * std::max(1.0f, (high - low) / 2)) << layers;
  }
}

// Heads that go through the tensor cores, blocks of many tiles, and a stream that is narrow in FP8 (post-norm).
TEST_P(CudaListwiseTest, LongBlocksOfWideHeadsEqualTheReference) {
  auto model = std::make_shared<model::Model>(
      *load(testing::write_tiny_model({.layers = 2, .hidden = 128, .heads = 2, .positions = 1100}, "cuda_lists")));
  model::Architecture& a = model->config.architecture;
  a.scoring.rows = model::ScoredRows::kMarked;
  a.scoring.marks = model::Marks{.document = "d", .query = "q", .document_id = 11, .query_id = 12};
  for (model::Block& block : a.blocks) block.attention.mask = model::MaskKind::kCausal;
  const auto batch = marked_batch(a, {1100, 129}, 9);
  const Vectors expected = vectors_of(*model, *engine::make_reference_backend(model), batch);
  const Vectors found = vectors_of(*model, *open_with(model), batch);
  ASSERT_EQ(found.size(), 1229u / 9);
  const double allowed = testing::tolerance(EngineKind::kCuda, precision()).generated;
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], allowed) << i;
}

TEST_P(CudaListwiseTest, TwoThreadsAndTwoDevicesComputeTheSame) {
  const auto model = list_model("jina-v3-a");
  const auto backend = open_with(model);
  const auto small = marked_batch(model->architecture(), {40, 9, 33}, 6),
             large = marked_batch(model->architecture(), {150, 1, 90}, 4);  // of one token: no marks, no vectors
  const Vectors of_small = vectors_of(*model, *open_with(model), small),
                of_large = vectors_of(*model, *open_with(model), large);
  auto other = std::async(std::launch::async, [&] {
    for (int i = 0; i < 4; ++i) EXPECT_EQ(vectors_of(*model, *backend, small), of_small) << i;
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(vectors_of(*model, *backend, large), of_large) << i;
  other.get();
  emulation::settings().devices = 2;
  const auto devices = engine::open_backend(model, EngineKind::kCuda, {.precision = precision(), .devices = "0,1"});
  ASSERT_TRUE(devices.ok()) << devices.status();
  EXPECT_EQ(vectors_of(*model, **devices, large), of_large);
  EXPECT_EQ(vectors_of(*model, **devices, small), of_small);
  emulation::settings().failed_device = 1;
  EXPECT_EQ(vectors_of(*model, **devices, large), of_large) << "the other takes over";
}

// A call fails, or memory does: an error, and the next batch is right.
TEST_P(CudaListwiseTest, AFailureIsItsBatchsAlone) {
  const auto model = list_model("jina-v3-a");
  const auto batch = marked_batch(model->architecture(), {70}, 5),
             larger = marked_batch(model->architecture(), {200}, 3);
  const Vectors expected = vectors_of(*model, *open_with(model), batch);
  const auto backend = open_with(model);
  vectors_of(*model, *backend, batch);
  size_t failures = 0;
  for (int n = 0; n < 60; n += 9) {
    Vectors vectors(engine::result_count(model->architecture(), larger));
    emulation::settings().calls_to_failure = n;
    failures += !backend->forward(larger, vectors).ok();
    emulation::settings().calls_to_failure = -1;
    EXPECT_EQ(vectors_of(*model, *backend, batch), expected) << n;
  }
  for (int n = 0; n < 12; n += 3) {
    const auto fresh = open_with(model);
    Vectors vectors(engine::result_count(model->architecture(), larger));
    emulation::settings().allocations_to_failure = n;
    const Status status = fresh->forward(larger, vectors);
    emulation::settings().allocations_to_failure = -1;
    failures += absl::IsResourceExhausted(status);
    EXPECT_EQ(vectors_of(*model, *fresh, batch), expected) << n;
  }
  EXPECT_GE(failures, 7u);
}

class CudaListTest : public ::testing::Test {
 protected:
  void SetUp() override { emulation::settings() = {}; }
  void TearDown() override { emulation::settings() = {}; }
};

// As many documents as tokens allow have room for their vectors; a block of twice as much does not fit, and is said so.
TEST_F(CudaListTest, TheBudgetCountsTheHead) {
  const auto model = list_model("jina-v3-a");
  const model::Architecture& a = model->architecture();
  const auto opened = open(model, {});
  const size_t weights = emulation::allocated();
  const auto open_with_room = [&](size_t room) {
    emulation::settings().memory = 2 * weights + room + kReserved;  // the one that is open stays
    auto backend = open(model, {});
    emulation::settings().memory -= kReserved;
    return backend;
  };
  const size_t room = size_t{1} << 20;
  const auto backend = open_with_room(room);
  const size_t tokens = backend->info().batch_tokens;
  ASSERT_GT(tokens, 200u);
  const size_t refusals = emulation::refusals();
  const auto batch = marked_batch(a, {tokens}, 8);
  const Vectors found = vectors_of(*model, *backend, batch);
  EXPECT_EQ(emulation::refusals(), refusals);
  const auto twice = marked_batch(a, {2 * tokens}, 8);
  Vectors vectors(engine::result_count(a, twice));
  const Status status = backend->forward(twice, vectors);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(vectors_of(*model, *backend, batch), found) << "what fits is computed after that";
}

// The library by itself.
TEST_F(CudaListTest, TheLibraryRefusesMarksThatAreNone) {
  const auto model = list_model("jina-v3-a");
  const engine::CudaModelSpec spec(*model);
  const engine::cuda::Plugin& plugin = *rerank_cuda_plugin();
  char error[512] = "";
  engine::cuda::Engine* library = nullptr;
  using engine::cuda::Code;
  ASSERT_EQ(plugin.open(spec.get(), engine::cuda::Type::kBf16, 0, &library, error, sizeof error), Code::kOk) << error;
  const auto batch = marked_batch(model->architecture(), {20, 12}, 4);
  const std::vector<uint32_t> queries(2, 1), none, outside = {3, 32};
  const auto with_marks = [&](const std::vector<uint32_t>& rows) {
    return engine::cuda::BatchSpec{.ids = batch.ids.data(),
                                   .segments = batch.segments.data(),
                                   .offsets = batch.offsets.data(),
                                   .queries = queries.data(),
                                   .sequences = 2,
                                   .marked_count = static_cast<uint32_t>(rows.size()),
                                   .marked_rows = rows.data()};
  };
  for (const std::vector<uint32_t>& rows : {none, outside}) {
    EXPECT_EQ(plugin.start(library, 0, with_marks(rows), error, sizeof error), Code::kFailed);
    EXPECT_THAT(std::string(error), HasSubstr("marked tokens"));
  }
  // Several blocks in one batch are as each by itself, which is all that the program asks for.
  const auto rows = engine::marked_rows(model->architecture(), batch);
  const engine::cuda::BatchSpec both = with_marks(rows);
  ASSERT_EQ(plugin.start(library, 0, both, error, sizeof error), Code::kOk) << error;
  const uint32_t first = 0;
  EXPECT_EQ(plugin.keep(library, &first, 1, error, sizeof error), Code::kFailed);
  ASSERT_EQ(plugin.start(library, 0, both, error, sizeof error), Code::kOk) << error;
  ASSERT_EQ(plugin.launch(library, spec.get().layers, error, sizeof error), Code::kOk) << error;
  Vectors vectors(rows.size() * model->architecture().scoring.labels);
  ASSERT_EQ(plugin.finish(library, 0, vectors.data(), error, sizeof error), Code::kOk) << error;
  plugin.close(library);
  EXPECT_EQ(vectors, vectors_of(*model, *open(model, {}), batch));
}

// Requests of several documents, of several blocks too (by number), beside each other.
TEST_F(CudaListTest, TheServiceScoresAsTheMakersCode) {
  for (const char* name : {"jina-v3-a", "jina-v3-b"}) {
    const auto reranker =
        rank::open(testing::list_model(name), [](Options& o) { o.model.engine.engine = EngineKind::kCuda; });
    std::vector<testing::GoldenList> lists;
    for (testing::GoldenList& list : testing::read_golden_lists(testing::list_model(name)))
      if (list.blocks[0].tokens < 800) lists.push_back(std::move(list));
    ASSERT_GE(lists.size(), 5u);
    std::vector<std::promise<Result<RerankResponse>>> answers(lists.size());
    for (size_t i = 0; i < lists.size(); ++i) {
      const auto request =
          std::make_shared<const RerankRequest>(RerankRequest{.query = lists[i].query,
                                                              .documents = lists[i].documents,
                                                              .instruction = lists[i].instruction,
                                                              .max_query_tokens = lists[i].max_query_tokens,
                                                              .max_document_tokens = lists[i].max_document_tokens});
      reranker->submit(request, [&, i](Result<RerankResponse> response) { answers[i].set_value(std::move(response)); });
    }
    for (size_t i = 0; i < lists.size(); ++i) {
      const auto response = answers[i].get_future().get();
      ASSERT_TRUE(response.ok()) << response.status();
      ASSERT_EQ(response->results.size(), lists[i].documents.size());
      for (const RankedDocument& document : response->results)
        EXPECT_NEAR(document.score, lists[i].scores[document.index], tolerance(Precision::kFp32))
            << name << " " << lists[i].query;
    }
  }
}

// One request whose documents fall into blocks, with limits that make them many: on both engines the same.
TEST_F(CudaListTest, ARequestOfSeveralBlocksScoresAsOnTheCpu) {
  RerankRequest request{.query = "what is a panda?"};
  for (int i = 0; i < 24; ++i) request.documents.push_back(i % 3 == 0 ? "a bear" : "a town");
  std::vector<std::vector<double>> scores;
  for (const EngineKind engine : {EngineKind::kCpu, EngineKind::kCuda}) {
    const auto reranker = rank::open(testing::list_model("jina-v3-a"), [&](Options& o) {
      o.model.engine.engine = engine;
      o.model.texts.max_length = 700;
    });
    request.max_document_tokens = 100;
    const auto response = reranker->rerank(request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_GT(response->total_tokens, 1400u) << "several blocks";
    std::vector<double>& own = scores.emplace_back(request.documents.size());
    for (const RankedDocument& document : response->results) own[document.index] = document.score;
  }
  for (size_t i = 0; i < scores[0].size(); ++i)
    EXPECT_NEAR(scores[0][i], scores[1][i], tolerance(Precision::kFp32)) << i;
}

}  // namespace
}  // namespace rerank
