#include "engine/cuda/host/kept_prefixes.h"

#include <algorithm>
#include <numeric>

namespace rerank::engine {
namespace {

size_t common_of(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t most = std::min(a.size(), b.size());
  const auto end = std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(most), b.begin()).first;
  return static_cast<size_t>(end - a.begin());
}

}  // namespace

KeptPrefixes::KeptPrefixes(size_t slots) : users_(slots) { clear(); }

void KeptPrefixes::clear() {
  entries_.clear();
  std::ranges::fill(users_, 0u);
  free_.resize(users_.size());
  std::iota(free_.rbegin(), free_.rend(), 0u);  // the first slots are taken first
}

std::vector<uint32_t> KeptPrefixes::find(std::span<const int32_t> ids) {
  size_t most = 0;
  auto best = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    const size_t common = common_of(ids, entry->ids);
    if (common > most) most = common, best = entry;
  }
  if (most < kLeastMatch) return {};
  best->batch = batch_;
  entries_.splice(entries_.begin(), entries_, best);
  return {best->slots.begin(), best->slots.begin() + static_cast<ptrdiff_t>(most)};
}

std::vector<uint32_t> KeptPrefixes::add(std::span<const int32_t> ids, std::span<const uint32_t> first) {
  const size_t wanted = ids.size() - first.size();
  if (wanted > slots() || has(ids)) return {};
  while (free_.size() < wanted || entries_.size() >= kMostEntries) {
    if (!drop_one()) return {};
  }
  std::vector<uint32_t> fresh(free_.rbegin(), free_.rbegin() + static_cast<ptrdiff_t>(wanted));
  free_.resize(free_.size() - wanted);
  Entry& entry = entries_.emplace_front(Entry{{ids.begin(), ids.end()}, {first.begin(), first.end()}, batch_});
  entry.slots.insert(entry.slots.end(), fresh.begin(), fresh.end());
  for (const uint32_t slot : entry.slots) ++users_[slot];
  return fresh;
}

bool KeptPrefixes::has(std::span<const int32_t> ids) const {
  return std::ranges::any_of(entries_, [&](const Entry& e) { return common_of(ids, e.ids) == ids.size(); });
}

bool KeptPrefixes::drop_one() {
  if (entries_.empty() || entries_.back().batch == batch_) return false;
  for (const uint32_t slot : entries_.back().slots) {
    if (--users_[slot] == 0) free_.push_back(slot);
  }
  entries_.pop_back();
  return true;
}

}  // namespace rerank::engine
