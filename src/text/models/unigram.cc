// Unigram language model: a piece becomes the sequence of tokens with the highest sum of scores (Viterbi). Sources:
// T. Kudo, "Subword Regularization", 2018; the details (ties, unknown characters) are those of `tokenizers`.
#include <algorithm>
#include <limits>

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/models/model.h"
#include "text/models/trie.h"
#include "text/models/word_cache.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

constexpr double kUnknownPenalty = 10.0;  // an unknown character scores this much below the worst token

class Unigram : public TokenizerModel {
 public:
  static Result<std::unique_ptr<TokenizerModel>> parse(const JsonField& json);

  size_t size() const override { return scores_.size(); }

  void append_ids(std::string_view piece, std::vector<int32_t>& ids) const override {
    WordCache& cache = WordCache::for_this_thread(owner_);
    if (cache.find(piece, ids)) return;
    const size_t first = ids.size();
    append_best(piece, ids);
    cache.put(piece, ids.data() + first, ids.size() - first);
  }

 private:
  // The best way to reach a position of the piece.
  struct Best {
    double score;
    uint32_t start;  // where its last token starts; kUnreached: no way yet
    int32_t id;
  };
  static constexpr uint32_t kUnreached = 0xFFFFFFFF;
  // A piece this long is cut, at a character boundary, to bound memory (16 bytes per byte of text).
  static constexpr size_t kMaxPieceBytes = 1u << 24;

  void append_best(std::string_view piece, std::vector<int32_t>& ids) const;
  void append_unknown(std::string_view text, std::vector<int32_t>& ids) const;

  const uint64_t owner_ = WordCache::new_owner();
  Trie trie_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  bool byte_fallback_ = false;
  std::vector<int32_t> byte_ids_;  // ids of <0x00> to <0xFF>, -1 for those not in the vocabulary
};

void Unigram::append_best(std::string_view piece, std::vector<int32_t>& ids) const {
  while (piece.size() > kMaxPieceBytes) {
    size_t cut = kMaxPieceBytes;
    while ((static_cast<unsigned char>(piece[cut]) & 0xC0) == 0x80) --cut;
    append_best(piece.substr(0, cut), ids);
    piece.remove_prefix(cut);
  }
  thread_local std::vector<Best> best;
  const size_t size = piece.size();
  best.assign(size + 1, Best{0, kUnreached, 0});
  for (size_t at = 0; at < size;) {
    const double score_here = best[at].score;
    const size_t length = utf8_length(static_cast<unsigned char>(piece[at]));
    bool single = false;  // the character alone is a token
    Trie::Node node = Trie::kRoot;
    for (size_t i = at; i < size;) {
      node = trie_.child(node, static_cast<unsigned char>(piece[i++]));
      if (node == Trie::kNone) break;
      const int32_t id = trie_.value(node);
      if (id == Trie::kNoValue) continue;
      const double score = scores_[id] + score_here;
      Best& target = best[i];
      if (target.start == kUnreached || score > target.score) target = {score, uint32_t(at), id};
      single = single || i - at == length;
    }
    if (!single) {
      const double score = unknown_score_ + score_here;
      Best& target = best[at + length];
      if (target.start == kUnreached || score > target.score) target = {score, uint32_t(at), unknown_};
    }
    at += length;
  }

  // Back from the end; neighbouring unknowns become one.
  thread_local std::vector<uint32_t> ends;
  ends.clear();
  for (size_t end = size; end > 0; end = best[end].start) ends.push_back(uint32_t(end));
  for (size_t i = ends.size(); i-- > 0;) {
    const size_t start = best[ends[i]].start;
    if (best[ends[i]].id != unknown_) {
      ids.push_back(best[ends[i]].id);
      continue;
    }
    while (i > 0 && best[ends[i - 1]].id == unknown_) --i;
    append_unknown(piece.substr(start, ends[i] - start), ids);
  }
}

void Unigram::append_unknown(std::string_view text, std::vector<int32_t>& ids) const {
  if (const auto id = vocabulary_.find(text)) {
    ids.push_back(*id);
    return;
  }
  if (byte_fallback_) {
    const bool all =
        std::all_of(text.begin(), text.end(), [&](char c) { return byte_ids_[static_cast<unsigned char>(c)] >= 0; });
    if (all) {
      for (char c : text) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
      return;
    }
  }
  ids.push_back(unknown_);
}

Result<std::unique_ptr<TokenizerModel>> Unigram::parse(const JsonField& json) {
  auto model = std::make_unique<Unigram>();
  const JsonField vocab = json.at("vocab");
  simdjson::dom::array items;
  if (!vocab.is_array() || vocab.element().get(items) != simdjson::SUCCESS)
    return vocab.expected("an array of [token, score]");
  double lowest = std::numeric_limits<double>::infinity();
  // Array sizes saturate in the parser, so count.
  for (simdjson::dom::element item : items) {
    const size_t id = model->scores_.size();
    simdjson::dom::array entry;
    std::string_view token;
    double score = 0;
    if (item.get(entry) != simdjson::SUCCESS || entry.at(0).get(token) != simdjson::SUCCESS ||
        entry.at(1).get(score) != simdjson::SUCCESS) {
      return vocab.error(str_cat("expected [token, score] at position ", id));
    }
    if (id >= kMaxVocabularySize) return vocab.error(str_cat("more than ", kMaxVocabularySize, " tokens"));
    model->vocabulary_.set(token, int32_t(id));
    model->scores_.push_back(score);
    lowest = std::min(lowest, score);
  }
  if (model->scores_.empty()) return vocab.error("the vocabulary is empty");
  const JsonField unknown = json.at("unk_id");
  if (unknown.is_null()) return unknown.unsupported("a Unigram model without an unknown token is not supported");
  ASSIGN_OR_RETURN(const int64_t unknown_id, unknown.as_int(0, int64_t(model->scores_.size()) - 1));
  model->unknown_ = int32_t(unknown_id);
  model->unknown_score_ = lowest - kUnknownPenalty;
  ASSIGN_OR_RETURN(model->byte_fallback_, json.at("byte_fallback").as_bool_or(false));
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kHex[] = "0123456789ABCDEF";
    const char name[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
    model->byte_ids_.push_back(model->vocabulary_.find(std::string_view(name, sizeof(name))).value_or(-1));
  }

  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(model->vocabulary_.size());
  for (const auto& [token, id] : model->vocabulary_.ids()) {
    if (!token.empty()) keys.emplace_back(token, id);
  }
  model->trie_ = Trie::build(std::move(keys));
  return model;
}

}  // namespace

Result<std::unique_ptr<TokenizerModel>> parse_unigram(const JsonField& json) { return Unigram::parse(json); }

}  // namespace rerank::text
