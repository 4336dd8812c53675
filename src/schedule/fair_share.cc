#include "schedule/fair_share.h"

#include <algorithm>

namespace rerank::schedule {
namespace {

// Who has wanted nothing for so many seconds does not slow the others down: their predictions need not count with it.
constexpr double kActiveSeconds = 1;

}  // namespace

FairShare::Member FairShare::add(double weight) {
  const Member member = next_member_++;
  members_[member] = {.weight = weight, .virtual_time = virtual_time_, .last_wanted = -2 * kActiveSeconds};
  return member;
}

void FairShare::remove(Member member) { members_.erase(member); }

void FairShare::want(Member member, double seconds, double now) {
  State& state = members_.at(member);
  if (state.waiting == 0 && state.running == 0) state.virtual_time = std::max(state.virtual_time, virtual_time_);
  ++state.waiting;
  state.predicted = seconds;
  state.last_wanted = now;
}

void FairShare::withdraw(Member member) {
  State& state = members_.at(member);
  if (state.waiting > 0) --state.waiting;
}

std::optional<FairShare::Member> FairShare::next(double now) {
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
  state.last_wanted = now;
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
  state.last_wanted = now;
  --state.running;
  --running_;
}

bool FairShare::active(const State& state, double now) const {
  return state.waiting > 0 || state.running > 0 || now - state.last_wanted < kActiveSeconds;
}

double FairShare::share(Member member, double now) const {
  const double own = members_.at(member).weight;
  double sum = own;
  for (const auto& [other, state] : members_) {
    if (other != member && active(state, now)) sum += state.weight;
  }
  return own / sum;
}

}  // namespace rerank::schedule
