#include "schedule/planner.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace rerank {

Status Planner::admit(uint64_t request, std::span<const uint32_t> lengths, double now, int priority,
                      std::optional<double> deadline) {
  Waiting w;
  w.lengths.assign(lengths.begin(), lengths.end());
  for (uint32_t length : lengths) {
    w.tokens += length;
    w.work += cost_.work(length);
  }
  // A request larger than the whole bound is taken when nothing else waits: refusing it for ever helps nobody.
  if (queued_tokens_ > 0 && queued_tokens_ + w.tokens > options_.max_queued_tokens) {
    // What waits has to shrink by the request's own size before it fits.
    const double over = static_cast<double>(queued_tokens_ + w.tokens - options_.max_queued_tokens);
    const double seconds = backlog_seconds() * over / static_cast<double>(queued_tokens_);
    return with_retry_after(
        absl::ResourceExhaustedError(str_cat("overloaded: ", queued_tokens_, " tokens are waiting, and ", w.tokens,
                                             " more do not fit the bound of ", options_.max_queued_tokens)),
        static_cast<int>(std::clamp(std::ceil(seconds), 1.0, 600.0)));
  }
  const double alone = cost_.seconds(w.work);
  if (deadline && now + alone > *deadline) {
    return absl::DeadlineExceededError("the request cannot be computed within its deadline, even alone");
  }
  w.deadline = deadline;
  w.place = {priority, now + options_.stretch * alone, request};
  if (deadline) w.place.time = std::min(w.place.time, *deadline - alone);
  queued_tokens_ += w.tokens;
  queued_work_ += w.work;
  Waiting& stored = waiting_[request] = std::move(w);
  order_[stored.place] = &stored;
  return ok_status();
}

void Planner::forget(uint64_t request) {
  auto found = waiting_.find(request);
  if (found == waiting_.end()) return;
  queued_tokens_ -= found->second.tokens;
  queued_work_ -= found->second.work;
  order_.erase(found->second.place);
  waiting_.erase(found);
  if (waiting_.empty()) queued_work_ = 0;  // no drift from rounding
}

size_t Planner::cancel(uint64_t request) {
  auto found = waiting_.find(request);
  if (found == waiting_.end()) return 0;
  const size_t tokens = found->second.tokens;
  forget(request);
  return tokens;
}

bool Planner::fits(const Plan& plan, uint32_t length) const {
  if (plan.pairs.empty()) return true;
  if (plan.tokens + length > options_.max_batch_tokens) return false;
  return !cost_.fitted() || cost_.seconds(plan.work + cost_.work(length)) <= options_.max_batch_seconds;
}

Plan Planner::next(double now) {
  Plan plan;
  while (!order_.empty()) {
    Waiting& w = *order_.begin()->second;
    const uint64_t request = w.place.request;
    if (w.deadline && now + cost_.seconds(w.work) > *w.deadline) {
      plan.expired.push_back(request);
      forget(request);
      continue;
    }
    while (w.next < w.lengths.size() && fits(plan, w.lengths[w.next])) {
      const uint32_t length = w.lengths[w.next];
      const double work = cost_.work(length);
      plan.pairs.push_back({request, static_cast<uint32_t>(w.next)});
      plan.tokens += length;
      plan.work += work;
      w.tokens -= length;
      w.work -= work;
      queued_tokens_ -= length;
      queued_work_ -= work;
      ++w.next;
    }
    if (w.next < w.lengths.size()) break;
    forget(request);
  }
  running_work_ = plan.work;
  return plan;
}

void Planner::finished(const Plan& plan, double seconds) {
  running_work_ = 0;
  cost_.observe(plan.work, seconds);
}

}  // namespace rerank
