#include "rank/shadow/shadow.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "rank/shadow/agreement.h"
#include "support/fake_reranker.h"

namespace rerank::rank {
namespace {

TEST(AgreementTest, OfTheSameOrderAndOfTheOpposite) {
  const LogitAgreement same = compare_logits(std::vector<float>{1, 3, 2}, std::vector<float>{1.5, 3, 2});
  EXPECT_TRUE(same.same_first);
  EXPECT_DOUBLE_EQ(same.kendall_tau, 1);
  EXPECT_DOUBLE_EQ(same.largest_difference, 0.5);
  const LogitAgreement opposite = compare_logits(std::vector<float>{1, 2, 3}, std::vector<float>{3, 2, 1});
  EXPECT_FALSE(opposite.same_first);
  EXPECT_DOUBLE_EQ(opposite.kendall_tau, -1);
}

TEST(AgreementTest, TiesAreAgreedWhenBothHaveThem) {
  EXPECT_DOUBLE_EQ(compare_logits(std::vector<float>{1, 1, 2}, std::vector<float>{3, 3, 4}).kendall_tau, 1);
  EXPECT_DOUBLE_EQ(compare_logits(std::vector<float>{1, 1}, std::vector<float>{3, 4}).kendall_tau, 0);
  EXPECT_TRUE(compare_logits(std::vector<float>{2, 2}, std::vector<float>{1, 1}).same_first);
  EXPECT_DOUBLE_EQ(compare_logits(std::vector<float>{2}, std::vector<float>{1}).kendall_tau, 1);
}

TEST(AgreementTest, WhatWasNotReturnedStandsBehindWhatWas) {
  const LogitAgreement right =
      compare_logits(std::vector<float>{kNotReturned, 3, kNotReturned}, std::vector<float>{1, 3, 2});
  EXPECT_TRUE(right.same_first);
  EXPECT_DOUBLE_EQ(right.kendall_tau, 1);
  EXPECT_DOUBLE_EQ(right.largest_difference, 0);
  const LogitAgreement wrong =
      compare_logits(std::vector<float>{1, kNotReturned, kNotReturned}, std::vector<float>{1, 3, 2});
  EXPECT_FALSE(wrong.same_first);
  EXPECT_DOUBLE_EQ(wrong.kendall_tau, -1);
}

// A reranker whose logits are those of the fake one, negated: its order is the opposite.
class Contrary : public FakeReranker {
 public:
  void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
    FakeReranker::submit(std::move(request), [done](Result<RerankResponse> result) {
      for (RankedDocument& document : result->results) document.logit = -document.logit;
      done(std::move(result));
    });
  }
};

struct ShadowTest : testing::Test {
  void open(double rate, std::unique_ptr<Reranker> served, size_t bytes = 1 << 20) {
    reranker = with_shadow(
        std::move(served), [] { return Result<std::unique_ptr<Reranker>>(std::make_unique<FakeReranker>()); },
        {rate, bytes}, metrics);
  }

  RerankResponse ask(size_t documents, size_t top_n = 0) {
    RerankRequest request;
    request.query = "q";
    for (size_t i = 0; i < documents; ++i) request.documents.push_back("document " + std::to_string(i));
    request.top_n = top_n;
    return *reranker->rerank(std::move(request));
  }

  double counter(const char* name) { return metrics->counter(name, "").value(); }

  void wait_for(const char* name, double value) {
    for (int i = 0; i < 6000 && counter(name) < value; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_EQ(counter(name), value) << name;
  }

  std::shared_ptr<Metrics> metrics = std::make_shared<Metrics>();
  std::unique_ptr<Reranker> reranker;
};

TEST_F(ShadowTest, AServerThatSaysTheSameAgrees) {
  open(1, std::make_unique<FakeReranker>());
  for (int i = 0; i < 3; ++i) ask(5);
  wait_for("rerankd_shadow_requests_total", 3);
  EXPECT_EQ(counter("rerankd_shadow_same_top1_total"), 3);
}

TEST_F(ShadowTest, AServerThatOrdersOtherwiseIsFoundOut) {
  open(1, std::make_unique<Contrary>());
  ask(100);
  wait_for("rerankd_shadow_requests_total", 1);
  EXPECT_EQ(counter("rerankd_shadow_same_top1_total"), 0);
  EXPECT_NE(metrics->to_text().find("rerankd_shadow_kendall_tau_bucket{le=\"-0.5\"} 1"), std::string::npos);
}

TEST_F(ShadowTest, SampledRequestsAreServedAsTheyAre) {
  auto served = std::make_unique<FakeReranker>();
  const FakeReranker& seen = *served;
  open(1, std::move(served));
  EXPECT_EQ(ask(100, 2).results.size(), 2u);
  EXPECT_EQ(seen.last().top_n, 2u);
  wait_for("rerankd_shadow_requests_total", 1);
  EXPECT_EQ(counter("rerankd_shadow_same_top1_total"), 1);
}

TEST_F(ShadowTest, OnlyTheShareAskedForIsSampledAndNothingWithoutAnOrder) {
  open(0.25, std::make_unique<FakeReranker>());
  for (int i = 0; i < 8; ++i) ask(3), ask(1);
  wait_for("rerankd_shadow_requests_total", 2);
}

TEST_F(ShadowTest, WhatFindsNoRoomIsCountedAndDropped) {
  open(1, std::make_unique<FakeReranker>(), 4);
  ask(3);
  wait_for("rerankd_shadow_skipped_total", 1);
  EXPECT_EQ(counter("rerankd_shadow_requests_total"), 0);
}

}  // namespace
}  // namespace rerank::rank
