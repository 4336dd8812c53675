#include "engine/depth/contests.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace rerank::engine {
namespace {

// How many of alive[begin..] belong to the contest.
size_t count_of(const Contest& contest, const std::vector<uint32_t>& alive, size_t begin) {
  size_t end = begin;
  while (end < alive.size() && alive[end] < contest.first + contest.size) ++end;
  return end - begin;
}

}  // namespace

std::vector<uint32_t> outside_contests(const Batch& batch, std::span<const Contest> contests,
                                       std::span<uint8_t> depths) {
  std::vector<uint32_t> others;
  auto contest = contests.begin();
  for (uint32_t s = 0; s < batch.size(); ++s) {
    while (contest != contests.end() && s >= contest->first + contest->size) ++contest;
    depths[s] = batch.layers.empty() ? 0 : batch.layers[s];
    if (contest == contests.end() || s < contest->first) others.push_back(s);
  }
  return others;
}

ContestRun::ContestRun(std::span<const Contest> contests, const model::Exits& exits)
    : contests_(contests), exits_(exits) {
  for (const Contest& contest : contests) {
    for (uint32_t s = contest.first; s < contest.first + contest.size; ++s) alive_.push_back(s);
  }
}

bool ContestRun::open() const {
  size_t begin = 0;
  for (const Contest& contest : contests_) {
    const size_t count = count_of(contest, alive_, begin);
    if (count > contest.keep || (count > 0 && contest.floor > Contest().floor)) return true;
    begin += count;
  }
  return false;
}

void ContestRun::drop(size_t layer, std::span<const float> guesses, std::span<float> logits,
                      std::span<uint8_t> depths) {
  std::vector<uint32_t> left;
  std::vector<float> sorted;
  size_t begin = 0;
  for (const Contest& contest : contests_) {
    const size_t count = count_of(contest, alive_, begin);
    const double slack = std::sqrt(2.0) * static_cast<double>(contest.margin) * exits_.heads[layer].error;
    double least = contest.floor - slack;
    if (count > contest.keep) {
      sorted.assign(guesses.begin() + begin, guesses.begin() + begin + count);
      std::nth_element(sorted.begin(), sorted.begin() + (contest.keep - 1), sorted.end(), std::greater<>());
      least = std::max(least, sorted[contest.keep - 1] - slack);
    }
    for (size_t i = begin; i < begin + count; ++i) {
      const uint32_t s = alive_[i];
      if (!(guesses[i] < least)) {  // a guess that is not a number stays: the full depth has to say so
        left.push_back(s);
        continue;
      }
      logits[s] = guesses[i];
      depths[s] = static_cast<uint8_t>(layer + 1);
    }
    begin += count;
  }
  alive_ = std::move(left);
}

}  // namespace rerank::engine
