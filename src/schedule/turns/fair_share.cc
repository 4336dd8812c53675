#include "schedule/turns/fair_share.h"

#include <algorithm>
#include <cmath>

namespace rerank::schedule {
namespace {

// What a member has used counts less and less in so many seconds; a smaller part than the second is nothing.
constexpr double kUseSeconds = 2;
constexpr double kNoUse = 0.01;

}  // namespace

FairShare::Member FairShare::add(double weight) {
  const Member member = next_member_++;
  members_[member] = {.weight = weight, .virtual_time = virtual_time_};
  return member;
}

void FairShare::remove(Member member) { members_.erase(member); }

void FairShare::want(Member member, double seconds) {
  State& state = members_.at(member);
  if (state.waiting == 0 && state.running == 0) state.virtual_time = std::max(state.virtual_time, virtual_time_);
  ++state.waiting;
  state.predicted = seconds;
}

void FairShare::withdraw(Member member) {
  State& state = members_.at(member);
  if (state.waiting > 0) --state.waiting;
}

std::optional<FairShare::Member> FairShare::next() {
  if (running_ >= slots_) return std::nullopt;
  std::pair<const Member, State>* first = nullptr;
  for (auto& entry : members_) {
    if (entry.second.waiting == 0) continue;
    if (first == nullptr || entry.second.virtual_time < first->second.virtual_time) first = &entry;
  }
  if (first == nullptr) return std::nullopt;
  State& state = first->second;
  --state.waiting;
  ++state.running;
  ++running_;
  virtual_time_ = std::max(virtual_time_, state.virtual_time);
  state.running_predicted += state.predicted;
  state.virtual_time += state.predicted / state.weight;
  return first->first;
}

void FairShare::finished(Member member, double seconds, double now) {
  State& state = members_.at(member);
  const double predicted = state.running_predicted / static_cast<double>(state.running);
  state.running_predicted -= predicted;
  state.virtual_time += (seconds - predicted) / state.weight;
  state.used = seconds + state.used * std::exp((state.used_at - now) / kUseSeconds);
  state.used_at = now;
  --state.running;
  --running_;
}

// A part of the time of all slots.
double FairShare::used_of_late(const State& state, double now) const {
  const double used = state.used * std::exp((state.used_at - now) / kUseSeconds);
  return used / (kUseSeconds * static_cast<double>(slots_));
}

double FairShare::share(Member member, double now) const {
  const double own = members_.at(member).weight;
  double weights = own, used = 0;
  for (const auto& [other, state] : members_) {
    if (other == member) continue;
    const double part = used_of_late(state, now);
    if (state.waiting == 0 && state.running == 0 && part < kNoUse) continue;
    weights += state.weight;
    used += state.waiting > 0 ? 1 : std::max(part, kNoUse);
  }
  return std::max(own / weights, 1 - used);
}

}  // namespace rerank::schedule
