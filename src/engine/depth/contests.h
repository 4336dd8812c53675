// Who leaves a contest at an exit. Pure.
//
// A guess g of a logit y has a standard error e, the difference of two guesses the error sqrt(2) e: a competitor leaves
// when its guess is more than margin * sqrt(2) e below the keep-th best guess, or below a logit that `keep` others are
// known to have (where margin * e would be as rare: margins are calibrated on the former, and hold for both so). At
// least `keep` stay, unless the floor says that they are not wanted.
//
// Of a model with outputs of its own after earlier layers nothing is known of what they say of the last one: there a
// contest keeps so many of the best as its `stay` says, and equal ones of the last of them. Of a request in several
// batches each document competes with those that were there before it: the best of all are always among those that
// stay.
#pragma once

#include <span>
#include <vector>

#include "engine/batch.h"
#include "model/exits.h"

namespace rerank::engine {

// The sequences that are in no contest; depths[i] of everybody is what the batch says.
std::vector<uint32_t> outside_contests(const Batch& batch, std::span<const Contest> contests,
                                       std::span<uint8_t> depths);

class ContestRun {
 public:
  // All must outlive it. exits null: contests are decided by the model's own outputs.
  ContestRun(std::span<const Contest> contests, const model::Exits* exits, const model::Architecture& architecture);

  // Competitors that are still there, in rising order.
  const std::vector<uint32_t>& alive() const { return alive_; }
  // Whether some contest has more competitors left than are wanted.
  bool open() const;

  // Guesses after layer `layer` + 1, of all that are alive, in their order. Who leaves gets logits[] and depths[].
  void drop(size_t layer, std::span<const float> guesses, std::span<float> logits, std::span<uint8_t> depths);

 private:
  // How many of the best stay after layer `layer` + 1.
  size_t staying(const Contest& contest, size_t layer) const;

  std::span<const Contest> contests_;
  const model::Exits* exits_;
  const model::Architecture& architecture_;
  std::vector<uint32_t> alive_;
};

}  // namespace rerank::engine
