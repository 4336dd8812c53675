// A set of byte strings with a number each, as a double array: one addition and one comparison per byte looked up.
//
// A node is an index into the units; the child for byte c of a node with base b is unit b ^ c, if that unit's label is
// c. No two nodes have the same base, so the label alone tells the parent. Source: J. Aoe, "An Efficient Digital Search
// Algorithm by Using a Double-Array Structure", 1989, with XOR for addition as in darts-clone.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace rerank::text {

// Immutable after `build`, and thread-safe.
class Trie {
 public:
  using Node = uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = 0xFFFFFFFF;
  static constexpr int32_t kNoValue = 0xFFFFFF;

  // Builds from pairs of key and value (0 to kNoValue - 1). Keys must be different and not empty; they are sorted here.
  static Trie build(std::vector<std::pair<std::string_view, int32_t>> keys);

  Trie() = default;

  Node child(Node node, unsigned char c) const {
    const Node next = units_[node].base ^ c;
    return units_[next].label == c && next != kRoot ? next : kNone;
  }

  // The value of the key that ends at `node`, or kNoValue.
  int32_t value(Node node) const { return units_[node].value; }

  // The node of `prefix`, or kNone.
  Node find(std::string_view prefix) const;

  bool empty() const { return units_.empty(); }

 private:
  friend class TrieBuilder;

  struct Unit {
    uint32_t base = 0;
    uint32_t value : 24 = kNoValue;
    uint32_t label : 8 = 0;
  };
  static_assert(sizeof(Unit) == 8);

  std::vector<Unit> units_;
};

}  // namespace rerank::text
