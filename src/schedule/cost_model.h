// Predicts how long the engine takes for a batch, from the batches it has run. Pure; not thread-safe.
//
//   seconds = fixed + rate * work,    work = sum over sequences of tokens + attention
//
// Attention is measured once at warm-up (rank/warm_up.h). Tokens that are not computed, since other sequences begin
// with them, take nothing: under a causal mask a sequence then costs what it does less what they would. `fixed` and
// `rate` follow the engine: least squares of relative errors over the recent batches, older ones fading by a twentieth
// with each new one, so that a machine that is throttled or freed is followed within some twenty batches and one hiccup
// changes little.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace rerank::schedule {

// What attention takes of a sequence of n tokens, in what the linear layers take for one token:
//   square * n^2 + windowed * n * min(n, span)
// The first of blocks whose tokens see all of the sequence (or, causal, what is before them), the other of those that
// see a window of `span` tokens.
struct AttentionCost {
  double square = 0, windowed = 0;
  double span = 0;

  double of_token(double n) const { return square * n + windowed * std::min(n, span); }
};

class CostModel {
 public:
  explicit CostModel(const AttentionCost& attention) : attention_(attention) {}

  // Work units of one sequence: tokens, plus attention in the same unit.
  double work(size_t tokens) const {
    const auto n = static_cast<double>(tokens);
    return n * (1 + attention_.of_token(n));
  }

  void observe(double work, double seconds);

  double fixed() const { return fixed_; }                              // seconds per batch
  double rate() const { return rate_; }                                // seconds per unit of work
  double seconds(double work) const { return fixed_ + rate_ * work; }  // of one batch; 0 before the first observation
  bool fitted() const { return observations_ > 0; }
  // Whether enough batches were seen to refuse work on what it says.
  bool trusted() const { return observations_ >= kTrustedFrom; }

 private:
  static constexpr uint64_t kTrustedFrom = 3;  // observations; from then on surprises are dampened, too
  AttentionCost attention_;
  double fixed_ = 0, rate_ = 0;
  uint64_t observations_ = 0;
  // Faded sums over batches of x = 1/work and y = seconds/work: y = rate + fixed * x.
  double count_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;
};

}  // namespace rerank::schedule
