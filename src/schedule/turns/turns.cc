#include "schedule/turns/turns.h"

namespace rerank::schedule {
namespace {

double seconds_now() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

}  // namespace

std::unique_ptr<Turns::Seat> Turns::join(double weight) {
  return std::unique_ptr<Seat>(new Seat(shared_from_this(), weight));
}

// Under the lock: whoever is next is told, and everybody how much is theirs.
void Turns::grant(double now) {
  while (const auto member = fair_.next()) {
    Seat& seat = *seats_.at(*member);
    ++seat.granted_;
    seat.wake_.notify_one();
  }
  for (const auto& [member, seat] : seats_) {
    seat->share_.store(seats_.size() == 1 ? 1 : fair_.share(member, now), std::memory_order_relaxed);
  }
}

Turns::Seat::Seat(std::shared_ptr<Turns> turns, double weight) : turns_(std::move(turns)) {
  const std::lock_guard lock(turns_->mutex_);
  member_ = turns_->fair_.add(weight);
  turns_->seats_[member_] = this;
}

Turns::Seat::~Seat() {
  withdraw();
  const std::lock_guard lock(turns_->mutex_);
  turns_->fair_.remove(member_);
  turns_->seats_.erase(member_);
  turns_->grant(seconds_now());
}

void Turns::Seat::take(double predicted_seconds) {
  std::unique_lock lock(turns_->mutex_);
  if (announced_ > 0) {
    --announced_;
  } else {
    const double now = seconds_now();
    turns_->fair_.want(member_, predicted_seconds);
    turns_->grant(now);
  }
  wake_.wait(lock, [this] { return granted_ > 0; });
  --granted_;
}

void Turns::Seat::give_back(double seconds, std::optional<double> next) {
  const std::lock_guard lock(turns_->mutex_);
  const double now = seconds_now();
  turns_->fair_.finished(member_, seconds, now);
  if (seconds > 0) turns_->last_end_ = Clock::now();
  if (next) {
    turns_->fair_.want(member_, *next);
    ++announced_;
  }
  turns_->grant(now);
}

TimePoint Turns::Seat::last_end() const {
  const std::lock_guard lock(turns_->mutex_);
  return turns_->last_end_;
}

void Turns::Seat::withdraw() {
  const std::lock_guard lock(turns_->mutex_);
  if (announced_ == 0) return;
  --announced_;
  const double now = seconds_now();
  if (granted_ > 0) {
    --granted_;
    turns_->fair_.finished(member_, 0, now);
  } else {
    turns_->fair_.withdraw(member_);
  }
  turns_->grant(now);
}

}  // namespace rerank::schedule
