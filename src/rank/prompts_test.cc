// Decoders through the service: scores of prompts as transformers gives them, instructions, templates of folders, and
// adaptive depth of layerwise models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "base/metrics.h"
#include "base/strings.h"
#include "model/weights.h"
#include "rank/rank_test.h"
#include "rank/warm_up.h"
#include "rerank/reranker.h"
#include "simdjson.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank::rank {
namespace {

// A recorded decoder that takes prompts longer than the recorded sequences: RoPE has no table.
std::string decoder_with_room(const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path from = fs::path(RERANKD_SOURCE_DIR) / "tests/data/decoders" / name;
  const fs::path to = fs::path(::testing::TempDir()) / ("prompt-" + name);
  fs::create_directories(to);
  fs::copy(from, to, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  std::ostringstream config;
  config << std::ifstream(from / "config.json").rdbuf();
  const std::string limit = "\"max_position_embeddings\": 192";
  std::string text = config.str();
  text.replace(text.find(limit), limit.size(), "\"max_position_embeddings\": 4096");
  std::ofstream(to / "config.json") << text;
  return to.string();
}

TEST(PromptTest, PromptsToLogitsAsTransformers) {
  const double tolerance = testing::tolerance(EngineKind::kCpu, Precision::kFp32).recorded;
  for (const char* name : {"qwen3-a", "qwen2-a", "gemma-a", "nemotron-a"}) {
    const std::string folder = decoder_with_room(name);
    simdjson::dom::parser parser;
    for (const bool parsed : {false, true}) {
      auto reranker = open(folder, [&](Options& o) { o.model.texts.parse_special = parsed; });
      simdjson::dom::document_stream lines = parser.load_many(folder + "/prompts.jsonl");
      for (const simdjson::dom::element line : lines) {
        if (bool(line["parse_special"]) != parsed) continue;
        RerankRequest request{.query = std::string(std::string_view(line["query"])),
                              .documents = {std::string(std::string_view(line["document"]))}};
        if (!line["instruction"].is_null()) request.instruction = std::string(std::string_view(line["instruction"]));
        auto response = reranker->rerank(std::move(request));
        ASSERT_TRUE(response.ok()) << response.status();
        EXPECT_NEAR(response->results.at(0).logit, double(line["logit"]), tolerance) << name;
        EXPECT_EQ(response->results.at(0).tokens, line["ids"].get_array().size());
      }
    }
  }
}

TEST(PromptTest, AnInstructionIsPartOfTheCachesKey) {
  auto reranker = open(decoder_with_room("qwen3-a"), [](Options& o) { o.host.caches.cache_bytes = 1 << 20; });
  const auto ask = [&](std::optional<std::string> instruction) {
    auto response = reranker->rerank({.query = "q", .documents = {"a bear"}, .instruction = std::move(instruction)});
    EXPECT_TRUE(response.ok()) << response.status();
    return std::pair(response->results.at(0).logit, response->cached_documents);
  };
  const auto plain = ask(std::nullopt), other = ask("find the opposite");
  EXPECT_NE(plain.first, other.first);
  EXPECT_EQ(other.second, 0u);
  EXPECT_EQ(ask("find the opposite"), std::pair(other.first, size_t{1}));
  // The default, said or not, is one.
  EXPECT_EQ(ask("Given a web search query, retrieve relevant passages that answer the query"),
            std::pair(plain.first, size_t{1}));
}

TEST(PromptTest, AnInstructionIsRefusedByModelsWithoutAPlaceForIt) {
  auto response = open(bert())->rerank({.query = "q", .documents = {"d"}, .instruction = "i"});
  EXPECT_EQ(response.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PromptTest, ADecoderWithoutAKnownPromptIsRefused) {
  Options options;
  options.model.source.model = std::string(RERANKD_SOURCE_DIR) + "/tests/data/decoders/llama-a";
  EXPECT_THAT(Reranker::open(options).status().ToString(), ::testing::HasSubstr("Give --template"));
}

// Qwen3-Reranker's own folder says what we know of it; the token that is its score, and another template, as
// zerank-2's.
TEST(PromptTest, AFoldersChatTemplateIsTaken) {
  const std::string folder = decoder_with_room("qwen3-a");
  RerankRequest request{.query = "what is a panda?", .documents = {"a bear", ""}};
  const auto plain = open(folder)->rerank(RerankRequest(request));
  const std::string copy = ::testing::TempDir() + "rank_test_chat." + std::to_string(getpid());
  std::filesystem::remove_all(copy);
  std::filesystem::copy(folder, copy, std::filesystem::copy_options::recursive);
  const std::string query = "messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first",
                    document = "messages | selectattr('role', 'eq', 'document') | map(attribute='content') | first";
  std::ofstream(copy + "/chat_template.jinja")
      << "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
         "provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: "
         "{{ messages | selectattr('role', 'eq', 'system') | map(attribute='content') | first | default('Given a web "
         "search query, retrieve relevant passages that answer the query') }}\n<Query>: {{ "
      << query << " }}\n<Document>: {{ " << document
      << " }}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n\n";
  const auto chat = open(copy)->rerank(RerankRequest(request));
  ASSERT_TRUE(plain.ok() && chat.ok()) << plain.status() << chat.status();
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(chat->results[i].logit, plain->results[i].logit);
  RerankRequest instructed = request;
  instructed.instruction = "find the opposite";
  EXPECT_TRUE(open(copy)->rerank(std::move(instructed)).ok());

  std::ofstream(copy + "/chat_template.jinja")
      << "<|im_start|>system\n{{ " << query << " }}<|im_end|>\n<|im_start|>user\n{{ " << document
      << " }}<|im_end|>\n<|im_start|>assistant\n\n";
  const auto other = open(copy)->rerank(RerankRequest(request));
  const auto named = open(folder, [](Options& o) {
                       o.model.texts.prompt = RERANKD_SOURCE_DIR "/tests/data/chat/zerank-2.txt";
                     })->rerank(RerankRequest(request));
  ASSERT_TRUE(other.ok() && named.ok()) << other.status() << named.status();
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(other->results[i].logit, named->results[i].logit);

  std::ofstream(copy + "/chat_template.jinja") << "{{ 'query' | upper }}{{ 'document' }}";
  Options options;
  options.model.source.model = copy;
  EXPECT_THAT(Reranker::open(options).status().ToString(),
              ::testing::AllOf(::testing::HasSubstr("chat_template.jinja: this chat template: line 1"),
                               ::testing::HasSubstr("Give --template NAME or FILE")));
  std::filesystem::remove_all(copy);
}

TEST(PromptTest, ATemplateWhoseScoreIsAnotherTokensLogitIsRefused) {
  Options options;
  options.model.source.model = decoder_with_room("qwen3-a");
  options.model.texts.prompt = "zerank-2";
  EXPECT_THAT(Reranker::open(options).status().ToString(), ::testing::HasSubstr("LogitScore"));
}

// What the planner takes a long prompt for: of full attention each token sees all, of causal half, of a window's no
// more than the window.
TEST(CostTest, CausalAttentionIsHalfOfFull) {
  model::Architecture a = (*model::load_model(decoder_with_room("qwen3-a")))->architecture();
  const schedule::AttentionCost causal = attention_cost(a);
  for (model::Block& block : a.blocks) block.attention.mask = model::MaskKind::kFull;
  const schedule::AttentionCost full = attention_cost(a);
  EXPECT_GT(full.square, 0);
  EXPECT_DOUBLE_EQ(causal.of_token(32000), full.of_token(32000) / 2);
  const schedule::CostModel model(causal);
  EXPECT_NEAR(model.work(32000) / model.work(16000), 4, 0.5) << "of a long prompt most is attention";
  a = (*model::load_model(decoder_with_room("gemma2-a")))->architecture();
  const schedule::AttentionCost windows = attention_cost(a);
  EXPECT_EQ(windows.span, 24);
  EXPECT_LT(windows.of_token(32000) - windows.of_token(16000), windows.square * 16001);
}

using ::testing::HasSubstr;

std::string minicpm() { return decoder_with_room("minicpm-a"); }

RerankRequest request(size_t documents) {
  RerankRequest request{.query = "what is rain?"};
  for (size_t i = 0; i < documents; ++i)
    request.documents.push_back(str_cat("rain falls from cloud ", i * 37 % 101, i % 3 == 0 ? " and snow" : ""));
  return request;
}

TEST(LayerwiseRerankTest, TheBestOfTheFirstOutputGoOnWithExactScores) {
  RerankRequest asked = request(24);
  std::map<size_t, float> exact;
  auto plain = open(minicpm());
  const auto all = plain->rerank(asked);
  ASSERT_TRUE(all.ok()) << all.status();
  for (const auto& r : all->results) exact[r.index] = r.logit;
  asked.layers = 2;
  const auto second = plain->rerank(asked);
  const auto& by_first = second->results;

  auto metrics = std::make_shared<Metrics>();
  Options options;
  options.model.source.model = minicpm();
  options.model.engine.precision = Precision::kFp32;
  options.model.engine.exit_keep = 2;
  auto adaptive = Reranker::open(options, metrics);
  ASSERT_TRUE(adaptive.ok()) << adaptive.status();
  asked.layers = 0;
  asked.top_n = 3;
  auto best = (*adaptive)->rerank(asked);
  ASSERT_TRUE(best.ok()) << best.status();
  ASSERT_EQ(best->results.size(), 3u);
  for (const auto& r : best->results) {
    EXPECT_EQ(r.logit, exact[r.index]);
    const auto among_six = [&](const auto& other) { return other.index == r.index; };
    EXPECT_TRUE(std::any_of(by_first.begin(), by_first.begin() + 6, among_six)) << r.index;
  }
  const std::string text = metrics->to_text(), name = "rerankd_pair_layers_bucket{le=\"2\"} ";
  ASSERT_NE(text.find(name), std::string::npos);
  EXPECT_EQ(std::stod(text.substr(text.find(name) + name.size())), 18) << "of 24, six go on";
  asked.top_n = 12;  // twice as many are all: nobody leaves
  const auto more = (*adaptive)->rerank(asked);
  for (const auto& r : more->results) EXPECT_EQ(r.logit, exact[r.index]);
  asked.top_n = 3;
  asked.layers = 3;  // its own depth: no contest
  asked.use_cache = false;
  const auto chosen = (*adaptive)->rerank(asked);
  asked.top_n = 0;
  const auto all_of_three = plain->rerank(asked);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(chosen->results[i].logit, all_of_three->results[i].logit);
}

// A batch of the usual length holds few documents of a large model: they compete with those of other batches.
TEST(LayerwiseRerankTest, DocumentsOfSeveralBatchesCompete) {
  RerankRequest asked = request(24);
  const auto open_with = [](double keep, std::shared_ptr<Metrics> metrics) {
    Options options;
    options.model.source.model = minicpm();
    options.model.engine.precision = Precision::kFp32;
    options.model.engine.exit_keep = keep;
    options.model.queue.max_batch_tokens = 400;  // two documents
    auto opened = Reranker::open(options, std::move(metrics));
    EXPECT_TRUE(opened.ok()) << opened.status();
    return std::move(*opened);
  };
  const auto plain = open_with(0, nullptr);
  const auto exact = plain->rerank(asked);
  asked.layers = 2;
  const auto by_first = plain->rerank(asked);
  asked.layers = 0;
  asked.top_n = 3;
  auto metrics = std::make_shared<Metrics>();
  const auto best = open_with(2, metrics)->rerank(asked);
  ASSERT_TRUE(best.ok()) << best.status();
  for (const auto& r : best->results) {
    const auto same = [&](const auto& other) { return other.index == r.index; };
    EXPECT_EQ(r.logit, std::find_if(exact->results.begin(), exact->results.end(), same)->logit);
  }
  const std::string text = metrics->to_text(), name = "rerankd_pair_layers_bucket{le=\"2\"} ";
  ASSERT_NE(text.find(name), std::string::npos);
  const double left = std::stod(text.substr(text.find(name) + name.size()));
  EXPECT_GE(left, 6) << "of 24";
  EXPECT_LE(left, 18);
}

TEST(LayerwiseRerankTest, WhatDoesNotGoTogetherIsRefusedByName) {
  const auto refusal = [](const std::string& folder, const std::function<void(EngineOptions&)>& change) {
    Options options;
    options.model.source.model = folder;
    options.model.engine.exit_keep = 2;
    change(options.model.engine);
    const auto opened = Reranker::open(options);
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(opened.status().message());
  };
  EXPECT_THAT(refusal(bert(), [](EngineOptions&) {}), HasSubstr("--exit-keep: this model has no outputs"));
  EXPECT_THAT(refusal(minicpm(), [](EngineOptions& e) { e.exit_keep = 0.5; }), HasSubstr("at least 1"));
  EXPECT_THAT(refusal(minicpm(), [](EngineOptions& e) { e.layers = 3; }), HasSubstr("--layers 3"));
  EXPECT_THAT(refusal(minicpm(), [](EngineOptions& e) { e.target_agreement = 0.9; }), HasSubstr("--exits"));
}

}  // namespace
}  // namespace rerank::rank
