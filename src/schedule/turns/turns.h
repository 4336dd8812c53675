// Models of one process take turns on the threads that compute: one batch at a time (of a device: as many as it takes).
// The threads around schedule/turns/fair_share.h, which decides whose turn it is. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "rerank/types.h"
#include "schedule/turns/fair_share.h"

namespace rerank::schedule {

class Turns : public std::enable_shared_from_this<Turns> {
 public:
  // `slots`: batches that may be under way at once.
  static std::shared_ptr<Turns> make(size_t slots = 1) { return std::shared_ptr<Turns>(new Turns(slots)); }

  // One model. Keeps the Turns alive. Its destructor takes back what it waits for; no turn of it may be under way.
  class Seat {
   public:
    ~Seat();
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

    // Waits until it is this model's turn to compute a batch that will take about so many seconds.
    void take(double predicted_seconds);
    // The batch took so many seconds; 0: nothing was computed. `next`: another one is ready, which will take about so
    // many: it waits for its turn from now on, and the next take() has it.
    void give_back(double seconds, std::optional<double> next);
    // What give_back() was told of is not ready any more.
    void withdraw();

    // When anybody's turn was given back last: where batches are taken in while another is computed, a batch did not
    // begin before that.
    TimePoint last_end() const;

    // The part of compute time that the model gets while the others that have computed in the last second go on.
    double share() const { return share_.load(std::memory_order_relaxed); }

   private:
    friend class Turns;
    Seat(std::shared_ptr<Turns> turns, double weight);

    const std::shared_ptr<Turns> turns_;
    FairShare::Member member_ = 0;
    size_t granted_ = 0;  // turns that are this model's and not taken yet; guarded by the mutex of turns_, as the next
    size_t announced_ = 0;  // wanted by give_back(), and neither taken nor withdrawn
    std::condition_variable wake_;
    std::atomic<double> share_{1};
  };
  // `weight` > 0.
  std::unique_ptr<Seat> join(double weight);

 private:
  explicit Turns(size_t slots) : fair_(slots) {}
  void grant(double now);

  std::mutex mutex_;
  FairShare fair_;                            // guarded by mutex_
  TimePoint last_end_{};                      // guarded by mutex_
  std::map<FairShare::Member, Seat*> seats_;  // guarded by mutex_
};

}  // namespace rerank::schedule
