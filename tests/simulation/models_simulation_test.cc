// Several models on one engine's threads, with a simulated clock: a planner for each, and schedule/fair_share between
// them. A million requests: shares, waits of a small model beside a saturated one, and that nobody starves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <limits>
#include <random>
#include <unordered_map>
#include <vector>

#include "schedule/planner.h"
#include "schedule/turns/fair_share.h"

namespace rerank::schedule {
namespace {

// One model's load. `rate`: requests a second; 0: there is always a request that waits (`backlog` of them).
struct Load {
  double weight = 1;
  double seconds_per_token = 1e-6;
  size_t pairs = 1;
  uint32_t pair_tokens = 64;
  double rate = 0;
  size_t backlog = 64;
};

class Models {
 public:
  Models(const std::vector<Load>& loads, uint64_t seed, PlannerOptions options = {}) : random_(seed) {
    options.max_queued_tokens = SIZE_MAX;
    options.max_queue_seconds = 0;
    for (const Load& load : loads) {
      models_.push_back({load, Planner(options), fair_.add(load.weight)});
      Model& model = models_.back();
      for (const size_t tokens : {64, 512, 4096})
        model.planner.observe(static_cast<double>(tokens), seconds_of(model, tokens));
      model.next_arrival = load.rate > 0 ? gap(load.rate) : std::numeric_limits<double>::infinity();
    }
    for (Model& model : models_) refill(model);
  }

  // Until so many requests have been answered.
  void run(size_t requests) {
    while (answered_ < requests) {
      if (!running_) begin();
      step();
    }
  }

  double share(size_t i) const {
    double sum = 0;
    for (const Model& model : models_) sum += model.seconds;
    return models_[i].seconds / sum;
  }
  double latency(size_t i, double quantile) {
    std::vector<float>& all = models_[i].latencies;
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(quantile * static_cast<double>(all.size() - 1));
    std::nth_element(all.begin(), at, all.end());
    return *at;
  }
  // The longest time for which work of the model waited and none of it was computed.
  double longest_wait(size_t i) const { return models_[i].longest_wait; }
  double longest_batch() const { return longest_batch_; }
  size_t requests(size_t i) const { return models_[i].latencies.size(); }

 private:
  struct Model {
    Load load;
    Planner planner;
    FairShare::Member member;
    double next_arrival = 0, seconds = 0, waiting_since = -1, longest_wait = 0;
    bool wants = false;
    std::unordered_map<uint64_t, double> arrivals;
    std::vector<float> latencies;
  };

  double gap(double rate) { return std::exponential_distribution<double>(rate)(random_); }
  // What the engine needs, never just what was predicted.
  double seconds_of(const Model& model, size_t tokens) {
    const double noise = std::uniform_real_distribution<double>(0.9, 1.15)(random_);
    return 0.0005 + noise * model.load.seconds_per_token * static_cast<double>(tokens);
  }

  void arrive(Model& model) {
    const std::vector<uint32_t> lengths(model.load.pairs, model.load.pair_tokens);
    model.planner.set_share(fair_.share(model.member, now_));
    ASSERT_TRUE(model.planner.admit({next_id_, lengths, {}, 0, std::nullopt}, now_).ok());
    model.arrivals[next_id_++] = now_;
    if (model.waiting_since < 0) model.waiting_since = now_;
    want(model);
  }

  void refill(Model& model) {
    while (model.load.rate == 0 && model.arrivals.size() < model.load.backlog) arrive(model);
  }

  void want(Model& model) {
    if (model.wants || running_ == &model || !model.planner.start_time(now_)) return;
    model.wants = true;
    fair_.want(model.member, model.planner.next_batch_seconds());
  }

  void begin() {
    const auto member = fair_.next();
    if (!member) return;
    for (Model& model : models_) {
      if (model.member != *member) continue;
      model.wants = false;
      model.planner.set_share(fair_.share(*member, now_));
      plan_ = &model.planner.next(now_);
      running_ = &model;
      model.longest_wait = std::max(model.longest_wait, now_ - model.waiting_since);
      batch_seconds_ = seconds_of(model, plan_->tokens);
      longest_batch_ = std::max(longest_batch_, batch_seconds_);
      ends_ = now_ + batch_seconds_;
    }
  }

  // To the next arrival, or the end of the batch.
  void step() {
    Model* first = nullptr;
    for (Model& model : models_) {
      if (first == nullptr || model.next_arrival < first->next_arrival) first = &model;
    }
    if (running_ == nullptr || first->next_arrival < ends_) {
      now_ = first->next_arrival;
      first->next_arrival = now_ + gap(first->load.rate);
      return arrive(*first);
    }
    now_ = ends_;
    Model& model = *std::exchange(running_, nullptr);
    model.seconds += batch_seconds_;
    const Outcome outcome = model.planner.finished(*plan_, now_, batch_seconds_, true);
    for (const uint64_t id : outcome.completed) {
      model.latencies.push_back(static_cast<float>(now_ - model.arrivals.at(id)));
      model.arrivals.erase(id);
      ++answered_;
    }
    fair_.finished(model.member, batch_seconds_, now_);
    model.waiting_since = model.arrivals.empty() ? -1 : now_;
    refill(model);
    want(model);
  }

  std::mt19937_64 random_;
  FairShare fair_;
  std::deque<Model> models_;
  double now_ = 0, ends_ = 0, batch_seconds_ = 0, longest_batch_ = 0;
  Model* running_ = nullptr;
  const Plan* plan_ = nullptr;
  uint64_t next_id_ = 0;
  size_t answered_ = 0;
};

TEST(ModelsSimulation, SharesFollowWeightsAndNobodyStarves) {
  // Fast and slow models, small and large requests, all with more to do than there is time.
  const std::vector<Load> loads = {{.weight = 3, .seconds_per_token = 1e-6, .pairs = 2, .pair_tokens = 48},
                                   {.weight = 1, .seconds_per_token = 4e-5, .pairs = 16, .pair_tokens = 256},
                                   {.weight = 2, .seconds_per_token = 5e-6, .pairs = 4, .pair_tokens = 96},
                                   {.weight = 0.5, .seconds_per_token = 1e-6, .pairs = 1, .pair_tokens = 32}};
  Models models(loads, 1);
  models.run(1'000'000);
  double weights = 0;
  for (const Load& load : loads) weights += load.weight;
  for (size_t i = 0; i < loads.size(); ++i) {
    const double wanted = loads[i].weight / weights;
    std::printf("model %zu: weight %.1f, %.2f %% of the time (%.2f %%), %zu requests, longest wait %.3f s\n", i,
                loads[i].weight, 100 * models.share(i), 100 * wanted, models.requests(i), models.longest_wait(i));
    EXPECT_NEAR(models.share(i) / wanted, 1, 0.05);
    // Between two of its batches: what the others may compute for one of its own, and one batch more of each.
    EXPECT_LT(models.longest_wait(i), models.longest_batch() * (1 / wanted + static_cast<double>(loads.size())));
  }
}

TEST(ModelsSimulation, ASmallModelWaitsForOneShortBatchOfASaturatedOne) {
  // 10 requests a second of some 10 ms beside a model whose requests take a second each.
  const std::vector<Load> loads = {{.seconds_per_token = 2e-6, .pairs = 50, .pair_tokens = 100, .rate = 10},
                                   {.seconds_per_token = 4e-5, .pairs = 64, .pair_tokens = 400, .backlog = 8}};
  const double alone = 0.0005 + 2e-6 * 5000;
  const auto measure = [&](const char* name, const PlannerOptions& options) {
    Models models(loads, 2, options);
    models.run(30'000);
    std::printf(
        "%s: small model, alone %.1f ms: P50 %.1f ms, P99 %.1f ms; the saturated one gets %.0f %% of the time\n", name,
        1e3 * alone, 1e3 * models.latency(0, 0.5), 1e3 * models.latency(0, 0.99), 100 * models.share(1));
    EXPECT_GT(models.share(1), 0.85) << "what the small one does not use";
    return models.latency(0, 0.99);
  };
  const PlannerOptions usual;
  const double shared = measure("batches of 50 ms", usual);
  const double full = measure("batches of 250 ms", {.shared_batch_seconds = usual.max_batch_seconds});
  EXPECT_LT(shared, 1.25 * usual.shared_batch_seconds + 4 * alone) << "one batch, and those that came just before";
  EXPECT_LT(shared, full / 2);
}

TEST(ModelsSimulation, WhoComesBackHasNothingSavedUp) {
  FairShare fair;
  const auto a = fair.add(1), b = fair.add(1);
  double now = 0;
  const auto compute = [&](FairShare::Member member) {
    EXPECT_EQ(fair.next(), member);
    now += 1;
    fair.finished(member, 1, now);
  };
  for (int i = 0; i < 100; ++i) {  // b is idle
    fair.want(a, 1);
    compute(a);
  }
  size_t turns_of_b = 0;
  fair.want(a, 1);
  fair.want(b, 1);
  for (int i = 0; i < 20; ++i) {
    const auto member = fair.next();
    ASSERT_TRUE(member);
    turns_of_b += *member == b;
    now += 1;
    fair.finished(*member, 1, now);
    fair.want(*member, 1);
  }
  EXPECT_NEAR(static_cast<double>(turns_of_b), 10, 1);
}

}  // namespace
}  // namespace rerank::schedule
