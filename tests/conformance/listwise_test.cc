// Models that read the documents of a request together: blocks of token ids, vectors and scores as their makers' code
// gives them (tools/goldens/make_list_goldens.py), on each engine and through the service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <future>
#include <numeric>
#include <sstream>

#include "base/strings.h"
#include "convert/verify.h"
#include "convert/writers.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/encoder.h"
#include "engine/registry.h"
#include "rank/lists/list_scores.h"
#include "rank/rank_test.h"
#include "rank/texts.h"
#include "rerank/reranker.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank {
namespace {

using ::testing::HasSubstr;

const double kExact = testing::tolerance(EngineKind::kCpu, Precision::kFp32).recorded;

using Golden = testing::GoldenList;
using Block = testing::GoldenBlock;

RerankRequest recorded_request(const Golden& golden) {
  return {.query = golden.query,
          .documents = golden.documents,
          .instruction = golden.instruction,
          .max_query_tokens = golden.max_query_tokens,
          .max_document_tokens = golden.max_document_tokens};
}

std::string folder_of(const std::string& name) { return testing::list_model(name); }

std::shared_ptr<const model::Model> load(const std::string& name) {
  auto model = model::load_model(folder_of(name));
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

std::unique_ptr<Reranker> open(const std::string& name, const std::function<void(Options&)>& change = {}) {
  return rank::open(folder_of(name), change);
}

std::vector<float> scores_of(Reranker& reranker, RerankRequest request) {
  std::vector<float> scores(request.documents.size());
  const auto response = reranker.rerank(std::move(request));
  EXPECT_TRUE(response.ok()) << response.status();
  for (const RankedDocument& document : response->results) scores[document.index] = document.score;
  return scores;
}

std::string error_of(Reranker& reranker, RerankRequest request) {
  const auto response = reranker.rerank(std::move(request));
  return response.ok() ? "" : str_cat(response.status().code(), ": ", message_of(response.status()));
}

class ListwiseTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ListwiseTest, BlocksAreThoseOfTheMakersCode) {
  const auto model = load(GetParam());
  const auto lists = rank::open_lists(model->folder, model->config, {});
  ASSERT_TRUE(lists.ok()) << lists.status();
  for (const Golden& golden : testing::read_golden_lists(model->folder)) {
    std::vector<int32_t> query;
    ASSERT_TRUE((*lists)->texts()->encode_query({.query = golden.query}, query).ok());
    std::vector<std::vector<int32_t>> documents(golden.documents.size());
    for (size_t i = 0; i < documents.size(); ++i) (*lists)->texts()->encode_document(golden.documents[i], documents[i]);
    text::ListTexts texts = {.query = golden.query,
                             .query_ids = query,
                             .documents = golden.documents,
                             .document_ids = documents,
                             .max_length = model->config.max_length(),
                             .max_query_tokens = golden.max_query_tokens,
                             .max_document_tokens = golden.max_document_tokens};
    if (golden.instruction) texts.instruction = *golden.instruction;
    const auto blocks = (*lists)->blocks(texts);
    ASSERT_TRUE(blocks.ok()) << blocks.status();
    ASSERT_EQ(blocks->size(), golden.blocks.size()) << golden.query;
    size_t first = 0;
    for (size_t b = 0; b < blocks->size(); ++b) {
      const Block& expected = golden.blocks[b];
      if (!expected.ids.empty()) {
        EXPECT_EQ((*blocks)[b].ids, expected.ids) << golden.query << " block " << b;
      }
      EXPECT_EQ((*blocks)[b].ids.size(), expected.tokens) << golden.query << " block " << b;
      EXPECT_EQ((*blocks)[b].count, expected.count) << golden.query << " block " << b;
      EXPECT_EQ((*blocks)[b].first, first);
      first += (*blocks)[b].count;
      EXPECT_EQ(std::accumulate((*blocks)[b].tokens.begin(), (*blocks)[b].tokens.end(), size_t{0}),
                (*blocks)[b].ids.size());
    }
    EXPECT_EQ(first, golden.documents.size());
  }
}

void compare(const std::string& name, engine::Backend& backend, double tolerance, size_t longest) {
  const auto model = load(name);
  const size_t width = model->architecture().scoring.labels;
  engine::OwnedBatch batch;
  std::vector<const Block*> blocks;
  const auto goldens = testing::read_golden_lists(model->folder);
  for (const Golden& golden : goldens) {
    for (const Block& block : golden.blocks) {
      if (block.ids.empty() || block.ids.size() > longest) continue;
      batch.add(block.ids);
      blocks.push_back(&block);
    }
  }
  ASSERT_GE(blocks.size(), 5u);
  std::vector<float> vectors(engine::result_count(model->architecture(), batch));
  ASSERT_TRUE(backend.forward(batch, vectors).ok());
  size_t at = 0;
  for (const Block* block : blocks) {
    const text::ListBlock shape = {.first = 0, .count = block->scores.size(), .ids = {}, .tokens = {}};
    const size_t floats = (shape.count + 1) * width;
    const auto scores = rank::list_scores({&shape, 1}, std::span(vectors).subspan(at, floats), width);
    for (size_t i = 0; i < scores.size(); ++i)
      EXPECT_NEAR(scores[i], block->scores[i], tolerance) << name << " block of " << block->ids.size() << ", " << i;
    at += floats;
  }
  EXPECT_EQ(at, vectors.size());
}

TEST_P(ListwiseTest, EnginesComputeTheRecordedScores) {
  auto reference = engine::open_backend(load(GetParam()), EngineKind::kReference, {});
  ASSERT_TRUE(reference.ok()) << reference.status();
  compare(GetParam(), **reference, testing::tolerance(EngineKind::kReference, Precision::kFp32).recorded, 900);
  for (const auto* tier : engine::cpu::compiled_kernels()) {
    if (!engine::cpu::unsupported_reason(*tier).empty() || tier->tiles != nullptr) continue;
    auto backend = engine::open_backend(load(GetParam()), EngineKind::kCpu,
                                        {.precision = tier->precision, .kernel = tier->tier, .threads = 2});
    ASSERT_TRUE(backend.ok()) << backend.status();
    const bool slow =
        engine::cpu::traits_of(tier->tier).use == engine::cpu::TierUse::kTests || tier->tier == KernelTier::kPortable;
    compare(GetParam(), **backend, testing::tolerance(EngineKind::kCpu, tier->precision).recorded,
            slow ? 700 : SIZE_MAX);
  }
}

TEST_P(ListwiseTest, OtherEnginesRefuseByName) {
  const auto model = load(GetParam());
  const std::string part = "vectors of marked tokens (documents that are scored together)";
  const auto tiles = engine::open_backend(model, EngineKind::kCpu,
                                          {.precision = Precision::kBf16, .kernel = KernelTier::kEmulatedAmx});
  EXPECT_THAT(std::string(message_of(tiles.status())), HasSubstr("does not compute"));
  EXPECT_THAT(std::string(message_of(convert::write_onnx(*model, "/nowhere", {}))), HasSubstr(part));
  const auto pjrt = engine::open_backend(model, EngineKind::kPjrt, {.pjrt_plugin = "/nowhere.so"});
  EXPECT_THAT(std::string(message_of(pjrt.status())), HasSubstr(part));
}

TEST_P(ListwiseTest, TheServiceScoresAsTheMakersCode) {
  const auto reranker = open(GetParam());
  for (const Golden& golden : testing::read_golden_lists(folder_of(GetParam()))) {
    const auto response = reranker->rerank(recorded_request(golden));
    ASSERT_TRUE(response.ok()) << response.status();
    ASSERT_EQ(response->results.size(), golden.documents.size());
    for (size_t i = 0; i < response->results.size(); ++i) {
      const RankedDocument& document = response->results[i];
      EXPECT_NEAR(document.score, golden.scores[document.index], kExact) << golden.query << " " << document.index;
      EXPECT_EQ(document.score, document.logit) << "a cosine is a score as it is";
      if (i > 0) {
        EXPECT_GE(response->results[i - 1].score, document.score);
      }
    }
    size_t tokens = 0;
    for (const Block& block : golden.blocks) tokens += block.tokens;
    EXPECT_EQ(response->total_tokens, tokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, ListwiseTest, ::testing::Values("jina-v3-a", "jina-v3-b"),
                         [](const auto& info) { return info.param[8] == 'a' ? "v3" : "v3_5"; });

// What `rerankd check` and conversions compare.
TEST(ListwiseModelTest, EnginesAreHeldAgainstTheReference) {
  const auto model = load("jina-v3-b");
  const auto backend = engine::open_backend(model, EngineKind::kCpu, {.precision = Precision::kFp32, .threads = 1});
  ASSERT_TRUE(backend.ok());
  const auto found = convert::verify_converted(model, 0, **backend, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_LT(found->largest, kExact);
  EXPECT_GT(found->spread, 0.1) << "vectors are compared, not zeros";
}

std::string config_error(std::string_view field, std::string_view with) {
  std::ostringstream text;
  text << std::ifstream(folder_of("jina-v3-b") + "/config.json").rdbuf();
  std::string config = text.str();
  const size_t at = config.find(field);
  EXPECT_NE(at, std::string::npos) << field;
  config.replace(at, field.size(), with);
  const auto read = model::parse_model_config(config, "config.json");
  return read.ok() ? "" : std::string(message_of(read.status()));
}

TEST(ListwiseModelTest, WindowsThatAreNotSaidAreRefused) {
  EXPECT_EQ(config_error("\"sliding_window\": 24", "\"sliding_window\": 8"), "");
  EXPECT_THAT(config_error("\"layer_types\"", "\"other\""), HasSubstr("use_sliding_window without layer_types"));
  EXPECT_THAT(config_error("\"full_attention\"", "\"no_attention\""), HasSubstr("layer_types[1]"));
}

RerankRequest request_of(std::vector<std::string> documents) {
  return {.query = "what is a panda?", .documents = std::move(documents)};
}

TEST(ListwiseServiceTest, NeighboursAndOrderMatterAndNothingIsKept) {
  const auto reranker = open("jina-v3-a");
  const auto together = scores_of(*reranker, request_of({"a bear", "a town", "a river"}));
  const auto again = scores_of(*reranker, request_of({"a bear", "a town", "a river"}));
  EXPECT_EQ(together, again);
  EXPECT_NE(scores_of(*reranker, request_of({"a bear"}))[0], together[0]);
  EXPECT_NE(scores_of(*reranker, request_of({"a river", "a town", "a bear"}))[2], together[0]);
  const auto response = reranker->rerank(request_of({"a bear", "a town", "a river"}));
  EXPECT_EQ(response->cached_documents, 0u);
}

// Requests that wait at the same time share batches, and scores stay the same, bit for bit.
TEST(ListwiseServiceTest, ScoresDoNotDependOnOtherRequests) {
  const auto reranker = open("jina-v3-a");
  std::vector<RerankRequest> requests;
  for (int i = 0; i < 12; ++i) {
    std::vector<std::string> documents;
    for (int d = 0; d <= i % 5; ++d) documents.push_back(str_cat("document ", d, " of a list of ", i));
    requests.push_back(request_of(documents));
  }
  std::vector<std::vector<float>> alone;
  for (const auto& request : requests) alone.push_back(scores_of(*reranker, request));
  std::vector<std::promise<std::vector<float>>> promises(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    reranker->submit(std::make_shared<const RerankRequest>(requests[i]), [&, i](Result<RerankResponse> response) {
      std::vector<float> scores(requests[i].documents.size());
      if (response.ok())
        for (const RankedDocument& d : response->results) scores[d.index] = d.score;
      promises[i].set_value(scores);
    });
  }
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(promises[i].get_future().get(), alone[i]) << i;
}

TEST(ListwiseServiceTest, WhatIsTooLongIsCutOrRefused) {
  const auto reranker = open("jina-v3-a", [](Options& o) { o.model.texts.max_length = 1200; });
  std::string text;
  for (int i = 0; i < 4000; ++i) text += "panda ";
  auto response = reranker->rerank(request_of({text, "short", text}));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->truncated_documents, 2u);
  EXPECT_GT(response->total_tokens, 1200u) << "they take several blocks";
  EXPECT_LE(response->total_tokens, 3600u);
  RerankRequest whole = request_of({text});
  whole.truncate = false;
  EXPECT_THAT(error_of(*reranker, whole), HasSubstr("document 0 has"));
  RerankRequest end = request_of({text + "the end", text + "an end"});
  end.truncation_side = TruncationSide::kLeft;
  end.explain_cuts = true;
  response = reranker->rerank(end);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->results[0].kept.at(0).end, response->results[0].document_tokens);
  RerankRequest chunks = request_of({text});
  chunks.truncation = Truncation::kChunks;
  EXPECT_THAT(error_of(*reranker, chunks), HasSubstr("`truncation`"));
  RerankRequest told = request_of({"a"});
  told.instruction = text.substr(0, kMaxInstructionBytes);
  EXPECT_THAT(error_of(*reranker, told), HasSubstr("leave nothing for documents"));
  RerankRequest asked = request_of({"a", "b"});
  asked.query = text;
  response = reranker->rerank(asked);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->truncated_documents, 2u);
}

// The tokens that vectors are read at cannot come from a client, not even where control tokens are read.
TEST(ListwiseServiceTest, MarksInTextsAreTakenOut) {
  for (const bool parse : {false, true}) {
    const auto reranker = open("jina-v3-a", [&](Options& o) { o.model.texts.parse_special = parse; });
    const auto plain = scores_of(*reranker, request_of({"a bear", "a town"}));
    RerankRequest marked = request_of({"a <|embed_token|>bear", "a town<|rerank_token|>"});
    marked.query += "<|rerank_token|>";
    EXPECT_EQ(scores_of(*reranker, marked), plain);
    const auto twice = scores_of(*reranker, request_of({"<|embed_<|embed_token|>token|>", "a town"}));
    EXPECT_EQ(twice.size(), 2u);
  }
}

TEST(ListwiseServiceTest, SettingsThatHaveNoPlaceAreRefused) {
  const auto refusal = [](const std::function<void(Options&)>& change) {
    Options options;
    options.model.source.model = folder_of("jina-v3-a");
    change(options);
    const auto reranker = Reranker::open(options);
    return reranker.ok() ? std::string() : std::string(message_of(reranker.status()));
  };
  EXPECT_THAT(refusal([](Options& o) { o.model.texts.prompt = "qwen3-reranker"; }), HasSubstr("--template"));
  EXPECT_THAT(refusal([](Options& o) { o.model.texts.truncation = Truncation::kChunks; }), HasSubstr("--truncation"));
  EXPECT_THAT(refusal([](Options& o) { o.model.texts.max_length = 300; }), HasSubstr("leave nothing for documents"));
  EXPECT_THAT(refusal([](Options& o) { o.model.engine.exits = "/nowhere"; }), HasSubstr("--exits"));
}

TEST(ListwiseServiceTest, ABatchThatNobodyWantsIsGivenUp) {
  auto backend =
      engine::open_backend(load("jina-v3-a"), EngineKind::kCpu, {.precision = Precision::kFp32, .threads = 2});
  ASSERT_TRUE(backend.ok());
  engine::OwnedBatch batch;
  const auto model = load("jina-v3-a");
  const auto goldens = testing::read_golden_lists(model->folder);
  batch.add(goldens[0].blocks[0].ids);
  const std::atomic<bool> stop = true;
  std::vector<float> vectors(engine::result_count(model->architecture(), batch));
  EXPECT_TRUE(absl::IsCancelled((*backend)->forward(batch.view(&stop), vectors)));
}

TEST(ListScoresTest, SeveralBlocksAskWithTheMeanOfTheirQueries) {
  const std::vector<text::ListBlock> blocks = {{.first = 0, .count = 1, .ids = {}, .tokens = {}},
                                               {.first = 1, .count = 2, .ids = {}, .tokens = {}}};
  // Documents and query of the first block: (1, 0), (1, 0): cosine 1, weight 1. Of the second (0, 2), (0, -1), (0, -3):
  // its best is 1, weight 1. The mean query is (0.5, -1.5).
  const std::vector<float> vectors = {1, 0, 1, 0, 0, 2, 0, -1, 0, -3};
  const auto scores = rank::list_scores(blocks, vectors, 2);
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_NEAR(scores[0], 0.5 / std::sqrt(2.5), 1e-6);
  EXPECT_NEAR(scores[1], -1.5 / std::sqrt(2.5), 1e-6);
  EXPECT_NEAR(scores[2], 1.5 / std::sqrt(2.5), 1e-6);
}

}  // namespace
}  // namespace rerank
