#include "serve/cascade.h"

#include <gmock/gmock.h>

#include <cmath>

#include "support/fakes/fake_catalog.h"

namespace rerank::serve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(CascadeSpecTest, ReadsStages) {
  const auto spec = *parse_cascade("fast:100,good:20");
  EXPECT_EQ(spec.name, "cascade");
  EXPECT_EQ(spec.stages.at(0).model, "fast");
  EXPECT_EQ(spec.stages.at(0).documents, 100u);
  EXPECT_EQ(spec.stages.at(1).documents, 20u);
  const auto named = *parse_cascade("best=BAAI/a,b:5,c:2");
  EXPECT_EQ(named.name, "best");
  EXPECT_EQ(named.stages.at(0).documents, 0u);
  EXPECT_EQ(named.stages.size(), 3u);
  for (const char* wrong : {"", "a", "a:0,b:1", "a:x,b:1", "a,b", "a:5,b:6", ",b:1", "a:10,b:-1", "a,b:1,"})
    EXPECT_FALSE(parse_cascade(wrong).ok()) << wrong;
  EXPECT_THAT(std::string(parse_cascade("a:5,b:6").status().message()), HasSubstr("more documents"));
}

class CascadeTest : public testing::Test {
 protected:
  CascadeTest() {
    for (const auto& model : catalog_.models) model->mutable_info().fingerprint = model->info().id + "-print";
    for (int i = 0; i < 30; ++i) request_.documents.push_back("document " + std::to_string(i));
    request_.query = "q";
  }

  RerankResponse rank(const std::string& spec) {
    cascade_ = make_cascade(*parse_cascade(spec), catalog_);
    return *cascade_->rerank(request_);
  }
  std::vector<size_t> best(size_t documents) const {
    std::vector<size_t> order(documents);
    for (size_t i = 0; i < documents; ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return fake_logit("q", request_.documents[a]) > fake_logit("q", request_.documents[b]);
    });
    return order;
  }

  FakeCatalog catalog_{{"fast", "good"}};
  RerankRequest request_;
  std::shared_ptr<Reranker> cascade_;
};

TEST_F(CascadeTest, TheBestOfTheFirstGoToTheSecond) {
  const RerankResponse response = rank("fast,good:5");
  ASSERT_EQ(response.results.size(), 30u);
  EXPECT_EQ(catalog_.models[0]->last().documents.size(), 30u);
  EXPECT_EQ(catalog_.models[1]->last().documents.size(), 5u);
  const std::vector<size_t> order = best(30);
  std::vector<bool> seen(30);
  for (size_t place = 0; place < 30; ++place) {
    const RankedDocument& document = response.results[place];
    EXPECT_EQ(document.index, order[place]);
    EXPECT_TRUE(std::isfinite(document.score));
    if (place > 0) {
      EXPECT_GT(response.results[place - 1].logit, document.logit) << place;
    }
    seen[document.index] = true;
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 30) << "every document has its place";
  EXPECT_FLOAT_EQ(response.results[0].logit, fake_logit("q", request_.documents[order[0]])) << "the last stage's own";
  ASSERT_EQ(response.stages.size(), 2u);
  EXPECT_EQ(response.stages[0].model, "fast");
  EXPECT_EQ(response.stages[0].scores.size(), 30u);
  EXPECT_EQ(response.stages[1].scores.size(), 5u);
  EXPECT_EQ(response.stages[1].scores[0].first, order[0]);
  EXPECT_EQ(response.timings.compute_us, 6000) << "of both";
  EXPECT_EQ(cascade_->info().id, "cascade");
  EXPECT_NE(cascade_->info().fingerprint, "good-print");
}

TEST_F(CascadeTest, DocumentsThatNoStageScoresComeLast) {
  const RerankResponse response = rank("fast:10,good:3");
  ASSERT_EQ(response.results.size(), 30u);
  for (size_t place = 10; place < 30; ++place) {
    EXPECT_EQ(response.results[place].index, place) << "in the request's order";
    EXPECT_GT(response.results[place - 1].logit, response.results[place].logit);
  }
  EXPECT_EQ(response.stages[0].scores.size(), 10u);
}

TEST_F(CascadeTest, OneDeadlineOneCancellationAndTheFirstError) {
  request_.deadline = Clock::now() + std::chrono::hours(1);
  request_.cancellation = std::make_shared<Cancellation>();
  request_.shared_query = std::make_shared<SharedQuery>("shared");
  request_.top_n = 2;
  RerankResponse response = rank("fast,good:5");
  EXPECT_EQ(response.results.size(), 2u);
  EXPECT_EQ(catalog_.models[0]->last().top_n, 5u) << "what is needed of it";
  EXPECT_EQ(catalog_.models[1]->last().top_n, 2u);
  for (const auto& model : catalog_.models) {
    EXPECT_EQ(model->last().deadline, request_.deadline);
    EXPECT_EQ(model->last().cancellation, request_.cancellation);
    EXPECT_EQ(model->last().query, "shared");
    EXPECT_EQ(model->last().shared_query, nullptr) << "it holds tokens of one model";
  }
  catalog_.models[1]->fail_with(absl::InternalError("broken"));
  EXPECT_EQ(cascade_->rerank(request_).status().message(), "broken");
  catalog_.errors["fast"] = absl::UnavailableError("loading");
  EXPECT_TRUE(absl::IsUnavailable(cascade_->rerank(request_).status()));
}

TEST_F(CascadeTest, StagesThatCutDifferentlyAreRefused) {
  const CascadeSpec spec = *parse_cascade("fast,good:5");
  EXPECT_TRUE(check_truncation(spec, catalog_).ok());
  catalog_.models[1]->mutable_info().truncation = Truncation::kTail;
  EXPECT_THAT(std::string(check_truncation(spec, catalog_).message()), HasSubstr("the same truncation"));
}

}  // namespace
}  // namespace rerank::serve
