// What words became, per thread: text repeats its words, and most of the time of a model goes into words seen before.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace rerank::text {

// A direct-mapped cache of short words and their ids: no list, no eviction, one line of 64 bytes per word. One thread
// uses a cache; get one with `for_this_thread`.
class WordCache {
 public:
  static constexpr size_t kMaxBytes = 30;
  static constexpr size_t kMaxIds = 8;

  // The calling thread's cache for the model known by `owner` (from new_owner()). A thread keeps the caches of the few
  // models it used last. The reference is good until the thread's next call.
  static WordCache& for_this_thread(uint64_t owner);
  static uint64_t new_owner();

  // Appends the ids of `word` and returns true if they are known. Words longer than kMaxBytes never are.
  bool find(std::string_view word, std::vector<int32_t>& ids) const {
    if (word.size() > kMaxBytes) return false;
    const Entry& entry = entries_[slot(word)];
    if (entry.bytes != word.size() || std::memcmp(entry.word, word.data(), word.size()) != 0) return false;
    ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
    return true;
  }

  void put(std::string_view word, const int32_t* ids, size_t count) {
    if (word.size() > kMaxBytes || count > kMaxIds) return;
    Entry& entry = entries_[slot(word)];
    entry.bytes = uint8_t(word.size());
    entry.count = uint8_t(count);
    std::memcpy(entry.word, word.data(), word.size());
    std::copy_n(ids, count, entry.ids);  // none, and then from nowhere, of a word that a model leaves out
  }

 private:
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION  // where every input has a tokenizer of its own, to clear 1 MB for each
  static constexpr int kBits = 6;
#else
  static constexpr int kBits = 14;
#endif
  static constexpr size_t kEntries = size_t{1} << kBits;

  struct alignas(64) Entry {
    uint8_t bytes = 0;  // 0: free; the empty word is never asked for
    uint8_t count = 0;
    char word[kMaxBytes];
    int32_t ids[kMaxIds];
  };
  static_assert(sizeof(Entry) == 64);

  static size_t slot(std::string_view word) {
    uint64_t hash = word.size() * 0x9E3779B97F4A7C15u;
    const char* p = word.data();
    size_t left = word.size();
    for (; left >= 8; p += 8, left -= 8) hash = mix(hash, p, 8);
    return mix(hash, p, left) >> (64 - kBits);
  }

  static uint64_t mix(uint64_t hash, const char* p, size_t bytes) {
    uint64_t word = 0;
    std::memcpy(&word, p, bytes);
    hash = (hash ^ word) * 0x9FB21C651E98DF25u;
    return hash ^ hash >> 29;
  }

  std::unique_ptr<Entry[]> entries_ = std::make_unique<Entry[]>(kEntries);
};

}  // namespace rerank::text
