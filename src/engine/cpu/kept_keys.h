// Keys and values of tokens that several sequences begin with, kept for all blocks, so that they are computed once: of
// a batch, and in a store of bounded size from one batch to the next.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/cpu/buffers.h"

namespace rerank::engine::cpu {

// Of `tokens` tokens that follow one another: for each block [tokens][width] values, a row's keys before its values, as
// attention reads them (normed and rotated).
class KeptKeys {
 public:
  KeptKeys(size_t blocks, size_t tokens, size_t width);
  static size_t bytes_of(size_t blocks, size_t tokens, size_t width) { return blocks * tokens * width * sizeof(float); }

  float* row(size_t block, size_t token) { return values_.data() + (block * tokens_ + token) * width_; }
  const float* row(size_t block, size_t token) const { return values_.data() + (block * tokens_ + token) * width_; }
  size_t tokens() const { return tokens_; }
  size_t width() const { return width_; }
  size_t bytes() const { return bytes_of(blocks_, tokens_, width_); }

 private:
  size_t blocks_, tokens_, width_;
  Buffer<float> values_;
};

// The first `tokens` of some kept keys.
struct KeptView {
  std::shared_ptr<const KeptKeys> keys;
  size_t tokens = 0;
};
using KeptChain = std::vector<KeptView>;  // they follow one another, from a sequence's first token on

inline size_t tokens_of(const KeptChain& chain) {
  size_t tokens = 0;
  for (const KeptView& view : chain) tokens += view.tokens;
  return tokens;
}
// The first `tokens` of a chain.
KeptChain cut(const KeptChain& chain, size_t tokens);

// What computes a run of tokens: sequences of a batch whose keys stand after others that are kept.
struct Run {
  const KeptChain* before = nullptr;  // null: nothing, the run begins with its sequence
  KeptKeys* keep = nullptr;           // where its own keys and values go too; null: nowhere
};

// The prefixes that were computed last. `bytes` bounds what it holds; not thread-safe.
class PrefixStore {
 public:
  // bytes 0: it keeps nothing.
  explicit PrefixStore(size_t bytes) : limit_(bytes) {}

  // The longest chain for what `ids` begins with, of at least kLeastMatch tokens; empty: there is none.
  KeptChain find(std::span<const int32_t> ids);
  // Its tokens.
  size_t find_tokens(std::span<const int32_t> ids) const;
  // `chain` is of all of `ids`, and its last view is new. Others leave for it, those that were used longest ago first.
  // Where one of its other views has left, it is not taken.
  void add(std::span<const int32_t> ids, const KeptChain& chain);
  // Makes room for what will be added.
  void reserve(size_t bytes);
  size_t bytes() const { return bytes_; }
  size_t limit() const { return limit_; }

  static constexpr size_t kLeastMatch = 8;    // fewer tokens save nothing worth an entry's search
  static constexpr size_t kMostEntries = 64;  // all are looked through

 private:
  struct Entry {
    std::vector<int32_t> ids;
    KeptChain chain;
  };
  std::pair<const Entry*, size_t> best(std::span<const int32_t> ids) const;  // and how many tokens it has in common
  void touch(const KeptChain& chain);
  void drop_last();

  const size_t limit_;
  size_t bytes_ = 0;          // of the last views of all entries
  std::list<Entry> entries_;  // used last first; what an entry stands on stands before it
};

// What sequences began with that came alone, without others of their request: a beginning that is seen a second time
// is worth keeping. Ids only; bounded, those seen longest ago leave. Not thread-safe.
class SeenBeginnings {
 public:
  // How many of its first tokens an earlier one had, too. It is then remembered itself.
  size_t note(std::span<const int32_t> ids);

  static constexpr size_t kMostEntries = 64;   // all are looked through
  static constexpr size_t kMostTokens = 1024;  // of each: templates, instructions and queries are shorter

 private:
  std::list<std::vector<int32_t>> entries_;  // seen last first
};

}  // namespace rerank::engine::cpu
