#include "engine/cpu/shared_prefixes.h"

#include <algorithm>

namespace rerank::engine::cpu {
namespace {

// Where a token's keys and values depend on those before it only.
bool is_shareable(const model::Architecture& a) {
  // What is computed once has no marked tokens' vectors.
  return !a.scoring.marks && a.embedding.position_rows == 0 &&
         std::ranges::all_of(
             a.blocks, [](const model::Block& block) { return block.attention.mask == model::MaskKind::kCausal; });
}

size_t width_of(const model::Architecture& a) {
  return 2 * a.blocks[0].attention.kv_heads * a.blocks[0].attention.head_size;
}

}  // namespace

SharedPrefixes::SharedPrefixes(const model::Architecture& a, size_t bytes)
    : layers_(a.layers()), width_(width_of(a)), store_(is_shareable(a) ? bytes : 0) {
  limits_.most_tokens = store_.limit() / KeptKeys::bytes_of(layers_, 1, width_);
}

KeptChain SharedPass::Part::chain() const {
  KeptChain whole = before;
  if (keys != nullptr) whole.push_back({keys, keys->tokens()});
  return whole;
}

PrefixLimits SharedPrefixes::limits(size_t layers) const {
  PrefixLimits limits = limits_;
  limits.for_others = layers == layers_;
  return limits;
}

std::vector<uint32_t> SharedPrefixes::shared_tokens(const Batch& batch) {
  std::vector<uint32_t> shared(batch.shared_tokens.begin(), batch.shared_tokens.end());
  shared.resize(batch.size());
  for (size_t s = 0; s < batch.size(); ++s) {
    if (shared[s] != 0) continue;
    const std::span<const int32_t> ids = batch.ids.subspan(batch.offsets[s], batch.length(s));
    const size_t seen = seen_.note(ids);
    if (seen >= store_.find_tokens(ids) + kLeastKeptTokens) shared[s] = static_cast<uint32_t>(seen);
  }
  return shared;
}

SharedPass::SharedPass(SharedPrefixes& prefixes, const Batch& whole, size_t layers)
    : prefixes_(prefixes),
      whole_(whole),
      layers_(layers),
      stored_(layers == prefixes.layers_),
      plan_(plan()),
      parts_(plan_.parts.size()),
      before_(whole.size()) {
  prefixes_.counters_->shared_tokens += plan_.saved;
  for (size_t level = 0; level < prefixes.limits_.levels; ++level) {
    for (size_t i = 0; i < parts_.size(); ++i)
      if (plan_.parts[i].level == level) prepare(i);
  }
}

PrefixPlan SharedPass::plan() const {
  if (!stored_) return plan_prefixes(whole_, prefixes_.limits(layers_));
  const std::vector<uint32_t> shared = prefixes_.shared_tokens(whole_);
  Batch batch = whole_;
  batch.shared_tokens = shared;
  return plan_prefixes(batch, prefixes_.limits(layers_));
}

std::span<const int32_t> SharedPass::ids_of(const SharedPart& part) const {
  return whole_.ids.subspan(whole_.offsets[part.sequence], part.end);
}

// What there is of a part: its parent, or more of it in the store.
void SharedPass::prepare(size_t number) {
  const SharedPart& planned = plan_.parts[number];
  Part& part = parts_[number];
  if (planned.parent != SharedPart::kNone) part.before = parts_[planned.parent].chain();
  if (stored_) {
    KeptChain found = prefixes_.store_.find(ids_of(planned));
    if (tokens_of(found) > planned.begin) {
      prefixes_.counters_->kept_tokens += tokens_of(found) - planned.begin;
      part.before = std::move(found);
    }
  }
  const size_t left = planned.end - tokens_of(part.before);
  if (left != 0) part.keys = std::make_shared<KeptKeys>(layers_, left, prefixes_.width_);
}

void SharedPass::clear() {
  batch_.clear();
  runs_.clear();
}

void SharedPass::add_run(size_t sequence, size_t begin, size_t end, const KeptChain& before, KeptKeys* keep) {
  const size_t at = whole_.offsets[sequence] + begin, count = end - begin;
  batch_.add(whole_.ids.subspan(at, count), whole_.segments.subspan(at, count));
  runs_.push_back({&before, keep});
  prefixes_.counters_->computed_tokens += count;
}

bool SharedPass::next_level() {
  clear();
  for (; level_ < prefixes_.limits_.levels && runs_.empty(); ++level_) {
    for (size_t i = 0; i < parts_.size(); ++i) {
      const SharedPart& planned = plan_.parts[i];
      if (planned.level != level_ || parts_[i].keys == nullptr) continue;
      add_run(planned.sequence, tokens_of(parts_[i].before), planned.end, parts_[i].before, parts_[i].keys.get());
    }
  }
  return !runs_.empty();
}

void SharedPass::finish_parts() {
  for (size_t i = 0; i < parts_.size() && stored_; ++i)
    if (parts_[i].keys != nullptr) prefixes_.store_.add(ids_of(plan_.parts[i]), parts_[i].chain());
  prefixes_.counters_->kept_bytes = prefixes_.store_.bytes();
  clear();
  for (size_t s = 0; s < whole_.size(); ++s) {
    if (const uint32_t part = plan_.part_of[s]; part != SharedPart::kNone) {
      before_[s] = parts_[part].chain();
    } else if (stored_) {
      before_[s] = prefixes_.store_.find(whole_.ids.subspan(whole_.offsets[s], whole_.length(s) - 1));
      prefixes_.counters_->kept_tokens += tokens_of(before_[s]);
    }
  }
  for (size_t s = 0; s < whole_.size(); ++s) add_run(s, tokens_of(before_[s]), whole_.length(s), before_[s], nullptr);
}

}  // namespace rerank::engine::cpu
