// Adaptive depth through the service: by exits, and by the outputs of layerwise models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/metrics.h"
#include "base/strings.h"
#include "model/exits.h"
#include "rank/rank_test.h"
#include "rerank/reranker.h"
#include "support/golden.h"

namespace rerank::rank {
namespace {

using ::testing::HasSubstr;

ChangeOptions with_exits(const std::string& folder, double agreement) {
  return [=](Options& o) {
    o.model.engine.exits = folder;
    o.model.engine.target_agreement = agreement;
  };
}

std::string minicpm() { return decoder_with_room("minicpm-a"); }

RerankRequest request(size_t documents) {
  RerankRequest request{.query = "what is rain?"};
  for (size_t i = 0; i < documents; ++i)
    request.documents.push_back(str_cat("rain falls from cloud ", i * 37 % 101, i % 3 == 0 ? " and snow" : ""));
  return request;
}

// Exits that know nothing, with an error so small that they are believed: documents do leave, and those that stay have
// their exact scores.
TEST(RerankTest, AdaptiveDepthGivesExactScoresToTheBest) {
  const std::string folder = bert(), exits_folder = temporary("exits");
  auto model = model::load_model(folder);
  ASSERT_TRUE(model.ok());
  model::Exits exits{"golden", model::weights_digest(**model), {}, {{0.99, 1.0}}};
  for (size_t layer = 0; layer + 1 < (*model)->config.architecture.layers(); ++layer) {
    model::ExitHead head;
    head.weights.assign(model::exit_width((*model)->architecture()), 0.0f);
    head.weights[0] = 1;
    head.error = 1e-3f;
    exits.heads.push_back(head);
  }
  ASSERT_TRUE(model::write_exits(exits_folder, exits).ok());
  RerankRequest request{.query = "what is rain?"};
  for (const auto& pair : testing::read_golden_pairs(folder)) request.documents.push_back(pair.document);
  auto plain = open(folder);
  const auto all = plain->rerank(request);
  ASSERT_TRUE(all.ok()) << all.status();
  std::map<size_t, float> exact;
  for (const auto& r : all->results) exact[r.index] = r.logit;

  auto metrics = std::make_shared<Metrics>();
  auto adaptive = open(folder, with_exits(exits_folder, 0.95), metrics);
  request.top_n = 3;
  for (bool cached : {false, true}) {  // the second time some scores are known, and some documents were only guessed
    auto best = adaptive->rerank(request);
    ASSERT_TRUE(best.ok()) << best.status();
    ASSERT_EQ(best->results.size(), 3u);
    for (const auto& r : best->results) EXPECT_EQ(r.logit, exact[r.index]) << cached;
    EXPECT_EQ(best->cached_documents > 0, cached);
  }
  EXPECT_GT(metric(*metrics, "rerankd_pair_layers_bucket{le=\"1\"}"), 0) << "nobody left after the first layer";
  request.top_n = 0;  // all are wanted: all are computed
  auto every = adaptive->rerank(request);
  ASSERT_TRUE(every.ok());
  for (const auto& r : every->results) EXPECT_EQ(r.logit, exact[r.index]);

  EXPECT_EQ(refusal(folder, with_exits(exits_folder, 0.999)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(refusal(folder, with_exits("", 0.999)).ToString(), HasSubstr("rerankd calibrate"));
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
  const auto one_batch = [](Options& o) {
    o.model.engine.exit_keep = 2;
    o.model.queue.max_batch_ms = 600000;  // however slow the machine is now
  };
  auto adaptive = open(minicpm(), one_batch, metrics);
  asked.layers = 0;
  asked.top_n = 3;
  auto best = adaptive->rerank(asked);
  ASSERT_TRUE(best.ok()) << best.status();
  ASSERT_EQ(best->results.size(), 3u);
  for (const auto& r : best->results) {
    EXPECT_EQ(r.logit, exact[r.index]);
    const auto among_six = [&](const auto& other) { return other.index == r.index; };
    EXPECT_TRUE(std::any_of(by_first.begin(), by_first.begin() + 6, among_six)) << r.index;
  }
  EXPECT_EQ(metric(*metrics, "rerankd_pair_layers_bucket{le=\"2\"}"), 18) << "of 24, six go on";
  asked.top_n = 12;  // twice as many are all: nobody leaves
  const auto more = adaptive->rerank(asked);
  for (const auto& r : more->results) EXPECT_EQ(r.logit, exact[r.index]);
  asked.top_n = 3;
  asked.layers = 3;  // its own depth: no contest
  asked.use_cache = false;
  const auto chosen = adaptive->rerank(asked);
  asked.top_n = 0;
  const auto all_of_three = plain->rerank(asked);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(chosen->results[i].logit, all_of_three->results[i].logit);
}

// A batch of the usual length holds few documents of a large model: they compete with those of other batches.
TEST(LayerwiseRerankTest, DocumentsOfSeveralBatchesCompete) {
  RerankRequest asked = request(24);
  const auto open_with = [](double keep, std::shared_ptr<Metrics> metrics) {
    const auto change = [keep](Options& o) {
      o.model.engine.exit_keep = keep;
      o.model.queue.max_batch_tokens = 400;  // two documents
    };
    return open(minicpm(), change, std::move(metrics));
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
  const double left = metric(*metrics, "rerankd_pair_layers_bucket{le=\"2\"}");
  EXPECT_GE(left, 6) << "of 24";
  EXPECT_LE(left, 18);
}

TEST(LayerwiseRerankTest, WhatDoesNotGoTogetherIsRefusedByName) {
  const auto refused = [](const std::string& folder, const std::function<void(EngineOptions&)>& change) {
    const Status status = refusal(folder, [&](Options& o) {
      o.model.engine.exit_keep = 2;
      change(o.model.engine);
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refused(bert(), [](EngineOptions&) {}), HasSubstr("--exit-keep: this model has no outputs"));
  EXPECT_THAT(refused(minicpm(), [](EngineOptions& e) { e.exit_keep = 0.5; }), HasSubstr("at least 1"));
  EXPECT_THAT(refused(minicpm(), [](EngineOptions& e) { e.layers = 3; }), HasSubstr("--layers 3"));
  EXPECT_THAT(refused(minicpm(), [](EngineOptions& e) { e.target_agreement = 0.9; }), HasSubstr("--exits"));
}

}  // namespace
}  // namespace rerank::rank
