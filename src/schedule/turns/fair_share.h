// Which of several models computes next, when they share one engine's threads. A pure state machine, without threads
// and clock: the threads around it are schedule/turns/turns.h, and tests/simulation drives a million requests through
// it.
//
// Start-time fair queueing (Goyal, Vin, Cheng 1996) over batches. Each member has a virtual time: the seconds that its
// batches took, divided by its weight. The waiting member with the smallest is next. One that comes back after a pause
// begins at the virtual time of the batch that was begun last: what it did not use is not saved up, and what others
// used meanwhile is not held against them. So members that always want more get compute time in proportion to their
// weights, and one that wants little is next as soon as the running batch ends, whatever the others ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace rerank::schedule {

class FairShare {
 public:
  using Member = uint64_t;

  // `slots`: batches that may be under way at once.
  explicit FairShare(size_t slots = 1) : slots_(slots) {}

  // `weight` > 0.
  Member add(double weight);
  // Also takes back what it waits for. It must have no batch under way.
  void remove(Member member);

  // It wants to compute a batch that is predicted to take so many seconds; a member may want several at once.
  void want(Member member, double seconds);
  // It no longer wants one of them.
  void withdraw(Member member);
  // Whose turn it is, if a slot is free and anybody waits; its batch is under way from then on.
  std::optional<Member> next();
  // A batch of the member has ended, after so many seconds. 0: it computed nothing.
  void finished(Member member, double seconds, double now);

  // The part of compute time that it gets when it always wants more: what the others do not use of late. While another
  // waits, or uses more, its weight over the sum of theirs. 1 when no other wants anything.
  double share(Member member, double now) const;

 private:
  struct State {
    double weight = 1;
    double virtual_time = 0;  // when what it has been given ends
    size_t waiting = 0;
    double predicted = 0;  // of the batch that waits
    size_t running = 0;
    double running_predicted = 0;
    double used = 0;  // seconds, each counting less with time; at `used_at`
    double used_at = 0;
  };
  double used_of_late(const State& state, double now) const;

  const size_t slots_;
  std::map<Member, State> members_;
  Member next_member_ = 1;
  size_t running_ = 0;
  double virtual_time_ = 0;  // of the batch that was begun last
};

}  // namespace rerank::schedule
