#include "text/models/trie.h"

#include <algorithm>

namespace rerank::text {

// Places the children of one node after the other, depth first, into the first gap that takes them all. Only the last
// kWindow units are searched for gaps, which bounds the time and wastes little.
class TrieBuilder {
 public:
  using Keys = std::vector<std::pair<std::string_view, int32_t>>;

  explicit TrieBuilder(const Keys& keys) : keys_(keys) {}

  std::vector<Trie::Unit> run() {
    grow();
    take(0);
    base_used_[0] = true;
    struct Range {
      size_t begin, end, depth;
      uint32_t node;
    };
    std::vector<Range> stack{{0, keys_.size(), 0, 0}};
    std::vector<std::pair<unsigned char, size_t>> children;  // label and first key
    while (!stack.empty()) {
      const Range range = stack.back();
      stack.pop_back();
      children.clear();
      size_t i = range.begin;
      if (i < range.end && keys_[i].first.size() == range.depth) units_[range.node].value = uint32_t(keys_[i++].second);
      for (; i < range.end; ++i) {
        const auto label = static_cast<unsigned char>(keys_[i].first[range.depth]);
        if (children.empty() || children.back().first != label) children.emplace_back(label, i);
      }
      if (children.empty()) {
        units_[range.node].base = kDeadBase;
        continue;
      }
      const uint32_t base = find_base(children);
      units_[range.node].base = base;
      base_used_[base] = true;
      for (const auto& [label, first] : children) {
        take(base ^ label);
        units_[base ^ label].label = label;
      }
      for (size_t c = children.size(); c-- > 0;) {
        const size_t end = c + 1 < children.size() ? children[c + 1].second : range.end;
        stack.push_back({children[c].second, end, range.depth + 1, base ^ children[c].first});
      }
    }
    // Leaves look for children in a block of their own, where no label matches.
    const auto dead = uint32_t(units_.size());
    units_.resize(dead + 256);
    for (uint32_t c = 0; c < 256; ++c) units_[dead + c].label = c == 0 ? 1 : 0;
    for (uint32_t u = 0; u < dead; ++u) {
      if (units_[u].base == kDeadBase || !used_[u]) units_[u].base = dead;
      if (used_[u]) continue;
      // A unit that is not taken gets a label by which no base reaches it; one is left, since every base has a child.
      uint32_t label = 0;
      while (label < 255 && base_used_[u ^ label]) ++label;
      units_[u].label = label;
    }
    return std::move(units_);
  }

 private:
  static constexpr uint32_t kDeadBase = 0xFFFFFFFF;
  static constexpr uint32_t kEnd = 0xFFFFFFFF;
  static constexpr size_t kWindow = 16 * 256;

  // Adds a block of free units, and forgets about free ones that are too far back.
  void grow() {
    const auto begin = uint32_t(units_.size());
    units_.resize(begin + 256);
    used_.resize(begin + 256);
    base_used_.resize(begin + 256);
    next_.resize(begin + 256);
    previous_.resize(begin + 256);
    for (uint32_t u = begin; u < begin + 256; ++u) {
      previous_[u] = last_free_;
      next_[u] = kEnd;
      (last_free_ == kEnd ? first_free_ : next_[last_free_]) = u;
      last_free_ = u;
    }
    while (first_free_ != kEnd && units_.size() - first_free_ > kWindow) unlink(first_free_);
  }

  void unlink(uint32_t u) {
    (previous_[u] == kEnd ? first_free_ : next_[previous_[u]]) = next_[u];
    (next_[u] == kEnd ? last_free_ : previous_[next_[u]]) = previous_[u];
  }

  void take(uint32_t unit) {
    used_[unit] = true;
    if (units_.size() - unit <= kWindow) unlink(unit);
  }

  uint32_t find_base(const std::vector<std::pair<unsigned char, size_t>>& children) {
    const unsigned char first = children.front().first;
    for (uint32_t at = first_free_; at != kEnd; at = next_[at]) {
      const uint32_t base = at ^ first;
      if (base_used_[base]) continue;
      const bool fits =
          std::all_of(children.begin(), children.end(), [&](const auto& c) { return !used_[base ^ c.first]; });
      if (fits) return base;
    }
    const auto block = uint32_t(units_.size());
    grow();
    return block;
  }

  const Keys& keys_;
  std::vector<Trie::Unit> units_;
  std::vector<char> used_, base_used_;
  // Free units in the window, ascending.
  std::vector<uint32_t> next_, previous_;
  uint32_t first_free_ = kEnd, last_free_ = kEnd;
};

Trie Trie::build(std::vector<std::pair<std::string_view, int32_t>> keys) {
  // std::string_view compares bytes as unsigned, as the builder needs.
  std::sort(keys.begin(), keys.end());
  Trie trie;
  trie.units_ = TrieBuilder(keys).run();
  return trie;
}

Trie::Node Trie::find(std::string_view prefix) const {
  if (empty()) return kNone;
  Node node = kRoot;
  for (char c : prefix) {
    node = child(node, static_cast<unsigned char>(c));
    if (node == kNone) return kNone;
  }
  return node;
}

}  // namespace rerank::text
