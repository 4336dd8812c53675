// Byte pair encoding: a piece starts as its characters, and the neighbours whose merge was learnt first are merged
// until no merge is left. Source: R. Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units",
// 2016.
#include <algorithm>
#include <array>
#include <queue>

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/models/model.h"
#include "text/models/word_cache.h"
#include "text/stages/byte_level.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

class Bpe : public TokenizerModel {
 public:
  static Result<std::unique_ptr<TokenizerModel>> parse(const JsonField& json);

  void append_ids(std::string_view piece, std::vector<int32_t>& ids) const override {
    WordCache& cache = WordCache::for_this_thread(owner_);
    if (cache.find(piece, ids)) return;
    const size_t first = ids.size();
    append_word(piece, ids);
    cache.put(piece, ids.data() + first, ids.size() - first);
  }

  bool take_plain_bytes() override;

 private:
  struct Merge {
    uint32_t rank;
    int32_t id;  // what the pair becomes
  };

  // One symbol of a word being merged; a doubly linked list in an array.
  struct Symbol {
    int32_t id;
    int32_t previous, next;  // -1: none
    bool alive;
  };

  // A merge that was possible when it was queued.
  struct Candidate {
    uint32_t rank;
    int32_t position;
    int32_t id;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };

  static constexpr size_t kFewSymbols = 24;  // up to this many, searching all pairs beats keeping a queue

  Status read_merges(const JsonField& json);
  Status add_merge(const JsonField& json, std::string_view left, std::string_view right, uint32_t rank);
  const Merge* find_merge(int32_t left, int32_t right) const {
    const auto it = merges_.find(uint64_t(uint32_t(left)) << 32 | uint32_t(right));
    return it == merges_.end() ? nullptr : &it->second;
  }

  void append_word(std::string_view piece, std::vector<int32_t>& ids) const;
  void start_symbols(std::string_view piece, std::vector<int32_t>& symbols) const;
  void merge_few(std::vector<int32_t>& symbols) const;
  void merge_many(std::vector<int32_t>& symbols) const;

  const uint64_t owner_ = WordCache::new_owner();
  absl::flat_hash_map<uint64_t, Merge> merges_;
  std::string prefix_, suffix_;  // of characters that go on a word, and of its last
  bool fuse_unknown_ = false, byte_fallback_ = false, ignore_merges_ = false;
  std::array<int32_t, 256> fallback_ids_{};  // of <0x00> to <0xFF>; -1: none

  bool plain_bytes_ = false;
  std::array<int32_t, 256> byte_ids_{};  // of single bytes, with plain_bytes_; -1: none
  Vocabulary byte_tokens_;               // whole tokens as bytes, with plain_bytes_ and ignore_merges_
};

bool Bpe::take_plain_bytes() {
  if (!prefix_.empty() || !suffix_.empty() || byte_fallback_) return false;
  byte_ids_.fill(-1);
  std::string bytes;
  for (const auto& [token, id] : vocabulary_.ids()) {
    bytes.clear();
    const char* p = token.data();
    const char* const end = p + token.size();
    while (p < end) {
      const int byte = byte_of_char(next_char(p));
      if (byte < 0) break;
      bytes += char(byte);
      if (p == end && bytes.size() == 1) byte_ids_[byte] = id;
      if (p == end && ignore_merges_) byte_tokens_.set(bytes, id);
    }
  }
  plain_bytes_ = true;
  return true;
}

void Bpe::append_word(std::string_view piece, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    if (plain_bytes_) {
      if (const auto id = byte_tokens_.find(piece)) return ids.push_back(*id);
    } else if (const auto id = vocabulary_.find(piece)) {
      return ids.push_back(*id);
    }
  }
  thread_local std::vector<int32_t> symbols;
  symbols.clear();
  start_symbols(piece, symbols);
  if (symbols.size() <= kFewSymbols) {
    merge_few(symbols);
  } else {
    merge_many(symbols);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void Bpe::start_symbols(std::string_view piece, std::vector<int32_t>& symbols) const {
  bool after_unknown = false;
  auto add_unknown = [&] {
    if (unknown_ >= 0 && !(after_unknown && fuse_unknown_)) symbols.push_back(unknown_);
    after_unknown = true;
  };
  if (plain_bytes_) {
    for (char c : piece) {
      const int32_t id = byte_ids_[static_cast<unsigned char>(c)];
      if (id < 0) {
        add_unknown();
      } else {
        symbols.push_back(id);
        after_unknown = false;
      }
    }
    return;
  }
  std::string affixed;
  for (size_t at = 0; at < piece.size();) {
    const size_t length = utf8_length(static_cast<unsigned char>(piece[at]));
    std::string_view character = piece.substr(at, length);
    const bool last = at + length == piece.size();
    if ((at > 0 && !prefix_.empty()) || (last && !suffix_.empty())) {
      affixed = str_cat(at > 0 ? prefix_ : "", std::string(character), last ? suffix_ : "");
      character = affixed;
    }
    at += length;
    if (const auto id = vocabulary_.find(character)) {
      symbols.push_back(*id);
      after_unknown = false;
      continue;
    }
    auto fallback = [&](char c) { return fallback_ids_[static_cast<unsigned char>(c)]; };
    if (byte_fallback_ && std::all_of(character.begin(), character.end(), [&](char c) { return fallback(c) >= 0; })) {
      for (char c : character) symbols.push_back(fallback(c));
      continue;
    }
    add_unknown();
  }
}

void Bpe::merge_few(std::vector<int32_t>& symbols) const {
  // merges[i] is that of symbols i and i + 1.
  const Merge* merges[kFewSymbols];
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = find_merge(symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = count;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (merges[i] != nullptr && (best == count || merges[i]->rank < merges[best]->rank)) best = i;
    }
    if (best == count) break;
    symbols[best] = merges[best]->id;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      merges[i - 1] = merges[i];
    }
    if (best + 1 < count) merges[best] = find_merge(symbols[best], symbols[best + 1]);
    if (best > 0) merges[best - 1] = find_merge(symbols[best - 1], symbols[best]);
  }
  symbols.resize(count);
}

void Bpe::merge_many(std::vector<int32_t>& symbols) const {
  std::vector<Symbol> list(symbols.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  auto queue_pair = [&](int32_t left, int32_t right) {
    if (const Merge* merge = find_merge(list[left].id, list[right].id)) queue.push({merge->rank, left, merge->id});
  };
  const auto count = int32_t(symbols.size());
  for (int32_t i = 0; i < count; ++i) list[i] = {symbols[i], i - 1, i + 1 < count ? i + 1 : -1, true};
  for (int32_t i = 0; i + 1 < count; ++i) queue_pair(i, i + 1);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = list[top.position];
    if (!left.alive || left.next < 0) continue;
    Symbol& right = list[left.next];
    const Merge* merge = find_merge(left.id, right.id);
    if (merge == nullptr || merge->id != top.id) continue;  // one of the two has changed since
    left.id = top.id;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0) list[left.next].previous = top.position;
    if (left.previous >= 0) queue_pair(left.previous, top.position);
    if (left.next >= 0) queue_pair(top.position, left.next);
  }
  symbols.clear();
  for (int32_t i = 0; i >= 0; i = list[i].next) symbols.push_back(list[i].id);
}

Status Bpe::add_merge(const JsonField& json, std::string_view left, std::string_view right, uint32_t rank) {
  const auto left_id = vocabulary_.find(left), right_id = vocabulary_.find(right);
  if (!left_id || !right_id) {
    return json.error(str_cat("merge ", rank, ": token \"", left_id ? right : left, "\" is not in the vocabulary"));
  }
  if (right.size() < prefix_.size()) return json.error(str_cat("merge ", rank, ": \"", right, "\" lacks the prefix"));
  const std::string merged = str_cat(left, right.substr(prefix_.size()));
  const auto merged_id = vocabulary_.find(merged);
  if (!merged_id) return json.error(str_cat("merge ", rank, ": token \"", merged, "\" is not in the vocabulary"));
  merges_[uint64_t(uint32_t(*left_id)) << 32 | uint32_t(*right_id)] = {rank, *merged_id};
  return ok_status();
}

Status Bpe::read_merges(const JsonField& json) {
  simdjson::dom::array items;
  if (!json.is_array() || json.element().get(items) != simdjson::SUCCESS) return json.expected("an array of merges");
  uint32_t rank = 0;
  for (simdjson::dom::element item : items) {
    std::string_view left, right;
    simdjson::dom::array pair;
    if (item.get(left) == simdjson::SUCCESS) {  // "left right", as in merges.txt
      if (left.starts_with("#version")) continue;
      const size_t blank = left.find(' ');
      if (blank == std::string_view::npos || left.find(' ', blank + 1) != std::string_view::npos) {
        return json.error(str_cat("merge ", rank, ": expected two tokens and a blank"));
      }
      right = left.substr(blank + 1);
      left = left.substr(0, blank);
    } else if (item.get(pair) != simdjson::SUCCESS || pair.size() != 2 || pair.at(0).get(left) != simdjson::SUCCESS ||
               pair.at(1).get(right) != simdjson::SUCCESS) {
      return json.error(str_cat("merge ", rank, ": expected a string or two of them"));
    }
    RETURN_IF_ERROR(add_merge(json, left, right, rank++));
  }
  return ok_status();
}

Result<std::unique_ptr<TokenizerModel>> Bpe::parse(const JsonField& json) {
  auto model = std::make_unique<Bpe>();
  RETURN_IF_ERROR(read_vocabulary(json.at("vocab"), model->vocabulary_));
  if (const JsonField dropout = json.at("dropout"); !dropout.is_null()) {
    double rate = 0;
    if (dropout.element().get(rate) != simdjson::SUCCESS) return dropout.expected("a number");
    if (rate != 0) return dropout.unsupported("merges left out at random are not supported");
  }
  ASSIGN_OR_RETURN(model->prefix_, json.at("continuing_subword_prefix").as_string_or(""));
  ASSIGN_OR_RETURN(model->suffix_, json.at("end_of_word_suffix").as_string_or(""));
  ASSIGN_OR_RETURN(model->fuse_unknown_, json.at("fuse_unk").as_bool_or(false));
  ASSIGN_OR_RETURN(model->byte_fallback_, json.at("byte_fallback").as_bool_or(false));
  ASSIGN_OR_RETURN(model->ignore_merges_, json.at("ignore_merges").as_bool_or(false));
  if (const JsonField unknown = json.at("unk_token"); !unknown.is_null()) {
    ASSIGN_OR_RETURN(const std::string_view token, unknown.as_string());
    const auto id = model->vocabulary_.find(token);
    if (!id) return unknown.error(str_cat("\"", token, "\" is not in the vocabulary"));
    model->unknown_ = *id;
  }
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kHex[] = "0123456789ABCDEF";
    const char name[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
    model->fallback_ids_[byte] = model->vocabulary_.find(std::string_view(name, sizeof(name))).value_or(-1);
  }
  RETURN_IF_ERROR(model->read_merges(json.at("merges")));
  return model;
}

}  // namespace

Result<std::unique_ptr<TokenizerModel>> parse_bpe(const JsonField& json) { return Bpe::parse(json); }

}  // namespace rerank::text
