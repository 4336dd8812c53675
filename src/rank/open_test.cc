// Models that are opened, found or refused, and what those of a process share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/mapped_file.h"
#include "rank/host.h"
#include "rank/locate.h"
#include "rank/rank_test.h"
#include "rerank/reranker.h"

namespace rerank::rank {
namespace {

TEST(RerankTest, ATokenizerThatLeavesNoRoomForTextsIsRefused) {
  const std::string folder = temporary("template");
  std::filesystem::copy(bert(), folder);
  std::string json = *read_file(folder + "/tokenizer.json", 1u << 20);
  const size_t at = json.find('2', json.find("\"ids\""));  // [CLS] of the template becomes a thousand tokens
  ASSERT_NE(at, std::string::npos);
  for (int i = 0; i < 1000; ++i) json.insert(at, "2,");
  const size_t token = json.find("\"[CLS]\"", json.find("\"tokens\"", at));
  for (int i = 0; i < 1000; ++i) json.insert(token, "\"[CLS]\",");
  std::ofstream(folder + "/tokenizer.json") << json;
  const Status refused = refusal(folder);
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(message_of(refused)), ::testing::HasSubstr("special tokens to a pair"));
}

TEST(LocateTest, NamesAndErrors) {
  EXPECT_EQ(served_name("BAAI/bge-reranker-v2-m3"), "bge-reranker-v2-m3");
  EXPECT_EQ(served_name("/models/ms-marco-MiniLM-L-6-v2/"), "ms-marco-MiniLM-L-6-v2-reranker");
  Options options;
  options.model.source.model = "./nothing-here";
  EXPECT_EQ(locate_model(options).status().code(), absl::StatusCode::kNotFound);
  options.model.source.model = "org/model";
  options.model.source.hub_offline = true;
  options.model.source.hub_cache = ::testing::TempDir() + "/empty_cache";
  EXPECT_THAT(std::string(message_of(locate_model(options).status())), ::testing::HasSubstr("HF_HUB_OFFLINE"));
  options = {};
  auto built_in = locate_model(options);
  ASSERT_TRUE(built_in.ok()) << built_in.status();
  EXPECT_EQ(built_in->name, "rerankd-mini-en");
}

TEST(OpenTest, SaysWhatIsWrong) {
  const Status status = refusal(bert(), [](Options& o) { o.model.texts.max_length = 513; });
  EXPECT_THAT(std::string(message_of(status)), ::testing::HasSubstr("at most 512"));
}

TEST(OpenTest, ScoresFollowTheModelsFilesWhereTheyAreToldTo) {
  const std::string folder = temporary("activation");
  std::filesystem::copy(bert(), folder);
  std::ofstream(folder + "/config_sentence_transformers.json")
      << R"({"activation_fn": "torch.nn.modules.linear.Identity"})";
  const auto score = [&](ScoreScale served, ScoreScale asked) {
    const auto model = Reranker::open(options_for(folder, [&](Options& o) { o.model.texts.score_scale = served; }));
    EXPECT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->info().activation, "Identity");
    RerankRequest request;
    request.query = "q";
    request.documents = {"a document"};
    request.scale = asked;
    const auto response = (*model)->rerank(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response->results[0].score == response->results[0].logit ? "logit" : "sigmoid";
  };
  EXPECT_STREQ(score(ScoreScale::kSigmoid, ScoreScale::kAuto), "sigmoid") << "as it is where nothing is said";
  EXPECT_STREQ(score(ScoreScale::kAuto, ScoreScale::kAuto), "logit");
  EXPECT_STREQ(score(ScoreScale::kLogit, ScoreScale::kAuto), "logit");
  EXPECT_STREQ(score(ScoreScale::kAuto, ScoreScale::kSigmoid), "sigmoid") << "what a request says";
}

TEST(HostTest, PackedWeightsOfModelsAreHeldWhileTheModelsAreThere) {
  auto host = Host::make({}, nullptr);
  ASSERT_TRUE(host.ok()) << host.status();
  const Options options = options_for(bert(), [](Options& o) { o.model.engine.engine = EngineKind::kCpu; });
  SharedHost shared;
  shared.host = *host;
  auto first = Reranker::open(options, nullptr, shared);
  ASSERT_TRUE(first.ok()) << first.status();
  const uint64_t one = (*host)->held_weights();
  EXPECT_GT(one, 0u);
  auto second = Reranker::open(options, nullptr, shared);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*host)->held_weights(), 2 * one);
  first->reset();
  EXPECT_EQ((*host)->held_weights(), one);
  const auto others = (*host)->hold_weights(uint64_t{1} << 60);  // more than any machine has
  const auto third = Reranker::open(options, nullptr, shared);
  EXPECT_TRUE(absl::IsResourceExhausted(third.status())) << third.status();
  EXPECT_NE(third.status().ToString().find("other models' weights have"), std::string::npos) << third.status();
}

TEST(HostTest, EnginesTakeTurnsWhereTheyCompute) {
  auto host = Host::make({}, nullptr);
  ASSERT_TRUE(host.ok()) << host.status();
  const auto threads = (*host)->turns_at("", 1), device = (*host)->turns_at("cuda 0", 2);
  EXPECT_NE(threads, device);
  EXPECT_EQ((*host)->turns_at("", 1), threads);
  EXPECT_EQ((*host)->turns_at("cuda 0", 2), device);
  EXPECT_NE((*host)->turns_at("cuda 1", 2), device);
}

}  // namespace
}  // namespace rerank::rank
