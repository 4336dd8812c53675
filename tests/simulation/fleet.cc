#include "simulation/fleet.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

#include "simulation/simulator.h"

namespace rerank {
namespace {

enum class EventKind { kArrival, kBatchEnd, kDeath, kReady, kScale, kResend };

struct Event {
  double at = 0;
  uint64_t order = 0;  // events of one time in the order they were made
  EventKind kind = EventKind::kArrival;
  size_t replica = 0;
  uint64_t subject = 0;  // a request, or the life of a replica that it belongs to
  bool operator>(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
};

struct Request {
  double arrival = 0;
  size_t query = 0;
  size_t tries = 0;
  bool counted = false;
  std::vector<uint32_t> lengths;
};

// The queries that a replica answered last.
class SeenQueries {
 public:
  explicit SeenQueries(size_t room) : room_(room) {}
  bool has(size_t query) {
    const auto found = places_.find(query);
    if (found == places_.end()) return false;
    order_.splice(order_.begin(), order_, found->second);
    return true;
  }
  void add(size_t query) {
    if (room_ == 0 || has(query)) return;
    order_.push_front(query);
    places_[query] = order_.begin();
    if (order_.size() <= room_) return;
    places_.erase(order_.back());
    order_.pop_back();
  }

 private:
  size_t room_;
  std::list<size_t> order_;
  std::unordered_map<size_t, std::list<size_t>::iterator> places_;
};

struct Replica {
  Replica(const FleetOptions& options) : planner(options.planner), seen(options.cached_requests) {
    for (const double tokens : {64.0, 1024.0, 8192.0})
      planner.observe(tokens, options.fixed_seconds + tokens / options.tokens_per_second);
  }
  schedule::Planner planner;
  SeenQueries seen;
  const schedule::Plan* running = nullptr;
  double batch_seconds = 0;
  std::vector<uint64_t> requests;  // that it has, ended ones among them
};

// A place for a replica: what runs there has a life, and dies.
struct Place {
  std::unique_ptr<Replica> replica;  // null: it starts, or is switched off
  uint64_t life = 0;
  bool wanted = true;
  double known_gone_at = 0;  // the balancer sends requests there until then, when there is none
  double busy = 0, up_since = 0, up = 0;
};

class Fleet {
 public:
  explicit Fleet(const FleetOptions& options) : o_(options), random_{options.seed} {
    begin_ = o_.seconds / 4;
    end_ = begin_ + o_.seconds;
    places_.resize(o_.backlog_seconds > 0 ? o_.most : o_.replicas);
    for (size_t i = 0; i < places_.size(); ++i) {
      places_[i].wanted = i < o_.replicas;
      if (places_[i].wanted) start(i, 0);
    }
    make_popularity();
  }

  FleetReport run() {
    push(random_.exponential(1 / o_.requests_per_second), EventKind::kArrival, 0, 0);
    if (o_.backlog_seconds > 0) push(1, EventKind::kScale, 0, 0);
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      if (now_ > end_ + 60) break;
      handle(event);
    }
    return report();
  }

 private:
  void push(double at, EventKind kind, size_t replica, uint64_t subject) {
    events_.push({at, ++made_, kind, replica, subject});
  }

  void make_popularity() {
    double sum = 0;
    for (size_t rank = 1; rank <= o_.queries; ++rank) popularity_.push_back(sum += std::pow(rank, -o_.zipf));
  }

  size_t some_query() {
    if (popularity_.empty()) return next_request_;  // all differ
    const double at = random_.unit() * popularity_.back();
    return std::lower_bound(popularity_.begin(), popularity_.end(), at) - popularity_.begin();
  }

  void handle(const Event& event) {
    Place& place = places_[event.replica];
    switch (event.kind) {
      case EventKind::kArrival:
        return arrive();
      case EventKind::kResend:
        return send(event.subject);
      case EventKind::kBatchEnd:
        if (place.replica && place.life == event.subject) finish_batch(event.replica);
        return;
      case EventKind::kReady:
        if (place.life == event.subject && place.wanted) start(event.replica, now_);
        return;
      case EventKind::kDeath:
        if (place.replica && place.life == event.subject) die(event.replica);
        return;
      case EventKind::kScale:
        return scale();
    }
  }

  void start(size_t i, double now) {
    Place& place = places_[i];
    place.replica = std::make_unique<Replica>(o_);
    place.up_since = now;
    if (o_.dies_every > 0) push(now + random_.exponential(o_.dies_every), EventKind::kDeath, i, place.life);
  }

  void stop(size_t i) {
    Place& place = places_[i];
    place.up += std::max(0.0, std::min(now_, end_) - std::max(place.up_since, begin_));
    place.replica.reset();
    ++place.life;
  }

  // What it has is sent again once its connections have broken, which is at once.
  void die(size_t i) {
    Place& place = places_[i];
    const std::vector<uint64_t> had = std::move(place.replica->requests);
    stop(i);
    place.known_gone_at = now_ + o_.notice_seconds;
    push(now_ + o_.start_seconds, EventKind::kReady, i, place.life);
    for (const uint64_t id : had) {
      if (requests_.contains(id)) again(id, true);
    }
  }

  void arrive() {
    if (now_ > end_) return;
    const double rate =
        o_.requests_per_second * (o_.load_step_at > 0 && now_ > begin_ + o_.load_step_at ? o_.load_step : 1);
    push(now_ + random_.exponential(1 / rate), EventKind::kArrival, 0, 0);
    Request request{now_, some_query(), 0, now_ >= begin_, {}};
    // As retrieval asks: most requests are small, a tenth has eleven times as many documents as those have on average.
    const size_t documents = random_.below(10) == 0 ? o_.documents * 11 / 2 : 1 + random_.below(o_.documents);
    for (size_t d = 0; d < documents; ++d)
      request.lengths.push_back(o_.tokens / 2 + static_cast<uint32_t>(random_.below(o_.tokens)));
    report_.requests += request.counted;
    const uint64_t id = next_request_++;
    requests_.emplace(id, std::move(request));
    send(id);
  }

  // A place that the balancer thinks is there; places_.size(): none.
  size_t choose(const Request& request) {
    known_.clear();
    for (size_t i = 0; i < places_.size(); ++i)
      if (places_[i].replica || places_[i].known_gone_at > now_) known_.push_back(i);
    if (known_.empty()) return places_.size();
    if (o_.routing == Routing::kRoundRobin) return known_[turn_++ % known_.size()];
    if (o_.routing == Routing::kTwoChoices || request.tries > 0) {
      const size_t a = known_[random_.below(known_.size())], b = known_[random_.below(known_.size())];
      return backlog(a) <= backlog(b) ? a : b;
    }
    // Rendezvous hashing: another query's place does not change when a replica goes.
    const auto weight = [&](size_t i) { return Random{request.query * 0x9e3779b97f4a7c15 + i}.bits(); };
    return *std::max_element(known_.begin(), known_.end(), [&](size_t a, size_t b) { return weight(a) < weight(b); });
  }

  double backlog(size_t i) const {
    return places_[i].replica ? places_[i].replica->planner.backlog_seconds(now_)
                              : 0;  // gone, and not known: looks idle
  }

  void send(uint64_t id) {
    Request& request = requests_.at(id);
    if (o_.timeout > 0 && now_ > request.arrival + o_.timeout) return give_up(id, report_.late);
    const size_t i = choose(request);
    if (i == places_.size() || !places_[i].replica) return again(id, true);
    Replica& replica = *places_[i].replica;
    if (popularity_.size() > 0 && replica.seen.has(request.query)) {
      report_.cached += request.counted;
      return answer(id, i);
    }
    schedule::Arrival arrival{id, request.lengths, {}, 0, {}};
    if (o_.timeout > 0) arrival.deadline = request.arrival + o_.timeout;
    if (!replica.planner.admit(arrival, now_).ok()) return again(id, false);
    replica.requests.push_back(id);
    run_next(i);
  }

  void again(uint64_t id, bool broken) {
    if (++requests_.at(id).tries >= o_.tries) return give_up(id, broken ? report_.lost : report_.refused);
    push(now_ + 0.005, EventKind::kResend, 0, id);
  }

  void give_up(uint64_t id, size_t& count) {
    count += requests_.at(id).counted;
    requests_.erase(id);
  }

  void answer(uint64_t id, size_t i) {
    const Request& request = requests_.at(id);
    if (request.counted) {
      ++report_.answered;
      seconds_.push_back(static_cast<float>(now_ - request.arrival));
    }
    if (places_[i].replica) places_[i].replica->seen.add(request.query);
    requests_.erase(id);
  }

  void run_next(size_t i) {
    Place& place = places_[i];
    Replica& replica = *place.replica;
    if (replica.running != nullptr || !replica.planner.start_time(now_)) return;
    const schedule::Plan& plan = replica.planner.next(now_);
    for (const uint64_t id : plan.expired)
      if (requests_.contains(id)) give_up(id, report_.late);
    if (plan.pairs.empty()) return;
    replica.running = &plan;
    replica.batch_seconds = o_.fixed_seconds + static_cast<double>(plan.tokens) / o_.tokens_per_second;
    if (now_ >= begin_ && now_ <= end_) place.busy += replica.batch_seconds;
    push(now_ + replica.batch_seconds, EventKind::kBatchEnd, i, place.life);
  }

  void finish_batch(size_t i) {
    Replica& replica = *places_[i].replica;
    const schedule::Plan& plan = *std::exchange(replica.running, nullptr);
    const schedule::Outcome outcome = replica.planner.finished(plan, now_, replica.batch_seconds, true);
    for (const uint64_t id : outcome.completed)
      if (requests_.contains(id)) answer(id, i);
    if (replica.requests.size() > 4096)
      std::erase_if(replica.requests, [&](uint64_t id) { return !requests_.contains(id); });
    run_next(i);
  }

  // As KEDA does: as many as the backlog asks for, up at once, down slowly.
  void scale() {
    if (now_ < end_) push(now_ + 5, EventKind::kScale, 0, 0);
    double backlog_sum = 0;
    size_t there = 0;
    for (size_t i = 0; i < places_.size(); ++i) {
      there += places_[i].wanted;
      backlog_sum += backlog(i);
    }
    auto wanted = static_cast<size_t>(std::ceil(backlog_sum / o_.backlog_seconds));
    wanted = std::clamp(wanted, o_.least, o_.most);
    last_wanted_.push_back(wanted);
    if (last_wanted_.size() > 60) last_wanted_.pop_front();
    const size_t most_lately = *std::max_element(last_wanted_.begin(), last_wanted_.end());  // of five minutes
    for (size_t i = 0; i < places_.size() && there < wanted; ++i) {
      if (places_[i].wanted) continue;
      places_[i].wanted = true;
      push(now_ + o_.start_seconds, EventKind::kReady, i, places_[i].life);
      ++there;
    }
    for (size_t i = places_.size(); i-- > 0 && there > std::max(most_lately, o_.least);) {
      Place& place = places_[i];
      if (!place.wanted || (place.replica && place.replica->running != nullptr)) continue;
      place.wanted = false;
      if (place.replica) stop(i);
      --there;
    }
    report_.most_replicas = std::max(report_.most_replicas, there);
  }

  FleetReport report() {
    now_ = end_;
    double busy = 0, up = 0;
    for (size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].replica) stop(i);
      busy += places_[i].busy;
      up += places_[i].up;
    }
    for (const auto& [id, request] : requests_) report_.late += request.counted;  // never answered
    const auto at = [&](double q) {
      if (seconds_.empty()) return 0.0;
      const auto place = seconds_.begin() + static_cast<ptrdiff_t>(q * static_cast<double>(seconds_.size() - 1));
      std::nth_element(seconds_.begin(), place, seconds_.end());
      return static_cast<double>(*place);
    };
    report_.p50 = at(0.5), report_.p95 = at(0.95), report_.p99 = at(0.99), report_.p999 = at(0.999);
    report_.busy = up > 0 ? busy / up : 0;
    report_.replicas = up / o_.seconds;
    report_.most_replicas = std::max(report_.most_replicas, o_.replicas);
    return report_;
  }

  const FleetOptions o_;
  Random random_;
  double now_ = 0, begin_ = 0, end_ = 0;
  uint64_t made_ = 0, next_request_ = 1, turn_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<Place> places_;
  std::vector<size_t> known_;
  std::vector<double> popularity_;
  std::unordered_map<uint64_t, Request> requests_;
  std::list<size_t> last_wanted_;
  std::vector<float> seconds_;
  FleetReport report_;
};

}  // namespace

FleetReport simulate_fleet(const FleetOptions& options) { return Fleet(options).run(); }

}  // namespace rerank
