// The planner's second half: what goes into a batch, and what becomes of it. Admission is planner.cc.
#include <algorithm>
#include <limits>
#include <utility>

#include "schedule/planner.h"

namespace rerank::schedule {
namespace {

// Requests that are looked through for pairs of a fitting length.
constexpr size_t kLookThrough = 64;

}  // namespace

std::optional<double> Planner::start_time(double now) const {
  // Held requests wait until the running batch ends: there may be no room before.
  if (order_.empty() && (held_.empty() || !running_.empty())) return std::nullopt;
  double earliest = now;
  if (const double left = running_left(now); left > 0) {
    const double last = cost_.seconds(running_.back().plan.work);
    earliest += std::max(0.0, left - options_.prepare_seconds - options_.prepare_share * last);
  }
  const double wait = options_.max_wait_seconds;
  if (wait <= 0 || order_.empty() || queued_tokens_ >= options_.max_batch_tokens || mean_gap_ >= wait) return earliest;
  // More is likely while the gap since the last arrival is not unusual.
  double start = std::min(waiting_since_ + wait, last_arrival_ + 2 * mean_gap_);
  if (!deadlines_.empty()) {
    start = std::min(start, deadlines_.begin()->first - options_.prediction_margin * predict(queued_work_));
  }
  return std::max(earliest, start);
}

bool Planner::fits(const Request& r, uint32_t pair) const {
  if (plan_->pairs.empty()) return true;
  const uint32_t length = r.lengths[pair];
  size_t tokens = plan_->tokens + length;
  double work = plan_->work + r.works[pair];
  if (options_.pads) {
    const uint32_t longest = std::max(longest_, length), shortest = std::min(shortest_, length);
    if (shortest < (1 - options_.padding_budget) * longest) return false;
    tokens = (plan_->pairs.size() + 1) * longest;
    work = static_cast<double>(plan_->pairs.size() + 1) * cost_.work(longest);
  }
  if (tokens > options_.max_batch_tokens) return false;
  // A request that this batch completes is not delayed past its deadline by pairs that could go into the next one.
  if (begins_ + cost_.seconds(work) > earliest_deadline_) return false;
  return !cost_.fitted() || cost_.seconds(work) <= plan_seconds_;
}

void Planner::mark_running(const SharedPairMember& member) {
  Request& r = requests_.at(member.position.request);
  r.states[member.pair] = PairState::kRunning;
  r.begun = true;
  if (--r.queued > 0) return;
  order_.erase(r.position);
  if (!r.deadline) return;
  plan_->deadline = std::min(plan_->deadline, *r.deadline);
  // In a batch of the usual length it gets its answer, if a little late; not in one that takes longer.
  if (cost_.seconds(plan_->work) <= batch_seconds_) deadlines_.erase({*r.deadline, r.id});
  if (begins_ + cost_.seconds(plan_->work) <= *r.deadline)
    earliest_deadline_ = std::min(earliest_deadline_, *r.deadline);
}

void Planner::take(Request& r, uint32_t pair) {
  const uint32_t length = r.lengths[pair];
  const Hash128 key = r.key(pair);
  const size_t slot = plan_->pairs.size();
  if (slot == 0) {
    plan_->position = r.position;
    plan_->position.time += later_penalty(r.works[pair]);
  }
  plan_->pairs.push_back({r.id, pair});
  if (options_.pads) {
    longest_ = std::max(longest_, length);
    shortest_ = slot == 0 ? length : std::min(shortest_, length);
    plan_->tokens = (slot + 1) * longest_;
    plan_->work = static_cast<double>(slot + 1) * cost_.work(longest_);
  } else {
    plan_->tokens += length;
    plan_->work += r.works[pair];
  }
  if (!key) {
    account(r, pair, -1);
    return mark_running({r.position, pair});
  }
  const SharedPairs::Members members = shared_pairs_.take(key);
  account(requests_.at(members.begin()->position.request), members.begin()->pair, -1);
  running_keys_[key] = {plan_, slot};
  for (const SharedPairMember& member : members) {
    mark_running(member);
    if (member.position.request != r.id || member.pair != pair) {
      plan_->shared.push_back({slot, {member.position.request, member.pair}});
    }
  }
}

bool Planner::fill(Request& r) {
  const size_t n = r.lengths.size();
  const auto at = [&](size_t i) { return r.sequence.empty() ? static_cast<uint32_t>(i) : r.sequence[i]; };
  for (size_t i = r.next; i < n && r.queued > 0; ++i) {
    if (r.states[at(i)] != PairState::kQueued) continue;
    if (fits(r, at(i))) {
      take(r, at(i));
    } else if (!options_.pads) {
      break;
    }
  }
  while (r.next < n && r.states[at(r.next)] != PairState::kQueued) ++r.next;
  return r.queued == 0;
}

// A batch of the request has been planned, and more of it waits: it moves behind requests whose positions are before
// that of its next batch, as far as its deadline allows.
void Planner::move_back(Request& r, double work_before) {
  QueuePosition target = r.position;
  target.time += later_penalty(work_before) - later_penalty(r.work);
  target.rank = static_cast<double>(r.id);
  const double start = begins_ + cost_.seconds(plan_->work);
  const QueuePosition *before = nullptr, *after = nullptr;
  double ahead = 0;
  for (auto it = order_.upper_bound(r.position); it != order_.end() && it->first < target && after == nullptr; ++it) {
    ahead += it->second->work;
    const bool late =
        r.deadline && start + options_.prediction_margin * predict(ahead) + predict_alone(r.work) > *r.deadline;
    (late ? after : before) = &it->first;
  }
  target = between(before, target, after);
  if (before == nullptr && (after != nullptr || !(r.position < target))) return;
  order_.erase(r.position);
  std::vector<uint32_t> shared;  // their members are found by position
  for (size_t i = 0; !r.keys.empty() && i < r.lengths.size(); ++i) {
    if (r.states[i] == PairState::kQueued && r.keys[i]) shared.push_back(static_cast<uint32_t>(i));
  }
  for (uint32_t pair : shared) withdraw_pair(r, pair);
  r.position = target;
  for (uint32_t pair : shared) enqueue_pair(r, pair);
  order_[r.position] = &r;
}

void Planner::begin_plan(double begins, double seconds, Running* interrupted) {
  begins_ = begins;
  plan_seconds_ = seconds;
  plan_ = &running_.emplace_back(Running{{}, begins, interrupted}).plan;
  longest_ = shortest_ = 0;
  earliest_deadline_ = std::numeric_limits<double>::infinity();
}

bool Planner::is_too_late(const Request& r) const {
  return r.deadline && !r.begun && begins_ + predict_alone(r.work) > *r.deadline;
}

const Plan& Planner::next_between(const Plan& running, double now) {
  Running* const interrupted = &running_.back();
  const double limit = between_limit(*interrupted, now);
  begin_plan(now, std::min(limit, batch_seconds_), interrupted);
  if (!is_interruptible(running)) return *plan_;
  for (auto it = order_.begin(); it != order_.end() && it->first < running.position;) {
    const QueuePosition at = it->first;
    Request& r = *it->second;
    if (is_too_late(r)) {
      plan_->expired.push_back(r.id);
      forget(r.id);
    } else {
      size_t first = r.next;
      while (r.states[first] != PairState::kQueued) ++first;
      if (plan_->pairs.empty() && cost_.seconds(r.works[first]) > limit) break;
      if (const double before = r.work; !fill(r)) {
        move_back(r, before);
        break;
      }
    }
    it = order_.upper_bound(at);
  }
  return *plan_;
}

const Plan& Planner::next(double now) {
  begin_plan(now + running_left(now), batch_seconds_, nullptr);
  promote_held(now);
  size_t unfinished = 0;
  for (auto it = order_.begin(); it != order_.end();) {
    const QueuePosition at = it->first;  // filling may take several requests out of the order
    Request& r = *it->second;
    if (is_too_late(r)) {
      plan_->expired.push_back(r.id);
      forget(r.id);
    } else if (const double before = r.work; !fill(r)) {
      move_back(r, before);
      if (!options_.pads || ++unfinished >= kLookThrough) break;
    }
    it = order_.upper_bound(at);
  }
  waiting_since_ = 0;  // what is left has waited already
  return *plan_;
}

// A pair of a batch that succeeded.
void Planner::settle(const PlannedPair& pair, Outcome& outcome) {
  const auto found = requests_.find(pair.request);
  if (found == requests_.end()) return;
  found->second.states[pair.pair] = PairState::kDone;
  if (--found->second.unfinished > 0) return;
  outcome.completed.push_back(pair.request);
  forget(pair.request);
}

Outcome Planner::finished(const Plan& ended, double now, double seconds, bool ok, double done) {
  Outcome outcome;
  const auto at = std::find_if(running_.begin(), running_.end(), [&](const Running& r) { return &r.plan == &ended; });
  std::erase_if(running_keys_, [&](const auto& pair) { return pair.second.plan == &ended; });
  const Plan plan = std::move(at->plan);
  Running *interrupted = at->interrupted, *const outermost = interrupted;
  const double took = now - at->begins;
  running_.erase(at);
  for (; interrupted != nullptr && !plan.pairs.empty(); interrupted = interrupted->interrupted)
    interrupted->begins += took;
  if (outermost == nullptr && !plan.pairs.empty() && !running_.empty()) running_.front().begins = now;
  if (ok) {
    cost_.observe(plan.work * done, seconds);
    for (const PlannedPair& pair : plan.pairs) settle(pair, outcome);
    for (const SharedResult& shared : plan.shared) settle(shared.pair, outcome);
    return outcome;
  }
  for (const PlannedPair& pair : plan.pairs) {
    if (!requests_.contains(pair.request)) continue;
    outcome.failed.push_back(pair.request);
    forget(pair.request);
  }
  // A pair that only shared the result is queued again: it fails only with a batch of its own.
  for (const SharedResult& shared : plan.shared) {
    const auto found = requests_.find(shared.pair.request);
    if (found == requests_.end()) continue;
    Request& r = found->second;
    enqueue_pair(r, shared.pair.pair);
    r.next = 0;
    order_[r.position] = &r;
    if (r.deadline) deadlines_.emplace(*r.deadline, r.id);
  }
  return outcome;
}

}  // namespace rerank::schedule
