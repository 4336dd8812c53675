// What a model computes, as data, in the terms of the papers. A family (model/families/) fills it from config.json;
// engines read it and know no families. What can be said here is more than every engine computes: each engine refuses
// the rest by name (engine/supported.h).
//
// The forward pass that it describes (engine/encoder.h):
//
//   stream = embed(ids)
//   each block, post-norm:  stream = norm(stream + attention(stream));       stream = norm(stream +
//   feed_forward(stream)) each block, pre-norm:   stream = stream + attention(norm(stream));       stream = stream +
//   feed_forward(norm(stream)) stream = norm(stream), where `final_norm` logits = score(the rows that `scoring` names)
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rerank::model {

enum class Activation { kGelu, kGeluTanh, kRelu, kSilu, kTanh };

enum class NormKind { kLayer, kRms };      // Ba et al. 2016; Zhang and Sennrich 2019
enum class NormPlacement { kPost, kPre };  // after the residual sum, or before each part of a block

enum class MaskKind {
  kFull,            // every token sees every token of its sequence
  kWindow,          // tokens at most `window` positions away
  kWindowAndFirst,  // those and the first token, which sees all (Longformer)
  kCausal,          // tokens up to itself
};

// What changes scores besides the products of queries and keys. A table of absolute positions is the embedding's.
enum class PositionKind {
  kNone,
  kRope,          // queries and keys are rotated by their position (Su et al. 2021)
  kAlibi,         // scores lose with distance, by head (Press et al. 2022)
  kDisentangled,  // products with relative positions (He et al. 2021, DeBERTa)
  kBuckets,       // a learned bias by bucketed distance (Raffel et al. 2020, T5)
};

// Pair (c, c + head_size / 2) is rotated by position x theta^(-2 c / head_size) / divisor.
struct Rope {
  float theta = 10000;
  float divisor = 1;
  auto operator<=>(const Rope&) const = default;
};

struct Attention {
  size_t heads = 0, head_size = 0;
  size_t kv_heads = 0;  // heads of keys and values; fewer than `heads` where groups of queries share them
  MaskKind mask = MaskKind::kFull;
  size_t window = 0;  // of kWindow: positions on each side, inclusive
  PositionKind position = PositionKind::kNone;
  Rope rope;  // of kRope
  bool bias = true, output_bias = true;
  bool query_key_norm = false;  // an RMS norm of each head's queries and keys
  float score_scale = 0;        // factor of query-key products; 0: 1 / sqrt(head_size)
  float softcap = 0;            // scores are cap x tanh(score / cap); 0: not
};

// Which half of a packed gated projection is activated: activation(first) x second, or first x activation(second).
enum class GateHalf { kNone, kFirst, kSecond };

struct Experts {
  size_t count = 0, chosen = 0;
  bool normalized = false;  // the weights of the chosen ones sum to 1
};

struct FeedForward {
  size_t width = 0;
  Activation activation = Activation::kGelu;
  GateHalf gate = GateHalf::kNone;
  bool bias = true, output_bias = true;
  std::optional<Experts> experts;
};

struct Block {
  NormPlacement placement = NormPlacement::kPost;
  bool attention_norm = true;  // pre-norm: false where the embedding's norm serves for the first block
  Attention attention;
  FeedForward feed_forward;
};

struct Embedding {
  size_t vocabulary = 0;
  size_t width = 0;            // of the tables; differs from `hidden` in small ELECTRAs, which project
  size_t position_rows = 0;    // rows of the table of positions; 0: there is none
  size_t position_offset = 0;  // row of the first token's position: 0, or padding_idx + 1 in the RoBERTa family
  size_t segment_rows = 0;     // rows of the token-type table; 0: there is none
  bool norm = true;
};

enum class ScoredRows { kFirst, kLast, kMean };  // of a sequence: what the head reads

struct Scoring {
  ScoredRows rows = ScoredRows::kFirst;
  // output(norm(activation(dense(row)))); without dense: output(row).
  bool dense = true, dense_bias = true;
  Activation activation = Activation::kTanh;
  bool norm = false, norm_bias = false;
  float norm_epsilon = 1e-5f;
  bool output_bias = true;
  size_t labels = 1;  // 1: the logit is z0; 2: the logit is z1 - z0
};

// How a query and a document become token ids.
struct InputTemplate {
  enum class Kind {
    kPair,    // tokenizer.json's own template for two texts
    kPrompt,  // a text around both, for decoders
  };
  Kind kind = Kind::kPair;
  bool segments = false;  // token-type ids tell the two texts apart
};

struct Architecture {
  Embedding embedding;
  size_t hidden = 0;
  size_t max_length = 0;  // longest sequence in tokens
  NormKind norm = NormKind::kLayer;
  bool norm_bias = true;  // norms add a beta
  float norm_epsilon = 1e-12f;
  std::vector<Block> blocks;
  bool final_norm = false;
  Scoring scoring;
  InputTemplate input;

  size_t layers() const { return blocks.size(); }
};

std::string_view activation_name(Activation activation);

// Multiplications of a block's linear layers for one token, of one whose attention has `keys` keys besides.
double block_products(const Architecture& architecture, const Block& block);
double attention_products(const Block& block, double keys);

}  // namespace rerank::model
