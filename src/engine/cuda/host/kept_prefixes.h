// Whose keys and values a device keeps from one batch to the next, of causal models: which ids sequences began with,
// and in which of the device's slots each of those tokens lies, for all blocks. What is kept in them is the device's.
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <vector>

namespace rerank::engine {

class KeptPrefixes {
 public:
  static constexpr size_t kLeastMatch = 8;    // fewer tokens save nothing worth an entry's search
  static constexpr size_t kMostEntries = 64;  // all are looked through

  // slots 0: it keeps nothing.
  explicit KeptPrefixes(size_t slots);

  // Another batch: what the one before has found or added may leave from now on. Within a batch all is found before
  // anything is added, whose slots hold nothing yet.
  void begin_batch() { ++batch_; }
  // The slots of what `ids` begins with, the longest that is kept, of at least kLeastMatch tokens; empty: there is
  // none.
  std::vector<uint32_t> find(std::span<const int32_t> ids);
  // Slots for the tokens of `ids` after the first of them, which lie in `first`: they are kept once the batch has
  // written them. Others leave for them, those that were used longest ago first. Empty: there is no room, or an earlier
  // call has added them.
  std::vector<uint32_t> add(std::span<const int32_t> ids, std::span<const uint32_t> first);
  // A batch has failed: what it was to write is not there.
  void clear();

  size_t slots() const { return users_.size(); }
  size_t used() const { return users_.size() - free_.size(); }

 private:
  struct Entry {
    std::vector<int32_t> ids;
    std::vector<uint32_t> slots;  // of each; entries that begin alike may share them
    uint64_t batch = 0;           // that has used it last
  };

  bool has(std::span<const int32_t> ids) const;
  // False: all that are left are this batch's.
  bool drop_one();

  std::vector<uint32_t> users_;  // of each slot: entries that have it
  std::vector<uint32_t> free_;
  std::list<Entry> entries_;  // used last first
  uint64_t batch_ = 1;
};

}  // namespace rerank::engine
