// Decoders through the service: scores of prompts as transformers gives them, instructions, and templates of folders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "rank/rank_test.h"
#include "rerank/reranker.h"
#include "simdjson.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank::rank {
namespace {

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

// Each is a batch of its own; the template was seen before.
TEST(PromptTest, RequestsOfOneDocumentShareTheirTemplate) {
  const std::string folder = decoder_with_room("qwen3-a");
  const auto metrics = std::make_shared<Metrics>();
  const auto reranker = open(folder, {}, metrics);
  const auto plain = open(folder, [](Options& o) { o.host.prefix_bytes = 0; });
  constexpr int kRequests = 8;
  size_t tokens = 0;
  for (int i = 0; i < kRequests; ++i) {
    const RerankRequest request{.query = str_cat("number ", i), .documents = {"a bear"}};
    const auto found = reranker->rerank(request), expected = plain->rerank(request);
    ASSERT_TRUE(found.ok() && expected.ok()) << found.status() << expected.status();
    EXPECT_EQ(found->results.at(0).logit, expected->results.at(0).logit);
    tokens = found->total_tokens;
  }
  const double kept = metric(*metrics, "rerankd_prefix_tokens_total{how=\"kept\"}");
  EXPECT_GT(kept, (kRequests - 2) * tokens / 2) << "of " << tokens << " tokens a request";
}

TEST(PromptTest, AnInstructionIsRefusedByModelsWithoutAPlaceForIt) {
  auto response = open(bert())->rerank({.query = "q", .documents = {"d"}, .instruction = "i"});
  EXPECT_EQ(response.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PromptTest, ADecoderWithoutAKnownPromptIsRefused) {
  EXPECT_THAT(refusal(RERANKD_SOURCE_DIR "/tests/data/decoders/llama-a").ToString(),
              ::testing::HasSubstr("Give --template"));
}

// Qwen3-Reranker's own folder says what we know of it; the token that is its score, and another template, as
// zerank-2's.
TEST(PromptTest, AFoldersChatTemplateIsTaken) {
  const std::string folder = decoder_with_room("qwen3-a");
  RerankRequest request{.query = "what is a panda?", .documents = {"a bear", ""}};
  const auto plain = open(folder)->rerank(RerankRequest(request));
  const std::string copy = temporary("chat");
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
  EXPECT_THAT(refusal(copy).ToString(),
              ::testing::AllOf(::testing::HasSubstr("chat_template.jinja: this chat template: line 1"),
                               ::testing::HasSubstr("Give --template NAME or FILE")));
}

TEST(PromptTest, ATemplateWhoseScoreIsAnotherTokensLogitIsRefused) {
  const Status status = refusal(decoder_with_room("qwen3-a"), [](Options& o) { o.model.texts.prompt = "zerank-2"; });
  EXPECT_THAT(status.ToString(), ::testing::HasSubstr("LogitScore"));
}

}  // namespace
}  // namespace rerank::rank
