#include "engine/cuda/host/shared_batch.h"

#include <algorithm>

#include "engine/prefix_plan.h"

namespace rerank::engine {

bool can_share_prefixes(const model::Architecture& a) {
  return a.embedding.position_rows == 0 && a.scoring.rows == model::ScoredRows::kLast &&
         std::ranges::all_of(
             a.blocks, [](const model::Block& block) { return block.attention.mask == model::MaskKind::kCausal; });
}

// One level: a request's prompt and query. What several requests have in common besides is computed for each of them.
SharedBatch share_prefixes(const Batch& batch) {
  const PrefixPlan plan = plan_prefixes(batch, {.levels = 1});
  SharedBatch shared;
  shared.parts = static_cast<uint32_t>(plan.parts.size());
  shared.saved = plan.saved;
  const auto add = [&](size_t sequence, size_t begin, size_t end) {
    const size_t at = batch.offsets[sequence] + begin;
    shared.runs.add(batch.ids.subspan(at, end - begin), batch.segments.subspan(at, end - begin));
  };
  for (const SharedPart& part : plan.parts) add(part.sequence, part.begin, part.end);
  for (size_t s = 0; s < batch.size(); ++s) add(s, plan.own_begin(s), batch.length(s));
  shared.behind = plan.part_of;
  static_assert(SharedPart::kNone == UINT32_MAX);
  return shared;
}

}  // namespace rerank::engine
