// What the program and librerank_cuda.so say to each other: plain structs and functions, nothing of the program's
// libraries, so that the library is built with CUDA alone and the program runs where CUDA is not.
//
// All pointers of a ModelSpec point to host memory, which open() has copied when it returns. Functions write a message
// into `error` (at most error_size bytes, terminated) when they do not return kOk. An engine is used by one thread at a
// time, but for finish(); several engines may run side by side.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rerank::engine::cuda {

// A library of another major number is refused. A minor one adds fields at the end of structs and functions at the end
// of Plugin: each struct begins with its size, and what lies past the size that the other side knows is not read there.
inline constexpr uint32_t kPluginMajor = 11, kPluginMinor = 3;

// Batches that an engine has in flight at most: one is computed, the next has been copied in and waits behind it.
inline constexpr uint32_t kSlots = 2;

// Of a BatchSpec's prefix_rows: a token of the batch.
inline constexpr uint32_t kOwnRow = 1u << 31;

enum class Code : int { kOk, kUnavailable, kOutOfMemory, kUnsupported, kFailed };
enum class Type : int { kF32, kF16, kBf16, kFp8 };               // kFp8: e4m3, of products; no tensor has it
enum class Act : int { kGelu, kGeluTanh, kRelu, kSilu, kTanh };  // as rerank::Activation

struct Tensor {
  const void* data = nullptr;  // may be unaligned
  Type type = Type::kF32;
  uint64_t count = 0;
};

struct LinearSpec {  // weight [out, in], bias [out] (count 0: zeros); out 0: there is none
  Tensor weight, bias;
  uint32_t out = 0, in = 0;
};

struct NormSpec {  // gamma.count 0: there is none; beta.count 0: zeros
  Tensor gamma, beta;
};

struct PatternSpec {      // as model::Attention; tensors are fp32, count 0: there is none
  uint32_t window = 0;    // keys at most so many positions away, of causal attention the last so many; 0: all
  uint32_t causal = 0;    // keys up to the query's own
  float scale = 0;        // of products of queries and keys; 0: 1 / sqrt(head size)
  float softcap = 0;      // scores are cap x tanh(score / cap); 0: not
  Tensor slopes, angles;  // ALiBi's [heads]; RoPE's [positions][2][head size / 2] (engine/attention_pattern.h)
};

// What relative positions do to scores. Tensors are fp32, count 0: there is none. Rows are distances, the query's
// position minus the key's, from -reach to reach; what is farther away is as the outermost.
struct RelativeSpec {
  Tensor keys, queries;  // [2 reach + 1][hidden]: queries are multiplied by the first, keys by the second
  Tensor bias;           // [heads][2 reach + 1], added to scores
  uint32_t reach = 0;
};

struct ExpertSpec {           // without biases
  LinearSpec gate, up, down;  // gate: where the model's feed-forwards are gated
};

struct LayerSpec {
  LinearSpec query, key, value, attention_output, gate, up, down;  // gate: of gated feed-forwards, what is activated
  NormSpec attention_norm, output_norm;
  PatternSpec pattern;
  uint32_t pre_norm = 0;  // as model::NormPlacement::kPre
  RelativeSpec relative;
  NormSpec query_norm, key_norm;                 // of each head [head size]: RMS norms
  NormSpec attention_sum_norm, output_sum_norm;  // of what a pre-norm block adds, before it is added
  // From minor 1 on. Of a model with global_first: what the first query, which sees all keys, and those keys and values
  // are made with.
  LinearSpec global_query, global_key, global_value;
  // A feed-forward of experts, where router.out is not 0: a token goes through the `chosen` (of the model) of them with
  // the largest weights, softmax of the router's outputs. Of the three, `gate`, `up` and `down` have no tensors then.
  LinearSpec router;
  const ExpertSpec* experts = nullptr;  // [router.out]
  Tensor experts_bias;                  // [hidden], added to what they give together; count 0: none
};

// As model::ScoredRows. kMarked, from minor 3 on: the head makes a vector of head_output.out numbers of each token that
// BatchSpec::marked_rows names, output(act(dense(row))); models with a norm or a softcap in it have it not.
enum class Scored : uint32_t { kFirst, kMean, kLast, kMeanOfLogits, kMarked };

struct ModelSpec {
  size_t struct_size = sizeof(ModelSpec);
  size_t layer_size = sizeof(LayerSpec);  // bytes from one of `layer` to the next
  uint32_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_size = 0, intermediate = 0, embedding = 0, labels = 1;
  uint32_t position_offset = 0;
  float epsilon = 0;
  Act activation = Act::kGelu, head_activation = Act::kTanh;
  uint32_t gated = 0;                 // the layers' feed-forwards
  uint32_t fast_accumulation = 0;     // of FP8 products: faster, less exact
  uint32_t rms = 0;                   // norms of rows are RMS norms, as model::NormKind::kRms
  Tensor words, positions, segments;  // count 0: there is no table
  NormSpec embedding_norm, final_norm, head_norm;
  float head_epsilon = 0;  // of head_norm
  float head_softcap = 0;  // of a label's output; 0: none; not of kMeanOfLogits
  Scored scored = Scored::kFirst;
  LinearSpec projection, head_dense, head_output;  // head_dense.out 0: the head is head_output alone
  // Not 0: passes that end after that layer (from 1) or later read outputs[layers - first_output], and not
  // head_output.
  uint32_t first_output = 0;
  const LinearSpec* outputs = nullptr;
  const LayerSpec* layer = nullptr;  // [layers]
  // From minor 1 on. After the first block, where convolution.out is not 0: stream = norm(stream + act(convolution of
  // the embedding)), as a linear layer over the rows around each, the first of them first; outside of a sequence they
  // are zero.
  LinearSpec convolution;  // [hidden, convolution_width x hidden]
  NormSpec convolution_norm;
  uint32_t convolution_width = 0;  // odd
  Act convolution_activation = Act::kTanh;
  uint32_t experts = 0, chosen = 0;  // of each block that has some
  uint32_t normalized_shares = 0;    // the weights of the chosen ones sum to 1
  // Windows of attention also have each sequence's first key, and its first query sees all keys.
  uint32_t global_first = 0;
};

struct BatchSpec {  // as rerank::Batch
  size_t struct_size = sizeof(BatchSpec);
  const int32_t* ids = nullptr;
  const int32_t* segments = nullptr;
  const uint32_t* offsets = nullptr;
  const uint32_t* queries = nullptr;  // [sequences]: tokens that are the query's (engine/depth/pooling.h), for step()
  uint32_t sequences = 0;
  // Sequences of causal attention that begin alike: `shared` parts come before them in ids, segments and offsets, and
  // behind[i] is the part that sequence i goes on from, or UINT32_MAX; its own tokens are then those behind it. Such a
  // batch is only launched, to its full depth: no step(), no keep().
  uint32_t shared = 0;
  const uint32_t* behind = nullptr;  // [sequences]; null: shared is 0
  // From minor 2 on. Prefixes that are put together: row i of them is a slot of keep_prefixes(), or kOwnRow | a token
  // of ids. Run r, of the shared parts and then of the sequences, goes on from prefix_counts[r] of them, from
  // prefix_begins[r] on; 0: from none, or from what behind says. Such a batch, too, is only launched, to its full
  // depth.
  uint32_t prefix_row_count = 0, keep_count = 0;
  const uint32_t* prefix_rows = nullptr;
  const uint32_t *prefix_begins = nullptr, *prefix_counts = nullptr;  // [shared + sequences]; null: all are 0
  // Tokens keep_rows[i] of ids are kept in slots keep_slots[i], which are none of prefix_rows.
  const uint32_t *keep_rows = nullptr, *keep_slots = nullptr;
  // From minor 3 on, of a model with Scored::kMarked: one token of ids at least, rising. Such a batch is only launched:
  // no step(), no keep(), and nothing in it is shared.
  uint32_t marked_count = 0;
  const uint32_t* marked_rows = nullptr;
};

// Which of cuBLASLt's algorithms was the fastest for a product y [m, n] = x [m, k] W^T + b, and its time. To be kept,
// and given back where identity() is the same: cuBLASLt promises that its words mean the same there.
struct TunedProduct {
  int32_t type = 0, epilogue = 0;  // as the library numbers them
  uint32_t m = 0, n = 0, k = 0;
  uint32_t alignment = 0;                            // bytes, of W
  uint32_t candidates = 0;                           // that were compared
  float microseconds = 0, untuned_microseconds = 0;  // its time, and that of what would be taken untried
  uint32_t reserved = 0;
  uint64_t algorithm[8] = {};
};

struct Engine;

struct Plugin {
  size_t struct_size = sizeof(Plugin);
  uint32_t major = kPluginMajor, minor = kPluginMinor;
  // What the library is made of and where cuBLASLt was found; needs no device and no driver.
  Code (*about)(char* text, size_t text_size, char* error, size_t error_size);
  // How many devices there are; kUnavailable without a driver that is new enough, or without a device: which, and what
  // to do.
  Code (*devices)(int* count, char* error, size_t error_size);
  // "NVIDIA H100, sm_90, 78 GiB"; kUnavailable where it has not this precision.
  Code (*describe)(int device, Type precision, char* text, size_t text_size, char* error, size_t error_size);
  Code (*open)(const ModelSpec& model, Type precision, int device, Engine** engine, char* error, size_t error_size);
  // A batch, in this order: start, any number of step and keep, launch, finish. Up to launch() there is one batch at a
  // time; finish() may come after the launch of the next batch, and be called beside anything of that. After a failure
  // of any of them start begins the next one; after kOutOfMemory a smaller batch may fit; a batch that was launched
  // before is finished all the same. Results are valid with kOk.
  //
  // Takes the batch to the device; it is not looked at again. slot: below kSlots, of no batch that is to be finished
  // yet.
  Code (*start)(Engine* engine, uint32_t slot, const BatchSpec& batch, char* error, size_t error_size);
  // The next layer, of all tokens. pooled [sequences, 3 hidden]: what exits read after it (engine/depth/pooling.h);
  // may be null.
  Code (*step)(Engine* engine, float* pooled, char* error, size_t error_size);
  // Goes on with `count` > 0 of the sequences, rising numbers among those there are; the others leave.
  Code (*keep)(Engine* engine, const uint32_t* sequences, uint32_t count, char* error, size_t error_size);
  // The layers that are left of the first `layers`, at least one, and the model's head. Waits for nothing, unless
  // products have to be tuned.
  Code (*launch)(Engine* engine, uint32_t layers, char* error, size_t error_size);
  // Waits for the batch in the slot: logits[sequences]; of a model with Scored::kMarked vectors, one behind the other:
  // logits[marked_count x head_output.out].
  Code (*finish)(Engine* engine, uint32_t slot, float* logits, char* error, size_t error_size);
  // How many tokens a batch may have by the memory that is free now; meant for an engine that has had no batch yet. 0:
  // it is full.
  Code (*batch_tokens)(Engine* engine, uint64_t* tokens, char* error, size_t error_size);
  // What a TunedProduct holds for: the device's name and compute capability, versions of driver, runtime and cuBLASLt.
  Code (*identity)(int device, char* text, size_t text_size, char* error, size_t error_size);
  // Products that were tuned before, for an engine that has had no batch yet. What this device cannot do is passed
  // over.
  Code (*recall)(Engine* engine, const TunedProduct* products, uint32_t count, char* error, size_t error_size);
  // All products that are tuned, if there are new ones since the last call; else none. Valid until the engine's next
  // call.
  Code (*learned)(Engine* engine, const TunedProduct** products, uint32_t* count, char* error, size_t error_size);
  // How many of cuBLASLt's guesses are tried for a product, the best first; 1: the first is taken untried. For an
  // engine that has had no batch yet.
  Code (*limit_tuning)(Engine* engine, uint32_t candidates, char* error, size_t error_size);
  // Whether small batches of full depth are started as CUDA graphs; they are, until this says otherwise.
  Code (*use_graphs)(Engine* engine, int on, char* error, size_t error_size);
  // Whether attention may take wgmma, Hopper's products of four warps; it does not, until this says so. It then does
  // where the device has it, the model's heads have 64 or 128 dimensions, the type 16 bits, and a comparison with
  // mma.sync on the device agrees. text: "wgmma", or "mma.sync" and why.
  Code (*use_wgmma)(Engine* engine, int on, char* text, size_t text_size, char* error, size_t error_size);
  void (*close)(Engine* engine);
  // From minor 2 on. Of a model with causal attention alone, before batch_tokens(): takes at most so many bytes of the
  // device's memory for keys and values that batches keep for later ones, whose slots are numbers below `slots`, a
  // token each. What a batch that failed was to keep is not there.
  Code (*keep_prefixes)(Engine* engine, uint64_t bytes, uint32_t* slots, char* error, size_t error_size);
};

// Of a library of minor 0: what every one of this major number has.
inline constexpr size_t kFirstPluginBytes = offsetof(Plugin, close) + sizeof(Plugin::close);

}  // namespace rerank::engine::cuda

// The one symbol that the program looks up.
extern "C" const rerank::engine::cuda::Plugin* rerank_cuda_plugin();
