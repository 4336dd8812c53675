#include "engine/cpu/kept_keys.h"

#include <algorithm>

namespace rerank::engine::cpu {

KeptKeys::KeptKeys(size_t blocks, size_t tokens, size_t width)
    : blocks_(blocks), tokens_(tokens), width_(width), values_(blocks * tokens * width) {}

KeptChain cut(const KeptChain& chain, size_t tokens) {
  KeptChain first;
  for (const KeptView& view : chain) {
    if (tokens == 0) break;
    first.push_back({view.keys, std::min(view.tokens, tokens)});
    tokens -= first.back().tokens;
  }
  return first;
}

KeptChain PrefixStore::find(std::span<const int32_t> ids) {
  size_t most = 0;
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    const size_t length = std::min(ids.size(), entry.ids.size());
    const auto end = std::mismatch(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(length), entry.ids.begin()).first;
    const auto common = static_cast<size_t>(end - ids.begin());
    if (common > most) most = common, best = &entry;
  }
  if (most < kLeastMatch) return {};
  KeptChain chain = cut(best->chain, most);
  touch(chain);
  return chain;
}

void PrefixStore::add(std::span<const int32_t> ids, const KeptChain& chain) {
  const size_t bytes = chain.back().keys->bytes();
  if (bytes > limit_) return;
  reserve(bytes);
  entries_.push_front({{ids.begin(), ids.end()}, chain});
  bytes_ += bytes;
  touch(chain);
  if (entries_.size() > kMostEntries) drop_last();
}

void PrefixStore::reserve(size_t bytes) {
  while (!entries_.empty() && bytes_ + bytes > limit_) drop_last();
}

// The last part first, so that what it stands on is in front of it, and outlives it here.
void PrefixStore::touch(const KeptChain& chain) {
  for (auto view = chain.rbegin(); view != chain.rend(); ++view) {
    const auto entry =
        std::ranges::find_if(entries_, [&](const Entry& e) { return e.chain.back().keys == view->keys; });
    if (entry != entries_.end()) entries_.splice(entries_.begin(), entries_, entry);
  }
}

void PrefixStore::drop_last() {
  bytes_ -= entries_.back().chain.back().keys->bytes();
  entries_.pop_back();
}

}  // namespace rerank::engine::cpu
