// A table bounded in bytes. Replacement is SIEVE (Zhang et al., NSDI 2024): a queue in order of arrival and a hand that
// walks from old to new, sparing what was asked for since it last came by. Unlike LRU a hit moves nothing, so that hits
// only set a flag, and what is asked for once (most of a retrieval's candidates) is the first to go. Not thread-safe.
#pragma once

#include <cstddef>
#include <iterator>
#include <list>
#include <unordered_map>
#include <utility>

#include "base/hash.h"

namespace rerank::cache {

template <class Value>
class Sieve {
 public:
  explicit Sieve(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Null when it is not there. Lives until the next insert or erase.
  Value* find(const Hash128& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    found->second->visited = true;
    return &found->second->value;
  }

  // `bytes`: what the entry takes, its share of the tables included. Returns how many entries had to go for it.
  size_t insert(const Hash128& key, Value value, size_t bytes) {
    if (bytes > max_bytes_) return 0;
    if (const auto found = index_.find(key); found != index_.end()) {
      Entry& entry = *found->second;
      entry.value = std::move(value);
      bytes_ += bytes - entry.bytes;  // may wrap, and then wraps back
      entry.bytes = bytes;
      return 0;
    }
    size_t evicted = 0;
    for (; bytes_ + bytes > max_bytes_; ++evicted) evict_one();
    queue_.push_front({key, std::move(value), bytes});
    index_[key] = queue_.begin();
    bytes_ += bytes;
    return evicted;
  }

  void erase(const Hash128& key) {
    if (const auto found = index_.find(key); found != index_.end()) remove(found->second);
  }

  // From now on it keeps no more than so many.
  void limit(size_t max_bytes) {
    max_bytes_ = max_bytes;
    while (bytes_ > max_bytes_) evict_one();
  }

  size_t entries() const { return queue_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Hash128 key;
    Value value;
    size_t bytes = 0;
    bool visited = false;
  };
  using Position = typename std::list<Entry>::iterator;

  void remove(Position entry) {
    if (hand_ == entry) hand_ = entry == queue_.begin() ? queue_.end() : std::prev(entry);
    bytes_ -= entry->bytes;
    index_.erase(entry->key);
    queue_.erase(entry);
  }

  void evict_one() {
    auto entry = hand_ == queue_.end() ? std::prev(queue_.end()) : hand_;
    while (entry->visited) {
      entry->visited = false;
      entry = entry == queue_.begin() ? std::prev(queue_.end()) : std::prev(entry);
    }
    hand_ = entry;
    remove(entry);
  }

  size_t max_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> queue_;  // newest first
  std::unordered_map<Hash128, Position, Hash128Hasher> index_;
  Position hand_ = queue_.end();  // end(): starts at the oldest
};

}  // namespace rerank::cache
