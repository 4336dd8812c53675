// Admission: what may wait, and at which queue position. What goes into a batch is planner_batch.cc.
#include "schedule/planner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::schedule {
namespace {

Status overloaded(std::string_view why, double retry_seconds) {
  return with_retry_after(absl::ResourceExhaustedError(str_cat("overloaded: ", why)),
                          static_cast<int>(std::clamp(std::ceil(retry_seconds), 1.0, 600.0)));
}

}  // namespace

// The work of a full batch: of one pair, where the engine's fixed part alone takes as long as a batch may.
double Planner::full_batch() const {
  const auto tokens = static_cast<double>(options_.max_batch_tokens);
  if (cost_.rate() <= 0) return tokens;
  return std::min(tokens, std::max(pair_work_, (batch_seconds_ - cost_.fixed()) / cost_.rate()));
}

double Planner::predict_alone(double work) const {
  if (work <= 0 || !cost_.fitted()) return 0;
  return cost_.rate() * work + cost_.fixed() * std::ceil(work / full_batch());
}

double Planner::predict(double work) const { return slowdown_ * predict_alone(work); }

double Planner::next_batch_seconds() const {
  return queued_work_ > 0 ? cost_.seconds(std::min(queued_work_, full_batch())) : 0;
}

// How far the position of a request's next batch is before that of its last one, when `work` of it is left.
double Planner::later_penalty(double work) const {
  return options_.size_penalty * predict(std::max(0.0, work - full_batch()));
}

// The time of a request's position without deadlines. Large requests follow one another.
double Planner::position_time(double arrival, double work) const {
  const double begin = work > full_batch() ? std::max(arrival, large_lane_end_) : arrival;
  return begin + options_.size_penalty * predict(work) - later_penalty(work);
}

double Planner::running_left(double now) const {
  double left = 0;
  bool first = true;
  for (const Running& running : running_) {
    if (running.plan.pairs.empty()) continue;
    const double own = cost_.seconds(running.plan.work);
    left += first ? std::max(0.0, running.begins + own - now) : own;
    first = false;
  }
  return left;
}

// Of a running batch. What takes longer than predicted is not nearly done.
double Planner::left_of(const Running& running, double now) const {
  const double own = cost_.seconds(running.plan.work);
  return std::max(running.begins + own - now, own / 8);
}

// Seconds that a batch may take which interrupts `running`.
double Planner::between_limit(const Running& running, double now) const {
  const double left = left_of(running, now);
  return std::min(left / 2, running.plan.deadline - now - options_.prediction_margin * left);
}

// How long a request of `work` at that position waits for what runs: not for what it may interrupt.
double Planner::wait_for_running(const QueuePosition& position, double work, double now) const {
  double wait = 0;  // for what has interrupted others
  for (auto running = running_.rbegin(); running != running_.rend() && options_.interruptible; ++running) {
    if (running->plan.pairs.empty()) continue;
    const double limit = is_interruptible(running->plan) ? between_limit(*running, now) : -1;
    const auto goes = [&](const QueuePosition& at, double seconds) {
      return at < running->plan.position && seconds <= limit;
    };
    // The first in the queue goes first, or nobody.
    const Request* first = order_.empty() ? nullptr : order_.begin()->second;
    if (goes(position, predict_alone(work)) &&
        (first == nullptr || position < first->position || goes(first->position, predict_alone(first->work))))
      return wait;
    wait += std::max(0.0, running->begins + cost_.seconds(running->plan.work) - now);
  }
  return running_left(now);
}

// Those of a request that follow the first find what they begin with computed already; which of them is the first is
// not known yet, so that each bears the same part of it.
void Planner::set_works(Request& r, uint32_t shared) const {
  const size_t n = r.lengths.size();
  const double once = shared == 0 ? 0 : cost_.work(shared), saved = once - once / static_cast<double>(n);
  r.works.reserve(n);
  for (const uint32_t length : r.lengths) {
    r.works.push_back(cost_.work(length) - saved);
    r.all_work += r.works.back();
    r.all_tokens += length;
  }
}

Planner::Candidate Planner::candidate_of(const Request& r) const {
  Candidate c{r.id, r.priority, r.arrival, r.deadline};
  if (r.keys.empty()) {
    c.work = r.all_work;
    c.fresh_tokens = r.all_tokens;
    c.pairs = r.lengths.size();
    return c;
  }
  for (size_t i = 0; i < r.lengths.size(); ++i) {
    const Hash128 key = r.key(i);
    if (key && running_keys_.contains(key)) continue;
    c.work += r.works[i];
    ++c.pairs;
    if (!key || !shared_pairs_.waits(key)) c.fresh_tokens += r.lengths[i];
  }
  return c;
}

// Whether an arriving request of `work` may be scheduled ahead of `other`, which has `ahead` of work to its own end.
// `jump`: at a position before its natural one; then a request without a deadline must still not wait for longer than
// max_queue_seconds.
bool Planner::may_overtake(const Request& other, double start, double ahead, double work, bool jump) const {
  double limit = other.deadline.value_or(std::numeric_limits<double>::infinity());
  if (jump && options_.max_queue_seconds > 0) limit = std::min(limit, other.position.time + options_.max_queue_seconds);
  return start + options_.prediction_margin * predict(ahead - other.work + work) + predict_alone(other.work) <= limit;
}

Result<QueuePosition> Planner::position_for(const Candidate& c, double now) const {
  // Nothing is refused for what the first batches said; and there are never more batches than pairs.
  double own = cost_.trusted() ? predict_alone(c.work) : 0;
  if (c.pairs > 0 && cost_.fitted())
    own = std::min(own, cost_.rate() * c.work + cost_.fixed() * static_cast<double>(c.pairs));
  if (c.deadline && now + own > *c.deadline) {
    return absl::DeadlineExceededError("the request cannot be computed within its deadline, even alone");
  }
  // A request larger than the whole bound is admitted when nothing else waits; else it could never be.
  if (queued_tokens_ > 0 && queued_tokens_ + c.fresh_tokens > options_.max_queued_tokens) {
    // What waits has to shrink by the request's own size before it fits.
    const double over = static_cast<double>(queued_tokens_ + c.fresh_tokens - options_.max_queued_tokens);
    return overloaded(str_cat(queued_tokens_, " tokens are waiting, and ", c.fresh_tokens,
                              " more do not fit the bound of ", options_.max_queued_tokens),
                      backlog_seconds(now) * over / static_cast<double>(queued_tokens_));
  }
  QueuePosition natural{c.priority, position_time(c.arrival, c.work), static_cast<double>(c.id), c.id};
  if (c.deadline) natural.time = std::min(natural.time, *c.deadline - own);
  const double start = now + wait_for_running(natural, c.work, now);
  const auto late = [&](double ahead) {
    return c.deadline ? start + options_.prediction_margin * predict(ahead) + own - *c.deadline : 0;
  };
  double ahead = queued_work_;  // before its position
  const Request *passed = nullptr, *stop = nullptr;
  // From the end of the queue towards the natural position, and beyond it if the deadline asks for that. Where all that
  // waits can be computed first and no deadline is at risk, there is nothing to look at.
  const bool no_deadline_at_risk =
      late(ahead) <= 0 &&
      (options_.max_queue_seconds <= 0 || start - now + predict(ahead) <= options_.max_queue_seconds) &&
      (deadlines_.empty() ||
       now + running_left(now) + options_.prediction_margin * predict(ahead + c.work) <= deadlines_.begin()->first);
  for (auto it = order_.rbegin(); it != order_.rend() && !no_deadline_at_risk; ++it) {
    const Request& other = *it->second;
    const bool jump = !(natural < it->first);
    stop = &other;
    if (jump && (late(ahead) <= 0 || other.position.priority > c.priority)) break;
    const double others_start = now + wait_for_running(other.position, other.work, now);
    if (!may_overtake(other, others_start, ahead, c.work, jump)) break;
    ahead -= other.work;
    passed = &other;
    stop = nullptr;
  }
  if (late(ahead) > 0) return overloaded("too much is waiting to be done within the deadline", late(ahead));
  const double wait = start - now + predict(ahead);
  if (!no_deadline_at_risk && options_.max_queue_seconds > 0 && wait > options_.max_queue_seconds) {
    return overloaded(str_cat("the wait would be ", std::lround(wait), " seconds"), wait - options_.max_queue_seconds);
  }
  return between(stop != nullptr ? &stop->position : nullptr, natural, passed != nullptr ? &passed->position : nullptr);
}

Status Planner::check(size_t tokens, int priority, std::optional<double> deadline, double now) const {
  if (held_.size() < options_.max_held_requests) return ok_status();
  return position_for({UINT64_MAX, priority, now, deadline, static_cast<double>(tokens), tokens}, now).status();
}

void Planner::note_arrival(double now) {
  // A pause tells as much as a second of silence, however long it was.
  const double gap = last_arrival_ > 0 ? std::clamp(now - last_arrival_, 0.0, 1.0) : 1.0;
  mean_gap_ = mean_gap_ > 0 ? 0.8 * mean_gap_ + 0.2 * gap : gap;
  last_arrival_ = now;
  if (order_.empty()) waiting_since_ = now;
}

Status Planner::admit(const Arrival& arrival, double now) {
  Request r;
  r.id = arrival.request;
  r.arrival = now;
  r.deadline = arrival.deadline;
  r.priority = arrival.priority;
  r.lengths.assign(arrival.lengths.begin(), arrival.lengths.end());
  set_works(r, arrival.shared);
  r.keys.assign(arrival.keys.begin(), arrival.keys.end());
  r.states.assign(r.lengths.size(), PairState::kDone);
  r.unfinished = r.lengths.size();
  if (options_.pads) {
    r.sequence.resize(r.lengths.size());
    std::iota(r.sequence.begin(), r.sequence.end(), 0u);
    std::stable_sort(r.sequence.begin(), r.sequence.end(),
                     [&](uint32_t a, uint32_t b) { return r.lengths[a] > r.lengths[b]; });
  }
  note_arrival(now);
  // After those that are held, unless more urgent.
  if (!held_.empty() && held_.begin()->first.priority >= r.priority) {
    return hold(std::move(r), overloaded("requests are held until there is room", backlog_seconds(now)));
  }
  const Candidate candidate = candidate_of(r);
  if (candidate.pairs > 0) {
    const double mean = candidate.work / static_cast<double>(candidate.pairs);
    pair_work_ += (mean - pair_work_) * (pair_work_ <= 1 ? 1 : 0.1);
  }
  auto position = position_for(candidate, now);
  if (absl::IsResourceExhausted(position.status())) return hold(std::move(r), position.status());
  RETURN_IF_ERROR(position.status());
  const uint64_t id = r.id;
  set_position(r, *position, candidate.work);
  enqueue(requests_.insert_or_assign(id, std::move(r)).first->second);
  return ok_status();
}

void Planner::set_position(Request& r, const QueuePosition& position, double work) {
  if (work > full_batch()) large_lane_end_ = position_time(r.arrival, work) + later_penalty(work);
  r.position = position;
}

Status Planner::hold(Request&& r, const Status& refusal) {
  if (held_.size() >= options_.max_held_requests) return refusal;
  r.held = true;
  r.position = {r.priority, r.arrival, static_cast<double>(r.id), r.id};
  Request& stored = requests_.insert_or_assign(r.id, std::move(r)).first->second;
  held_[stored.position] = &stored;
  if (stored.deadline) deadlines_.emplace(*stored.deadline, stored.id);
  return ok_status();
}

void Planner::promote_held(double now) {
  while (!held_.empty()) {
    Request& r = *held_.begin()->second;
    auto position = position_for(candidate_of(r), now);
    if (absl::IsDeadlineExceeded(position.status())) {
      plan_->expired.push_back(r.id);
      forget(r.id);
      continue;
    }
    if (!position.ok()) return;
    held_.erase(held_.begin());
    if (r.deadline) deadlines_.erase({*r.deadline, r.id});
    r.held = false;
    set_position(r, *position, candidate_of(r).work);
    enqueue(r);
  }
}

void Planner::enqueue(Request& r) {
  for (uint32_t i = 0; i < r.lengths.size(); ++i) enqueue_pair(r, i);
  if (r.queued == 0) return;  // all of it runs already
  order_[r.position] = &r;
  if (r.deadline) deadlines_.emplace(*r.deadline, r.id);
}

void Planner::enqueue_pair(Request& r, uint32_t pair) {
  const Hash128 key = r.key(pair);
  if (const auto found = running_keys_.find(key); key && found != running_keys_.end()) {
    r.states[pair] = PairState::kRunning;
    Plan& plan = *found->second.plan;
    plan.shared.push_back({found->second.slot, {r.id, pair}});
    if (r.deadline) plan.deadline = std::min(plan.deadline, *r.deadline);
    return;
  }
  r.states[pair] = PairState::kQueued;
  ++r.queued;
  if (!key) return account(r, pair, 1);
  const SharedPairs::Change change = shared_pairs_.join(key, {r.position, pair});
  if (change.after->position.request != r.id || change.after->pair != pair) return;
  if (change.before != nullptr) account(requests_.at(change.before->position.request), change.before->pair, -1);
  account(r, pair, 1);
}

void Planner::withdraw_pair(Request& r, uint32_t pair) {
  r.states[pair] = PairState::kDone;
  --r.queued;
  const Hash128 key = r.key(pair);
  if (!key) return account(r, pair, -1);
  const SharedPairs::Change change = shared_pairs_.leave(key, {r.position, pair});
  if (change.before->position.request != r.id || change.before->pair != pair) return;
  account(r, pair, -1);
  if (change.after != nullptr) account(requests_.at(change.after->position.request), change.after->pair, 1);
}

void Planner::account(Request& r, uint32_t pair, int sign) {
  const double work = sign * r.works[pair];
  r.work = std::max(0.0, r.work + work);
  queued_work_ = std::max(0.0, queued_work_ + work);
  queued_tokens_ += static_cast<size_t>(static_cast<int64_t>(r.lengths[pair]) * sign);
  if (queued_tokens_ == 0) queued_work_ = 0;  // no drift from rounding
}

void Planner::forget(uint64_t request) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return;
  Request& r = found->second;
  for (uint32_t i = 0; r.queued > 0 && i < r.lengths.size(); ++i) {
    if (r.states[i] == PairState::kQueued) withdraw_pair(r, i);
  }
  r.held ? held_.erase(r.position) : order_.erase(r.position);
  if (r.deadline) deadlines_.erase({*r.deadline, r.id});
  requests_.erase(found);
}

size_t Planner::cancel(uint64_t request) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return 0;
  const auto& lengths = found->second.lengths;
  const size_t held = found->second.held ? std::accumulate(lengths.begin(), lengths.end(), size_t{0}) : 0;
  const size_t before = queued_tokens_;
  forget(request);
  return held + before - queued_tokens_;
}

std::vector<uint64_t> Planner::expire(double now) {
  std::vector<uint64_t> expired;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    expired.push_back(deadlines_.begin()->second);
    forget(expired.back());
  }
  return expired;
}

std::optional<double> Planner::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

}  // namespace rerank::schedule
