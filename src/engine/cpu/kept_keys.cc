#include "engine/cpu/kept_keys.h"

#include <algorithm>
#include <iterator>

namespace rerank::engine::cpu {

namespace {

size_t common_tokens(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t length = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(length), b.begin()).first -
                             a.begin());
}

}  // namespace

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

std::pair<const PrefixStore::Entry*, size_t> PrefixStore::best(std::span<const int32_t> ids) const {
  std::pair<const Entry*, size_t> best = {nullptr, 0};
  for (const Entry& entry : entries_) {
    if (const size_t common = common_tokens(ids, entry.ids); common > best.second) best = {&entry, common};
  }
  return best.second < kLeastMatch ? std::pair<const Entry*, size_t>() : best;
}

KeptChain PrefixStore::find(std::span<const int32_t> ids) {
  const auto [entry, tokens] = best(ids);
  if (entry == nullptr) return {};
  KeptChain chain = cut(entry->chain, tokens);
  touch(chain);
  return chain;
}

size_t PrefixStore::find_tokens(std::span<const int32_t> ids) const { return best(ids).second; }

void PrefixStore::add(std::span<const int32_t> ids, const KeptChain& chain) {
  const size_t bytes = chain.back().keys->bytes();
  if (bytes > limit_) return;
  touch(chain);
  reserve(bytes);
  const auto is_kept = [&](const KeptView& view) {
    return std::ranges::any_of(entries_, [&](const Entry& e) { return e.chain.back().keys == view.keys; });
  };
  if (!std::all_of(chain.begin(), chain.end() - 1, is_kept)) return;  // it would keep what has left
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

size_t SeenBeginnings::note(std::span<const int32_t> ids) {
  ids = ids.first(std::min(ids.size(), kMostTokens));
  size_t seen = 0;
  for (const auto& entry : entries_) seen = std::max(seen, common_tokens(ids, entry));
  if (entries_.size() == kMostEntries) {
    entries_.splice(entries_.begin(), entries_, std::prev(entries_.end()));
    entries_.front().assign(ids.begin(), ids.end());
  } else {
    entries_.emplace_front(ids.begin(), ids.end());
  }
  return seen;
}

void PrefixStore::drop_last() {
  bytes_ -= entries_.back().chain.back().keys->bytes();
  entries_.pop_back();
}

}  // namespace rerank::engine::cpu
