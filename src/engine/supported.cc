#include "engine/supported.h"

#include <algorithm>

#include "base/strings.h"

namespace rerank::engine {
namespace {

class Missing {
 public:
  void add(bool missing, std::string_view part) {
    if (!missing || text_.find(part) != std::string::npos) return;
    text_ += str_cat(text_.empty() ? "" : ", ", part);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void check_attention(const model::Attention& a, const EngineFeatures& has, Missing& missing) {
  missing.add(a.kv_heads != a.heads && !has.llama_blocks,
              str_cat("grouped heads (", a.kv_heads, " of keys for ", a.heads, ")"));
  missing.add(a.mask == model::MaskKind::kWindow && !has.window, "windows of attention");
  missing.add(a.mask == model::MaskKind::kWindowAndFirst && !has.first_token, "a window with a global first token");
  missing.add(a.mask == model::MaskKind::kCausal && !has.decoder, "causal attention");
  missing.add(a.position == model::PositionKind::kRope && !has.rope, "rotary positions");
  missing.add(a.position == model::PositionKind::kAlibi && !has.alibi, "ALiBi");
  missing.add(a.position == model::PositionKind::kAlibi && a.kv_heads != a.heads, "ALiBi of grouped heads");
  missing.add(a.position == model::PositionKind::kDisentangled && !has.disentangled, "disentangled attention");
  missing.add(a.position == model::PositionKind::kBuckets && !has.buckets, "bucketed relative positions");
  missing.add(a.query_key_norm && !has.decoder, "norms of queries and keys");
  missing.add(a.score_scale != 0 && !has.softcap && a.position != model::PositionKind::kDisentangled,
              "a scale of scores that is not 1 / sqrt(head size)");
  missing.add(a.softcap != 0 && !has.softcap, "a softcap of scores");
}

}  // namespace

std::string uncomputed_parts(const model::Architecture& a, const EngineFeatures& has) {
  Missing missing;
  missing.add(a.norm != model::NormKind::kLayer && !has.llama_blocks, "RMS norms");
  missing.add(!a.embedding.norm && !has.llama_blocks, "an embedding without a norm");
  missing.add(a.final_norm && !has.pre_norm, "a final norm");
  for (const model::Block& block : a.blocks) {
    missing.add(block.placement == model::NormPlacement::kPre && !has.pre_norm, "pre-norm blocks");
    missing.add(block.placement == model::NormPlacement::kPost && !block.attention_norm,
                "a post-norm block without a norm");
    missing.add(block.feed_forward.gate != model::GateHalf::kNone && !has.gated, "gated feed-forwards");
    missing.add(block.feed_forward.experts.has_value() && !has.experts, "experts");
    missing.add(block.feed_forward.width != a.blocks[0].feed_forward.width ||
                    block.attention.heads != a.blocks[0].attention.heads ||
                    block.attention.head_size != a.blocks[0].attention.head_size ||
                    block.placement != a.blocks[0].placement,
                "blocks of different shapes");
    missing.add(block.sum_norms && !has.sum_norms, "norms of what a block adds");
    missing.add(block.attention.heads * block.attention.head_size != a.hidden && !has.llama_blocks,
                "heads that are not hidden / heads wide");
    check_attention(block.attention, has, missing);
  }
  missing.add(a.convolution.has_value() && !has.convolution, "a convolution");
  missing.add(a.scoring.rows == model::ScoredRows::kMean && !has.mean_rows, "a head that reads the mean of all tokens");
  missing.add(a.scoring.rows == model::ScoredRows::kLast && !has.last_row, "a head that reads the last token");
  missing.add(a.scoring.rows == model::ScoredRows::kMeanOfLogits && !has.mean_of_logits,
              "a head whose logits' mean is the score");
  missing.add(a.scoring.rows == model::ScoredRows::kMarked && !has.marked_rows,
              "vectors of marked tokens (documents that are scored together)");
  missing.add(!a.scoring.dense && !has.llama_blocks, "a head of one linear layer");
  missing.add(a.scoring.first_output != 0 && !has.outputs, "an output after each block");
  missing.add(a.scoring.softcap != 0 && !has.softcap, "a softcap of the logit");
  missing.add(a.scoring.norm && !has.head_norm, "a norm in the head");
  return missing.take();
}

}  // namespace rerank::engine
