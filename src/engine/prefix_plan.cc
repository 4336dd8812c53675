#include "engine/prefix_plan.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace rerank::engine {
namespace {

// Sequences in the order of their ids, and how many tokens neighbours begin with together.
struct Sorted {
  std::vector<uint32_t> order;
  std::vector<uint32_t> common;  // of order[i] and order[i + 1], without either's last token

  explicit Sorted(const Batch& batch) : order(batch.size()) {
    const auto ids = [&](uint32_t s) { return batch.ids.subspan(batch.offsets[s], batch.length(s)); };
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(
        order, [&](uint32_t a, uint32_t b) { return std::ranges::lexicographical_compare(ids(a), ids(b)); });
    for (size_t i = 0; i + 1 < order.size(); ++i) {
      const auto a = ids(order[i]), b = ids(order[i + 1]);
      const size_t most = std::min(a.size(), b.size()) - 1;
      const auto [end, other] = std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(most), b.begin());
      common.push_back(static_cast<uint32_t>(end - a.begin()));
    }
  }
};

// Neighbours [first, last) of the sorted sequences, which follow a part.
struct Range {
  size_t first, last;
  uint32_t part;
};

// Parts that several sequences of the batch begin with. Returns how many tokens all parts have.
size_t plan_of_batch(const Batch& batch, const PrefixLimits& limits, PrefixPlan& plan) {
  size_t kept = 0;
  if (batch.size() < 2) return kept;
  const Sorted sorted(batch);
  std::vector<Range> ranges = {{0, batch.size(), SharedPart::kNone}};
  while (!ranges.empty()) {
    auto [first, last, part] = ranges.back();
    ranges.pop_back();
    for (size_t i = first; i < last; ++i) plan.part_of[sorted.order[i]] = part;
    if (last - first < 2) continue;
    const auto begin = sorted.common.begin() + static_cast<ptrdiff_t>(first),
               end = begin + static_cast<ptrdiff_t>(last - first - 1);
    const uint32_t shared = *std::min_element(begin, end);
    const uint32_t from = part == SharedPart::kNone ? 0 : plan.parts[part].end;
    const uint32_t level = part == SharedPart::kNone ? 0 : plan.parts[part].level + 1;
    if (level >= limits.levels) continue;
    const size_t saved = shared > from ? (shared - from) * (last - first - 1) : 0;
    if (saved >= limits.least_saved && saved > 0 && kept + shared - from <= limits.most_tokens) {
      plan.parts.push_back({sorted.order[first], from, shared, part, level});
      plan.saved += saved;
      kept += shared - from;
      part = static_cast<uint32_t>(plan.parts.size() - 1);
      for (size_t i = first; i < last; ++i) plan.part_of[sorted.order[i]] = part;
    }
    // Those that have more in common than all.
    for (size_t i = first, start = first; i < last; ++i) {
      if (i + 1 < last && sorted.common[i] > shared) continue;
      if (i > start) ranges.push_back({start, i + 1, part});
      start = i + 1;
    }
  }
  return kept;
}

// Whether sequence `s` begins with `part`, whose parent it follows, and wants hardly more than that kept.
bool is_begun_by(const Batch& batch, uint32_t s, uint32_t parent, size_t shared, const SharedPart& part) {
  if (part.parent != parent || part.end > shared || shared >= part.end + kLeastKeptTokens) return false;
  const auto ids = [&](uint32_t sequence) { return batch.ids.subspan(batch.offsets[sequence], part.end); };
  return std::ranges::equal(ids(s), ids(part.sequence));
}

// Parts of single sequences, which those of other batches begin with.
void plan_for_others(const Batch& batch, const PrefixLimits& limits, size_t kept, PrefixPlan& plan) {
  const auto first = static_cast<ptrdiff_t>(plan.parts.size());
  for (uint32_t s = 0; s < batch.shared_tokens.size(); ++s) {
    const uint32_t parent = plan.part_of[s], from = static_cast<uint32_t>(plan.own_begin(s));
    const uint32_t level = parent == SharedPart::kNone ? 0 : plan.parts[parent].level + 1;
    const uint32_t shared = std::min(batch.shared_tokens[s], static_cast<uint32_t>(batch.length(s) - 1));
    if (shared < from + kLeastKeptTokens || level >= limits.levels || kept + shared - from > limits.most_tokens)
      continue;
    const auto found = std::find_if(plan.parts.begin() + first, plan.parts.end(), [&](const SharedPart& part) {
      return is_begun_by(batch, s, parent, shared, part);
    });
    plan.part_of[s] = static_cast<uint32_t>(found - plan.parts.begin());
    if (found != plan.parts.end()) {
      plan.saved += found->end - from;
      continue;
    }
    plan.parts.push_back({s, from, shared, parent, level});
    kept += shared - from;
  }
}

}  // namespace

PrefixPlan plan_prefixes(const Batch& batch, const PrefixLimits& limits) {
  PrefixPlan plan;
  plan.part_of.assign(batch.size(), SharedPart::kNone);
  const size_t kept = plan_of_batch(batch, limits, plan);
  if (limits.for_others) plan_for_others(batch, limits, kept, plan);
  return plan;
}

}  // namespace rerank::engine
