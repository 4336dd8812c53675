#include "engine/depth/contests.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/depth/seen_outputs.h"

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

ContestRun::ContestRun(std::span<const Contest> contests, const model::Exits* exits,
                       const model::Architecture& architecture)
    : contests_(contests), exits_(exits), architecture_(architecture) {
  for (const Contest& contest : contests) {
    for (uint32_t s = contest.first; s < contest.first + contest.size; ++s) alive_.push_back(s);
  }
}

bool ContestRun::open() const {
  size_t begin = 0;
  for (const Contest& contest : contests_) {
    const size_t count = count_of(contest, alive_, begin);
    const bool others = contest.stay == 0 ? contest.floor > Contest().floor : contest.seen != nullptr;
    if (count > contest.keep || (count > 0 && others)) return true;
    begin += count;
  }
  return false;
}

size_t ContestRun::staying(const Contest& contest, size_t layer) const {
  if (contest.stay <= contest.keep) return contest.keep;
  const size_t first = architecture_.scoring.first_output, last = architecture_.layers();
  const size_t more = contest.stay - contest.keep, left = last - (layer + 1);
  return contest.keep + (more * left + last - first - 1) / (last - first);
}

void ContestRun::drop(size_t layer, std::span<const float> guesses, std::span<float> logits,
                      std::span<uint8_t> depths) {
  std::vector<uint32_t> left;
  std::vector<float> sorted;
  size_t begin = 0;
  for (const Contest& contest : contests_) {
    const size_t count = count_of(contest, alive_, begin);
    const bool by_outputs = contest.stay != 0;
    const double slack =
        by_outputs ? 0 : std::sqrt(2.0) * static_cast<double>(contest.margin) * exits_->heads[layer].error;
    double least = by_outputs ? -INFINITY : contest.floor - slack;
    sorted.clear();
    for (size_t i = begin; i < begin + count; ++i)
      if (!std::isnan(guesses[i])) sorted.push_back(guesses[i]);
    const size_t stay = staying(contest, layer);
    if (by_outputs && contest.seen != nullptr) {
      least = contest.seen->add(layer + 1, stay, sorted);
    } else if (sorted.size() > stay) {
      const auto last = sorted.begin() + static_cast<ptrdiff_t>(stay - 1);
      std::nth_element(sorted.begin(), last, sorted.end(), std::greater<>());
      least = std::max(least, *last - slack);
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
