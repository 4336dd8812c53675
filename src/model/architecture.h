// What a model computes, as data, in the terms of the papers. A family (model/families/) fills it from config.json;
// engines read it and know no families. What can be said here is more than every engine computes: each engine refuses
// the rest by name (engine/supported.h).
//
// The forward pass that it describes (engine/encoder.h):
//
//   stream = embed(ids)
//   each block, post-norm:  stream = norm(stream + attention(stream))
//                           stream = norm(stream + feed_forward(stream))
//   each block, pre-norm:   stream = stream + attention(norm(stream))
//                           stream = stream + feed_forward(norm(stream))
//   stream = norm(stream), where `final_norm`
//   logits = score(the rows that `scoring` names)
//
// Fields that say "bound" are part of the weights when they are bound (model/weights.h): engines pass them over.
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
  kCausal,          // tokens up to itself, where `window` is not 0 the last `window` of them
};

// What changes scores besides the products of queries and keys. A table of absolute positions is the embedding's.
enum class PositionKind {
  kNone,
  kRope,          // queries and keys are rotated by their position (Su et al. 2021)
  kAlibi,         // scores lose with distance, by head (Press et al. 2022)
  kDisentangled,  // products with relative positions (He et al. 2021, DeBERTa)
  kBuckets,       // a learned bias by bucketed distance (Raffel et al. 2020, T5)
};

// Pair (c, c + head_size / 2) is rotated by position x f, f = theta^(-2 c / head_size) / divisor. With `llama3` set, f
// is divided by it where the wavelength 2 pi / f is above original / low_factor, kept where it is below original /
// high_factor, and blended between.
struct Rope {
  float theta = 10000;
  float divisor = 1;
  float llama3 = 0, low_factor = 1, high_factor = 4, original = 8192;
  auto operator<=>(const Rope&) const = default;
};

// Of kDisentangled and kBuckets: distances r = query's position - key's position are told apart as rows of tables.
struct RelativePositions {
  size_t rows = 0;          // of the tables
  size_t buckets = 0;       // r beyond buckets / 2 (kDisentangled) or buckets / 4 (kBuckets) falls into logarithmic
                            // buckets; 0: each r is a row of its own
  size_t max_distance = 0;  // where the logarithmic buckets end
  // Of kDisentangled: scores gain q_i . PK[r] and k_j . PQ[r], where PK and PQ are projections of one table.
  bool query_to_position = false;  // "c2p"
  bool key_to_position = false;    // "p2c"
  bool own_projections = false;    // of positions; else the block's own of keys and queries
  auto operator<=>(const RelativePositions&) const = default;
};

struct Attention {
  size_t heads = 0, head_size = 0;
  size_t kv_heads = 0;  // heads of keys and values; fewer than `heads` where groups of queries share them
  MaskKind mask = MaskKind::kFull;
  size_t window = 0;  // of kWindow: positions on each side, inclusive; of kCausal: keys that a token sees, 0: all
  PositionKind position = PositionKind::kNone;
  Rope rope;                   // of kRope
  RelativePositions relative;  // of kDisentangled and kBuckets
  bool bias = true, output_bias = true;
  bool query_key_norm = false;  // an RMS norm of each head's queries and keys
  float score_scale = 0;        // factor of query-key products; 0: 1 / sqrt(head_size)
  float softcap = 0;            // scores are cap x tanh(score / cap); 0: not
};

// Which half of a packed gated projection is activated: activation(first) x second, or first x activation(second).
enum class GateHalf { kNone, kFirst, kSecond };

// A feed-forward of several, of which each token goes through a few, chosen by a linear layer.
struct Experts {
  size_t count = 0, chosen = 0;
  bool normalized = false;  // the weights of the chosen ones sum to 1
  bool bias = false;        // one is added to what they give together
};

struct FeedForward {
  size_t width = 0;  // of each expert, where there are some
  Activation activation = Activation::kGelu;
  GateHalf gate = GateHalf::kNone;
  bool bias = true, output_bias = true;
  std::optional<Experts> experts;
};

struct Block {
  NormPlacement placement = NormPlacement::kPost;
  bool attention_norm = true;  // pre-norm: false where the embedding's norm serves for the first block
  float sum_scale = 1;         // bound: of what attention and feed-forward add
  bool sum_norms = false;      // pre-norm: norms of what attention and feed-forward add, too, before it is added
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
  bool projected = false;  // a linear layer to `hidden`, though the tables are as wide (ALBERT)
  float scale = 1;         // bound: of rows of words
};

// Of a sequence: what the head reads. kMeanOfLogits: each row, and the logit is the mean of theirs. kMarked: each token
// that `marks` names; what it gives is no logit then, but a vector for each.
enum class ScoredRows { kFirst, kLast, kMean, kMeanOfLogits, kMarked };

// Of models that read the documents of a request together (listwise): the tokens that stand after each document and
// after the query. A document's score is the cosine of its vector and the query's. Numbers are looked up in
// tokenizer.json when the model is loaded (model/answers.h).
struct Marks {
  std::string document, query;  // as the vocabulary spells them
  size_t document_id = 0, query_id = 0;
};

// Decoders without a head of their own: logits of one or two tokens, which are rows of the vocabulary's matrix. They
// are looked up in tokenizer.json when the model is loaded (model/answers.h).
struct Answers {
  std::string positive, negative;  // as the vocabulary spells them; negative empty: the logit of `positive` alone
  std::optional<size_t> positive_id, negative_id;  // where not the spelling is given but the number
  bool two() const { return !negative.empty() || negative_id.has_value(); }
};

struct Scoring {
  ScoredRows rows = ScoredRows::kFirst;
  std::optional<Answers> answers;
  std::optional<Marks> marks;  // of kMarked
  // output(norm(activation(dense(row)))); without dense: output(row).
  bool dense = true, dense_bias = true;
  size_t dense_width = 0;  // outputs of dense; 0: as many as `hidden`
  Activation activation = Activation::kTanh;
  bool norm = false, norm_bias = false;
  float norm_epsilon = 1e-5f;
  bool output_bias = true;
  size_t labels = 1;  // 1: the logit is z0; 2: the logit is z1 - z0; of kMarked the width of vectors
  float scale = 1;    // bound: of z
  float softcap = 0;  // z is cap x tanh(z / cap); 0: not
  // Not 0: each block from this number on (from 1) has an output of its own, and a pass that ends there reads it.
  size_t first_output = 0;
};

// How a query and a document become token ids.
struct InputTemplate {
  enum class Kind {
    kPair,    // tokenizer.json's own template for two texts
    kPrompt,  // a text around both, for decoders
    kList,    // a text around the query and many documents (text/lists)
  };
  Kind kind = Kind::kPair;
  bool segments = false;      // token-type ids tell the two texts apart
  std::string prompt;         // of kPrompt and kList: the name of its template (text/prompt.h); empty: not known
  size_t advised_length = 0;  // tokens that its makers cut a pair to; 0: the model's limit
};

// Of DeBERTa-v2, after the first block: stream = norm(stream + activation(convolution of the embedding's rows)).
struct Convolution {
  size_t width = 0;  // rows that a row is made of, itself in the middle; odd
  Activation activation = Activation::kTanh;
};

struct Architecture {
  Embedding embedding;
  size_t hidden = 0;
  size_t max_length = 0;  // longest sequence in tokens
  NormKind norm = NormKind::kLayer;
  bool norm_bias = true;  // norms add a beta
  float norm_addend = 0;  // bound: of the gammas of blocks and the final norm
  float norm_epsilon = 1e-12f;
  std::vector<Block> blocks;
  size_t groups = 0;           // of blocks that have the same tensors, in order and equally many; 0: each has its own
  bool relative_norm = false;  // of kDisentangled: a norm of the table of relative positions
  std::optional<Convolution> convolution;
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
