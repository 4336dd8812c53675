// The catalog over fakes: what is found while models load, fail, are replaced, are let go and come back.
#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <thread>

#include "serve/model_catalog.h"
#include "support/fake_reranker.h"

namespace rerank::serve {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// Counts itself; `fingerprint` is its model's path.
class CountedFake : public FakeReranker {
 public:
  CountedFake(const ModelSpec& spec, std::shared_ptr<std::atomic<int>> alive) : alive_(std::move(alive)) {
    mutable_info().id = spec.options.source.served_model_name;
    mutable_info().fingerprint = spec.options.source.model;
    ++*alive_;
  }
  ~CountedFake() override {
    release();
    --*alive_;
  }

 private:
  std::shared_ptr<std::atomic<int>> alive_;
};

ModelSpec spec_of(const std::string& name, const std::string& path) {
  ModelSpec spec;
  spec.options.source.served_model_name = name;
  spec.options.source.model = path;
  return spec;
}

class CatalogTest : public testing::Test {
 protected:
  // Paths that begin with "bad" cannot be loaded; those that begin with "slow" only once `gate_` is open.
  Result<std::unique_ptr<Reranker>> open(const ModelSpec& spec,
                                         const std::function<void(const LoadProgress&)>& progress) {
    ++opened_;
    progress({"downloading", 1, 2});
    const std::string& path = spec.options.source.model;
    if (path.starts_with("slow")) gate_.get_future().wait();
    if (path.starts_with("bad")) return absl::NotFoundError(path + ": no such folder");
    if (path.starts_with("throws")) throw std::bad_alloc();
    return std::make_unique<CountedFake>(spec, alive_);
  }

  Status start(CatalogPlan plan, CatalogOptions options = {}) {
    auto started = ModelCatalog::start(
        plan, options,
        [this](const ModelSpec& spec, std::shared_ptr<Metrics>, const auto& progress) { return open(spec, progress); },
        metrics_);
    if (started.ok()) catalog_ = *std::move(started);
    return started.status();
  }

  void start_two(CatalogOptions options = {}) {
    ASSERT_TRUE(start({{spec_of("a", "a1"), spec_of("b", "b1")}, {}, ""}, options).ok());
    ASSERT_TRUE(catalog_->wait_for_start(milliseconds(60000)));
  }

  std::string fingerprint(std::string_view name, std::string_view query = "q") {
    const auto found = catalog_->find({name, query});
    return found.ok() ? (*found)->info().fingerprint : std::string(found.status().message());
  }
  ModelReport report(const std::string& name) const {
    for (const ModelReport& report : catalog_->list()) {
      if (report.name == name) return report;
    }
    return {};
  }
  template <class Condition>
  static void until(Condition condition) {
    for (int i = 0; i < 6000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(10));
    EXPECT_TRUE(condition());
  }
  static Result<RerankResponse> rank(Reranker& model) {
    RerankRequest request;
    request.query = "q";
    request.documents = {"a", "b"};
    return model.rerank(request);
  }

  std::shared_ptr<std::atomic<int>> alive_ = std::make_shared<std::atomic<int>>(0);
  std::atomic<int> opened_{0};
  std::promise<void> gate_;
  std::shared_ptr<Metrics> metrics_ = std::make_shared<Metrics>();
  std::unique_ptr<ModelCatalog> catalog_;
};

TEST_F(CatalogTest, FindsByNameAndFallsBackToTheFirst) {
  start_two();
  EXPECT_EQ(fingerprint(""), "a1");
  EXPECT_EQ(fingerprint("B___OpenAI-API"), "b1");
  EXPECT_EQ(fingerprint("nobody"), "a1");
  EXPECT_TRUE(catalog_->knows("b"));
  EXPECT_FALSE(catalog_->knows("nobody"));
  EXPECT_THAT(metrics_->to_text(), HasSubstr("rerankd_model_loaded{model=\"b\"} 1"));
  EXPECT_TRUE(catalog_->start_result().ok());
}

TEST_F(CatalogTest, UnknownNamesAreErrorsWhereTheyAreMeantToBe) {
  CatalogOptions options;
  options.models.unknown_model = UnknownModel::kError;
  start_two(options);
  const auto found = catalog_->find({"nobody", ""});
  EXPECT_TRUE(absl::IsNotFound(found.status()));
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("there are: a, b"));
}

TEST_F(CatalogTest, WhatCannotBeIsRefusedAtTheStart) {
  const auto refusal = [&](CatalogPlan plan, CatalogOptions options = {}) {
    const Status status = start(std::move(plan), options);
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  };
  ModelSpec a = spec_of("a", "a1"), b = spec_of("b", "b1");
  EXPECT_THAT(refusal({{a, spec_of("A", "x")}, {}, ""}), HasSubstr("two models of one name"));
  EXPECT_THAT(refusal({{a}, {{"prod", {{"v1", 1}}}}, ""}), HasSubstr("no model is called v1"));
  EXPECT_THAT(refusal({{a, b}, {{"prod", {{"a", 0.5}, {"b", 0.4}}}}, ""}), HasSubstr("add up to 0.9"));
  EXPECT_THAT(refusal({{a}, {}, "b"}), HasSubstr("no model is called b"));
  a.weight = 0;
  EXPECT_THAT(refusal({{a}, {}, ""}), HasSubstr("weight 0"));
  a.weight = 1;
  a.cache_share = b.cache_share = 0.6;
  EXPECT_THAT(refusal({{a, b}, {}, ""}), HasSubstr("add up to more than 1"));
  CatalogOptions options;
  options.models.cascade = "a,c:20";
  EXPECT_THAT(refusal({{spec_of("a", "a1")}, {}, ""}, options), HasSubstr("no model is called c"));
  options.models.cascade.clear();
  options.models.shadow_model = "a=c";
  options.shadow_rate = 1;
  EXPECT_THAT(refusal({{spec_of("a", "a1")}, {}, ""}, options), HasSubstr("no model is called c"));
}

TEST_F(CatalogTest, OneThatCannotBeLoadedDoesNotStopTheOthers) {
  ASSERT_TRUE(start({{spec_of("a", "a1"), spec_of("b", "bad")}, {}, ""}).ok());
  ASSERT_TRUE(catalog_->wait_for_start(milliseconds(60000)));
  EXPECT_TRUE(catalog_->start_result().ok());
  EXPECT_EQ(report("b").state, ModelState::kFailed);
  EXPECT_THAT(report("b").error, HasSubstr("no such folder"));
  EXPECT_EQ(fingerprint("a"), "a1");
  EXPECT_TRUE(absl::IsUnavailable(catalog_->find({"b", ""}).status()));
  ASSERT_TRUE(start({{spec_of("a", "throws"), spec_of("b", "bad")}, {}, ""}).ok());
  ASSERT_TRUE(catalog_->wait_for_start(milliseconds(60000)));
  EXPECT_FALSE(catalog_->start_result().ok());
}

TEST_F(CatalogTest, AnswersBeforeModelsAreLoaded) {
  ASSERT_TRUE(start({{spec_of("a", "slow"), spec_of("b", "b1")}, {}, ""}).ok());
  until([&] { return report("a").percent > 0; });
  EXPECT_FALSE(catalog_->wait_for_start(milliseconds(0)));
  EXPECT_EQ(report("a").state, ModelState::kStarting);
  EXPECT_EQ(report("a").phase, "downloading");
  const auto found = catalog_->find({"a", ""});
  EXPECT_TRUE(absl::IsUnavailable(found.status()));
  EXPECT_TRUE(retry_after_seconds(found.status()));
  EXPECT_TRUE(catalog_->loading());
  gate_.set_value();
  ASSERT_TRUE(catalog_->wait_for_start(milliseconds(60000)));
  EXPECT_EQ(fingerprint("a"), "slow");
}

TEST_F(CatalogTest, RequestsWaitForTheStartWhereTheyAreMeantTo) {
  CatalogOptions options;
  options.wait_at_start = true;
  ASSERT_TRUE(start({{spec_of("a", "slow")}, {}, ""}, options).ok());
  const auto waiting = *catalog_->find({"a", ""});
  EXPECT_EQ(report("a").state, ModelState::kStarting);
  auto answer = std::async(std::launch::async, [&] { return rank(*waiting).ok(); });
  gate_.set_value();
  EXPECT_TRUE(answer.get());
}

TEST_F(CatalogTest, AModelIsReplacedWithoutAGapAndEndsWhenItsRequestsHave) {
  start_two();
  const auto old = *catalog_->find({"a", ""});
  ASSERT_TRUE(catalog_->load(spec_of("a", "slow-a2")).ok());
  EXPECT_EQ(fingerprint("a"), "a1") << "until the new one is there";
  EXPECT_FALSE(catalog_->load(spec_of("a", "a3")).ok()) << "one at a time";
  EXPECT_FALSE(catalog_->unload("a").ok());
  gate_.set_value();
  until([&] { return fingerprint("a") == "slow-a2"; });
  EXPECT_EQ(old->info().fingerprint, "a1");
  EXPECT_TRUE(rank(*old).ok());
  EXPECT_EQ(*alive_, 3);
  ASSERT_TRUE(catalog_->load(spec_of("a", "bad")).ok());
  until([&] { return !catalog_->loading(); });
  EXPECT_EQ(fingerprint("a"), "slow-a2") << "what was there stays";
  EXPECT_THAT(report("a").error, HasSubstr("no such folder"));
}

TEST_F(CatalogTest, UnloadsWhatNothingNames) {
  start_two();
  EXPECT_THAT(std::string(catalog_->unload("a").message()), HasSubstr("default"));
  ASSERT_TRUE(catalog_->set_alias("prod", {{"b", 1}}).ok());
  EXPECT_EQ(fingerprint("prod"), "b1");
  EXPECT_THAT(std::string(catalog_->unload("b").message()), HasSubstr("alias prod"));
  ASSERT_TRUE(catalog_->set_alias("prod", {{"a", 1}}).ok());
  EXPECT_EQ(fingerprint("prod"), "a1") << "at once";
  auto kept = *catalog_->find({"b", ""});
  ASSERT_TRUE(catalog_->unload("b").ok());
  EXPECT_TRUE(absl::IsNotFound(catalog_->unload("b")));
  EXPECT_TRUE(rank(*kept).ok()) << "who has it keeps it";
  EXPECT_EQ(*alive_, 2);
  kept.reset();
  until([&] { return *alive_ == 1; });
  EXPECT_THAT(metrics_->to_text(), testing::Not(HasSubstr("model=\"b\"")));
}

TEST_F(CatalogTest, IdleModelsGoAndComeBackForTheNextRequest) {
  CatalogOptions options;
  options.models.idle_unload_s = 1;
  start_two(options);
  auto kept = *catalog_->find({"a", ""});
  until([&] { return report("b").state == ModelState::kIdle; });
  EXPECT_EQ(report("a").state, ModelState::kReady) << "somebody has it";
  EXPECT_TRUE(absl::IsUnavailable(catalog_->find({"b", "", /*wait=*/false}).status()));
  const auto back = *catalog_->find({"b", ""});
  EXPECT_TRUE(rank(*back).ok());
  EXPECT_EQ(back->info().fingerprint, "b1");
  EXPECT_EQ(opened_, 3);
}

TEST_F(CatalogTest, ARequestWaitsForALoadUntilItsDeadline) {
  start_two();
  ASSERT_TRUE(catalog_->load(spec_of("c", "slow")).ok());
  const auto waiting = *catalog_->find({"c", ""});
  auto request = std::make_shared<RerankRequest>();
  request->query = "q";
  request->documents = {"a"};
  std::promise<Result<RerankResponse>> patient, hurried;
  waiting->submit(request, [&](Result<RerankResponse> result) { patient.set_value(std::move(result)); });
  auto late = std::make_shared<RerankRequest>(*request);
  late->deadline = Clock::now() + milliseconds(50);
  waiting->submit(late, [&](Result<RerankResponse> result) { hurried.set_value(std::move(result)); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(hurried.get_future().get().status()));
  gate_.set_value();
  EXPECT_TRUE(patient.get_future().get().ok());
  EXPECT_EQ(waiting->info().fingerprint, "slow");
}

TEST_F(CatalogTest, FollowsAChangedPlan) {
  start_two();
  ASSERT_TRUE(catalog_->set_alias("prod", {{"a", 1}}).ok());
  CatalogPlan plan{{spec_of("c", "c1"), spec_of("a", "a2")}, {{"next", {{"a", 0.5}, {"c", 0.5}}}}, ""};
  ASSERT_TRUE(catalog_->apply(plan, [](const ModelSpec& spec) { return spec.options.source.model == "a2"; }).ok());
  until([&] { return !catalog_->loading() && !catalog_->knows("b"); });
  EXPECT_EQ(fingerprint(""), "c1");
  EXPECT_EQ(fingerprint("a"), "a2");
  EXPECT_FALSE(catalog_->knows("prod"));
  EXPECT_TRUE(catalog_->knows("next"));
  // What cannot be loaded leaves everything as it was.
  ASSERT_TRUE(catalog_->apply({{spec_of("d", "bad")}, {}, ""}, [](const ModelSpec&) { return true; }).ok());
  until([&] { return !catalog_->loading(); });
  EXPECT_EQ(fingerprint(""), "c1");
  EXPECT_TRUE(catalog_->knows("next"));
}

// Loads and unloads under load: no request fails, and nothing is left.
TEST_F(CatalogTest, NoRequestFailsWhileModelsComeAndGo) {
  start_two();
  constexpr int kRounds = 100;
  ASSERT_TRUE(catalog_->set_alias("prod", {{"a", 1}}).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0}, answered{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 3; ++t) {
    clients.emplace_back([&] {
      while (!stop) {
        const auto found = catalog_->find({"prod", "q"});
        const bool ok = found.ok() && rank(**found).ok();
        ++(ok ? answered : failed);
      }
    });
  }
  for (int i = 0; i < kRounds; ++i) {
    const std::string name = "v" + std::to_string(i), before = i == 0 ? "a" : "v" + std::to_string(i - 1);
    ASSERT_TRUE(catalog_->load(spec_of(name, name)).ok());
    until([&] { return report(name).state == ModelState::kReady; });
    ASSERT_TRUE(catalog_->set_alias("prod", {{name, 1}}).ok());
    if (i > 0) {
      ASSERT_TRUE(catalog_->unload(before).ok());
    }
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(answered, 0);
  until([&] { return *alive_ == 3; });
}

}  // namespace
}  // namespace rerank::serve
