#include "engine/cuda/host/shared_batch.h"

#include <algorithm>
#include <utility>

#include "engine/cuda/plugin.h"
#include "engine/prefix_plan.h"

namespace rerank::engine {
namespace {

using Rows = std::vector<uint32_t>;

void append(Rows& to, const Rows& more) { to.insert(to.end(), more.begin(), more.end()); }

class Sharing {
 public:
  Sharing(const Batch& batch, const PrefixLimits& limits, KeptPrefixes* kept)
      : batch_(batch), kept_(kept), plan_(plan_prefixes(batch, limits)), parts_(plan_.parts.size()) {
    if (kept_ != nullptr) kept_->begin_batch();
  }

  SharedBatch result() && {
    out_.saved = plan_.saved;
    for (size_t i = 0; i < parts_.size(); ++i) add_part(i);
    out_.parts = static_cast<uint32_t>(out_.runs.size());
    for (size_t s = 0; s < batch_.size(); ++s) add_sequence(s);
    if (kept_ != nullptr) keep();
    if (out_.prefix_rows.empty()) out_.prefix_begins.clear(), out_.prefix_counts.clear();
    return std::move(out_);
  }

 private:
  // Tokens [begin, begin + count) of a sequence that are computed, as rows from `row` on; before them the rows of the
  // prefix, where they are put together.
  struct Computed {
    uint32_t row = 0, begin = 0, count = 0;
  };
  struct Part {
    Computed own;           // count 0: an earlier batch has all of it
    Rows found;             // slots of what an earlier batch has of its sequence's beginning
    uint32_t run = 0;       // its number, where it goes before sequences as it is (is_plain)
    uint32_t begin = 0;     // of its prefix with itself among the rows that are put together
    Rows chain;             // ... those rows
    Rows slots;             // where all of it is kept; fewer than its tokens: it is not
    bool is_plain = false;  // it begins its sequences, and nothing of it is kept
  };

  std::span<const int32_t> ids_of(size_t sequence, size_t tokens) const {
    return batch_.ids.subspan(batch_.offsets[sequence], tokens);
  }
  Rows find(size_t sequence, size_t tokens) {
    return kept_ == nullptr ? Rows() : kept_->find(ids_of(sequence, tokens));
  }

  // prefix: rows [first, second) of those that are put together.
  Computed add_run(size_t sequence, size_t begin, size_t end, std::pair<uint32_t, uint32_t> prefix) {
    const size_t at = batch_.offsets[sequence] + begin, count = end - begin;
    const Computed own{static_cast<uint32_t>(out_.runs.tokens()), static_cast<uint32_t>(begin),
                       static_cast<uint32_t>(count)};
    out_.runs.add(batch_.ids.subspan(at, count), batch_.segments.subspan(at, count));
    out_.prefix_begins.push_back(prefix.first);
    out_.prefix_counts.push_back(prefix.second);
    return own;
  }
  uint32_t put(const Rows& rows) {
    const auto begin = static_cast<uint32_t>(out_.prefix_rows.size());
    append(out_.prefix_rows, rows);
    return begin;
  }

  void add_part(size_t number) {
    const SharedPart& planned = plan_.parts[number];
    Part& part = parts_[number];
    part.found = find(planned.sequence, planned.end);
    if (part.found.size() > planned.begin) {
      out_.kept += part.found.size() - planned.begin;
      part.chain = part.found;
    } else {
      part.found.clear();
      if (planned.parent != SharedPart::kNone) part.chain = parts_[planned.parent].chain;
    }
    const auto before = static_cast<uint32_t>(part.chain.size());
    part.is_plain = before == 0;
    part.begin = static_cast<uint32_t>(out_.prefix_rows.size());
    if (before < planned.end) {
      part.run = static_cast<uint32_t>(out_.runs.size());
      part.own = add_run(planned.sequence, before, planned.end, {part.begin, before});
      for (uint32_t i = 0; i < part.own.count; ++i) part.chain.push_back(cuda::kOwnRow | (part.own.row + i));
    }
    if (!part.is_plain) put(part.chain);
  }

  void add_sequence(size_t s) {
    const uint32_t number = plan_.part_of[s];
    std::pair<uint32_t, uint32_t> prefix;
    Rows found;
    uint32_t behind = UINT32_MAX;
    size_t begin = plan_.own_begin(s);
    if (number == SharedPart::kNone) {
      found = find(s, batch_.length(s) - 1);
      begin = found.size();
      out_.kept += begin;
      if (begin > 0) prefix = {put(found), static_cast<uint32_t>(begin)};
    } else if (parts_[number].is_plain) {
      behind = parts_[number].run;
    } else {
      prefix = {parts_[number].begin, static_cast<uint32_t>(begin)};
    }
    out_.behind.push_back(behind);
    own_.push_back(add_run(s, begin, batch_.length(s), prefix));
    found_.push_back(std::move(found));
  }

  // Slots for what is computed here and others will begin with. All that is found was found before.
  void keep() {
    for (size_t i = 0; i < parts_.size(); ++i) {
      const SharedPart& planned = plan_.parts[i];
      Part& part = parts_[i];
      part.slots =
          !part.found.empty() || planned.parent == SharedPart::kNone ? part.found : parts_[planned.parent].slots;
      keep_rows(planned.sequence, part.own, planned.end, part.slots);
    }
    for (size_t s = 0; s < batch_.shared_tokens.size(); ++s) {
      const uint32_t shared = std::min(batch_.shared_tokens[s], static_cast<uint32_t>(batch_.length(s) - 1));
      const uint32_t number = plan_.part_of[s];
      if (shared < own_[s].begin + kLeastKeptTokens) continue;
      Rows slots = number == SharedPart::kNone ? found_[s] : parts_[number].slots;
      keep_rows(s, own_[s], shared, slots);
    }
  }
  // Rows of a sequence's tokens up to `end`, where those before them are kept in `slots`; theirs are added there.
  void keep_rows(size_t sequence, const Computed& own, uint32_t end, Rows& slots) {
    if (slots.size() != own.begin || own.begin >= end || own.count == 0) return;
    const Rows fresh = kept_->add(ids_of(sequence, end), slots);
    for (uint32_t i = 0; i < fresh.size(); ++i) out_.keep_rows.push_back(own.row + i);
    append(out_.keep_slots, fresh);
    append(slots, fresh);
  }

  const Batch& batch_;
  KeptPrefixes* kept_;
  const PrefixPlan plan_;
  std::vector<Part> parts_;
  std::vector<Computed> own_;  // of each sequence
  std::vector<Rows> found_;
  SharedBatch out_;
};

}  // namespace

bool can_share_prefixes(const model::Architecture& a) {
  return a.embedding.position_rows == 0 && a.scoring.rows == model::ScoredRows::kLast &&
         std::ranges::all_of(
             a.blocks, [](const model::Block& block) { return block.attention.mask == model::MaskKind::kCausal; });
}

SharedBatch share_prefixes(const Batch& batch, KeptPrefixes* kept) { return Sharing(batch, {}, kept).result(); }

SharedBatch share_first_prefixes(const Batch& batch) { return Sharing(batch, {.levels = 1}, nullptr).result(); }

static_assert(SharedPart::kNone == UINT32_MAX);

}  // namespace rerank::engine
