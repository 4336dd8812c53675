#include "simulation/simulator.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "base/strings.h"

namespace rerank {
namespace {

constexpr size_t kShownViolations = 5;

struct Client {
  Question question;
  double arrival = 0, alone = 0, position = 0;
  uint32_t tokens = 0;
  std::vector<uint8_t> scores;  // per pair: how often it got a logit
};

struct Event {
  double time;
  uint64_t request;
  enum Kind { kArrival, kLeave } kind;
  bool operator>(const Event& other) const { return time > other.time; }
};

struct Batch {
  const schedule::Plan* plan = nullptr;
  double seconds = 0, end = 0;                                 // of the engine; once it is done with those before it
  double next_part = std::numeric_limits<double>::infinity();  // when it may be interrupted
  bool fails = false;
  size_t noted_shared = 0;
};

class Simulator {
 public:
  explicit Simulator(const Scenario& s) : s_(s), planner_(options_of(s)), random_{s.seed} {}

  Report run() {
    for (double work : {32.0, 256.0, 1024.0, 4096.0}) {
      planner_.observe(work, true_seconds(work));
    }
    const size_t first = s_.traffic.clients ? s_.traffic.clients : 1;
    for (size_t i = 0; i < first; ++i) schedule_next();
    while (step()) {
    }
    for (const auto& [id, client] : clients_) violate(str_cat("request ", id, " was never answered"));
    if (planner_.queued_tokens() != 0) violate(str_cat(planner_.queued_tokens(), " tokens are left in the queue"));
    report_.seconds = now_;
    return std::move(report_);
  }

 private:
  static schedule::PlannerOptions options_of(const Scenario& s) {
    schedule::PlannerOptions options = s.planner;
    options.interruptible = s.engine.part_seconds > 0;
    return options;
  }

  double true_seconds(double tokens) const { return s_.engine.fixed_seconds + s_.engine.seconds_per_token * tokens; }

  void violate(std::string what) {
    if (report_.violations.size() < kShownViolations) report_.violations.push_back(std::move(what));
  }

  void schedule_next() {
    if (generated_ == s_.traffic.arrivals) return;
    ++generated_;
    Question question = s_.traffic.next(random_);
    last_arrival_ = (s_.traffic.clients ? now_ : last_arrival_) + question.gap;
    const uint64_t id = next_id_++;
    events_.push({last_arrival_, id, Event::kArrival});
    coming_[id] = std::move(question);
  }

  // The next thing that happens. False: nothing will.
  bool step() {
    constexpr double kNever = std::numeric_limits<double>::infinity();
    const bool takes = running_.size() < s_.engine.in_flight;
    const double start = takes ? planner_.start_time(now_).value_or(kNever) : kNever;
    const double end = running_.empty() ? kNever : computed().end;
    const double part = running_.empty() ? kNever : computed().next_part;
    const double deadline = planner_.next_deadline().value_or(kNever);
    double next = std::min({end, part, start});
    next = std::min(next, std::max(now_, deadline));
    if (!events_.empty()) next = std::min(next, events_.top().time);
    if (std::isinf(next)) return false;
    now_ = std::max(now_, next);
    if (deadline <= now_) drop(planner_.expire(now_), report_.expired);
    if (end <= now_) return end_batch(), true;
    if (!events_.empty() && events_.top().time <= now_) return handle_event(), true;
    if (part <= now_) return interrupt(), true;
    if (start <= now_) begin_batch(planner_.next(now_));
    return true;
  }

  // The engine computes the first of those it has, or the one that has interrupted the others.
  Batch& computed() { return s_.engine.part_seconds > 0 ? running_.back() : running_.front(); }

  void interrupt() {
    Batch& outer = computed();
    outer.next_part = now_ + s_.engine.part_seconds;
    const size_t before = running_.size();
    begin_batch(planner_.next_between(*outer.plan, now_));
    if (running_.size() == before) return;
    ++report_.interruptions;
    running_[before].end = now_ + running_[before].seconds;
    running_[before - 1].next_part = running_[before].end;  // what else goes first
  }

  void handle_event() {
    const Event event = events_.top();
    events_.pop();
    event.kind == Event::kArrival ? arrive(event.request) : leave(event.request);
  }

  void arrive(uint64_t id) {
    Client client;
    client.question = std::move(coming_[id]);
    coming_.erase(id);
    if (!s_.traffic.clients) schedule_next();
    ++report_.arrivals;
    const Question& q = client.question;
    client.arrival = now_;
    for (uint32_t length : q.lengths) client.tokens += length;
    client.alone = true_seconds(client.tokens);
    const bool large = client.tokens > 0.9 * static_cast<double>(s_.planner.max_batch_tokens);
    client.position = (large ? std::max(now_, large_lane_end_) : now_) +
                      s_.planner.size_penalty * client.alone * 1.2;  // speeds are learned
    if (large) large_lane_end_ = client.position;
    client.scores.resize(q.lengths.size());
    std::vector<Hash128> keys;
    for (uint64_t name : q.names) keys.push_back({name, 7});
    schedule::Arrival arrival{id, q.lengths, keys, q.priority, std::nullopt};
    if (q.timeout > 0) arrival.deadline = now_ + q.timeout;
    const Status status = planner_.admit(arrival, now_);
    report_.most_queued_tokens = std::max(report_.most_queued_tokens, planner_.queued_tokens());
    report_.most_held = std::max(report_.most_held, planner_.held_requests());
    if (!status.ok()) {
      ++(absl::IsResourceExhausted(status) ? report_.refused_load : report_.refused_deadline);
      if (absl::IsResourceExhausted(status) && retry_after_seconds(status).value_or(0) < 1) {
        violate("a refusal does not say when to come back");
      }
      if (s_.traffic.clients) schedule_next();
      return;
    }
    if (q.patience > 0) events_.push({now_ + q.patience, id, Event::kLeave});
    clients_.emplace(id, std::move(client));
    for (Batch& batch : running_) note_shared(batch);  // pairs that joined it
  }

  void leave(uint64_t id) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    planner_.cancel(id);
    ++report_.cancelled;
    gone_.insert(id);
    end(id);
  }

  void drop(const std::vector<uint64_t>& requests, size_t& counter) {
    for (uint64_t id : requests) {
      if (!clients_.contains(id)) violate(str_cat("request ", id, " ended twice"));
      ++counter;
      end(id);
    }
  }

  void end(uint64_t id) {
    clients_.erase(id);
    if (s_.traffic.clients) schedule_next();
  }

  void begin_batch(const schedule::Plan& plan) {
    const std::vector<uint64_t> expired = plan.expired;
    if (!plan.pairs.empty()) {
      check_budget(plan);
      check_pairs(plan);
      Batch batch{&plan};
      note_shared(batch);
      double seconds = true_seconds(plan.work) * (1 + s_.engine.noise * (2 * random_.unit() - 1));
      if (random_.unit() < s_.engine.slow_share) seconds *= 3;
      batch.fails = random_.unit() < s_.engine.failure_share;
      batch.seconds = seconds;
      const double ready = now_ + s_.engine.host_seconds;
      batch.end = (running_.empty() ? ready : std::max(ready, running_.back().end)) + seconds;
      if (s_.engine.part_seconds > 0 && planner_.is_interruptible(plan))
        batch.next_part = now_ + s_.engine.part_seconds;
      running_.push_back(batch);
      report_.longest_batch = std::max(report_.longest_batch, seconds);
      report_.most_in_flight = std::max(report_.most_in_flight, running_.size());
      report_.busy_seconds += seconds;
      ++report_.batches;
      report_.pairs_computed += plan.pairs.size();
    } else {
      planner_.finished(plan, now_, 0, true);
    }
    drop(expired, report_.expired);
  }

  void check_budget(const schedule::Plan& plan) {
    if (plan.pairs.size() == 1) return;  // a pair longer than the budget goes alone
    if (plan.tokens > s_.planner.max_batch_tokens) violate(str_cat("a batch of ", plan.tokens, " tokens"));
    if (planner_.cost().seconds(plan.work) > s_.planner.max_batch_seconds * (1 + 1e-9)) violate("a batch is too long");
  }

  void check_pairs(const schedule::Plan& plan) {
    std::unordered_set<uint64_t> names;
    size_t tokens = 0;
    for (const schedule::PlannedPair& pair : plan.pairs) {
      const auto found = clients_.find(pair.request);
      if (found == clients_.end()) {
        violate(str_cat("a pair of request ", pair.request, " is computed for nobody",
                        gone_.contains(pair.request) ? ": it was cancelled" : ""));
        continue;
      }
      Client& client = found->second;
      tokens += client.question.lengths[pair.pair];
      if (!client.question.names.empty() && !names.insert(client.question.names[pair.pair]).second) {
        violate("equal pairs in one batch");
      }
      if (s_.fair) check_position(client);
      latest_planned_ = std::max(latest_planned_, client.arrival);
    }
    if (!s_.planner.pads && tokens != plan.tokens) violate("a batch's tokens are miscounted");
  }

  // No request that arrived after another's last position was planned before it.
  void check_position(const Client& client) {
    const double position = client.position;
    if (latest_planned_ > position + 1e-6) {
      violate(str_cat("a request of ", client.tokens, " tokens was passed by one that came ",
                      latest_planned_ - client.arrival, " s after it"));
    }
  }

  void note_shared(Batch& batch) {
    const schedule::Plan& plan = *batch.plan;
    for (; batch.noted_shared < plan.shared.size(); ++batch.noted_shared) {
      const schedule::SharedResult& shared = plan.shared[batch.noted_shared];
      const auto sharer = clients_.find(shared.pair.request), computed = clients_.find(plan.pairs[shared.slot].request);
      ++report_.pairs_shared;
      if (sharer == clients_.end()) violate("a pair is shared with nobody");
      if (sharer == clients_.end() || computed == clients_.end()) continue;
      if (sharer->second.question.names[shared.pair.pair] !=
          computed->second.question.names[plan.pairs[shared.slot].pair]) {
        violate("pairs that are not equal share a score");
      }
    }
  }

  void end_batch() {
    const Batch batch = computed();
    s_.engine.part_seconds > 0 ? running_.pop_back() : running_.pop_front();
    for (Batch& interrupted : running_)
      if (s_.engine.part_seconds > 0) interrupted.end += batch.seconds;
    const schedule::Plan plan = *batch.plan;  // a copy: it ends
    const schedule::Outcome outcome = planner_.finished(*batch.plan, now_, batch.seconds, !batch.fails);
    if (!batch.fails) {
      const auto score = [&](const schedule::PlannedPair& pair) {
        const auto found = clients_.find(pair.request);
        if (found == clients_.end()) return;
        if (++found->second.scores[pair.pair] > 1)
          violate(str_cat("a pair of request ", pair.request, " scored twice"));
      };
      for (const schedule::PlannedPair& pair : plan.pairs) score(pair);
      for (const schedule::SharedResult& shared : plan.shared) score(shared.pair);
    }
    for (uint64_t id : outcome.completed) complete(id);
    if (!batch.fails && !outcome.failed.empty()) violate("requests failed without a failure");
    drop(outcome.failed, report_.failed);
  }

  void complete(uint64_t id) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return violate(str_cat("request ", id, " ended twice"));
    const Client& client = found->second;
    for (uint8_t count : client.scores) {
      if (count != 1) violate(str_cat("request ", id, " was answered with a pair scored ", count, " times"));
    }
    const double wait = now_ - client.arrival;
    const double late = client.question.timeout > 0 ? wait - client.question.timeout : 0;
    ++report_.completed;
    report_.late += late > 0;
    report_.latest = std::max(report_.latest, late);
    if (late <= 0) report_.tokens_completed += client.tokens;
    report_.waits.push_back(wait);
    report_.slowdowns.push_back(wait / client.alone);
    report_.sizes.push_back(client.tokens);
    end(id);
  }

  const Scenario& s_;
  schedule::Planner planner_;
  Random random_;
  Report report_;
  double now_ = 0, last_arrival_ = 0;
  size_t generated_ = 0;
  uint64_t next_id_ = 1;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::unordered_map<uint64_t, Question> coming_;
  std::unordered_map<uint64_t, Client> clients_;
  std::unordered_set<uint64_t> gone_;
  std::deque<Batch> running_;
  double latest_planned_ = 0, large_lane_end_ = 0;
};

}  // namespace

double Random::exponential(double mean) { return -mean * std::log(1 - unit()); }

Report simulate(const Scenario& scenario) { return Simulator(scenario).run(); }

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace rerank
