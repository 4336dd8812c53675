// ModernBERT (Warner et al. 2024), as transformers' modeling_modernbert.py: pre-norm blocks, of which the first reads
// the embedding's norm as it is; rotary positions; gated feed-forwards; every n-th block sees the whole sequence, the
// others a window; a head of dense, activation, norm, linear over the first token or the mean of all. Granite's and
// GTE's English rerankers, and Ettin's encoders, are of it.
#include <optional>

#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

bool is_local_by_type(ConfigReader& config, const simdjson::dom::array& types, size_t layer) {
  std::string_view type;
  if (types.at(layer).get(type) || (type != "full_attention" && type != "sliding_attention")) {
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": layer_types[", layer, "] is neither full_attention nor sliding_attention")));
  }
  return type == "sliding_attention";
}

// Which blocks see a window only: `layer_types`, or before transformers 5 `global_attn_every_n_layers`.
std::vector<bool> read_local_layers(ConfigReader& config, size_t layers) {
  std::vector<bool> local(layers);
  simdjson::dom::array types;
  if (config.json().root()["layer_types"].get(types) == simdjson::SUCCESS) {
    if (types.size() != layers) {
      config.fail(absl::InvalidArgumentError(
          str_cat(config.json().origin(), ": layer_types has ", types.size(), " entries for ", layers, " layers")));
      return local;
    }
    for (size_t i = 0; i < layers; ++i) local[i] = is_local_by_type(config, types, i);
    return local;
  }
  const size_t every = config.size("global_attn_every_n_layers", kMaxLayers, 3);
  for (size_t i = 0; i < layers; ++i) local[i] = i % every != 0;
  return local;
}

// The base of one kind of block: `rope_parameters`, or the older field.
Rope read_rope(ConfigReader& config, const char* kind, const char* older_field, double fallback) {
  Rope rope;
  simdjson::dom::object parameters;
  double theta = 0;
  if (config.json().root()["rope_parameters"][kind].get(parameters) == simdjson::SUCCESS) {
    std::string_view type;
    if (parameters["rope_type"].get(type)) type = "default";
    if (type != "default") {
      config.fail(absl::UnimplementedError(str_cat(config.json().origin(), ": rope_parameters.", kind,
                                                   ".rope_type: ", type, " is not supported (default is)")));
    }
    if (parameters["rope_theta"].get(theta)) theta = fallback;
  } else {
    theta = config.number(older_field, fallback);
  }
  if (!(theta > 0 && theta < 1e12))
    config.fail(absl::InvalidArgumentError(str_cat(config.json().origin(), ": ", kind, ": rope_theta is not above 0")));
  rope.theta = static_cast<float>(theta);
  return rope;
}

void read_attention(ConfigReader& config, Architecture& a) {
  const std::vector<bool> local = read_local_layers(config, a.layers());
  const size_t window = config.size("local_attention", kMaxRows, 128);  // the whole of it: half on each side
  const Rope wide = read_rope(config, "full_attention", "global_rope_theta", 160000);
  const Rope narrow = read_rope(config, "sliding_attention", "local_rope_theta", 10000);
  const bool bias = config.boolean("attention_bias", false);
  for (size_t i = 0; i < a.layers(); ++i) {
    Attention& attention = a.blocks[i].attention;
    attention.mask = local[i] ? MaskKind::kWindow : MaskKind::kFull;
    attention.window = local[i] ? window / 2 : 0;
    attention.position = PositionKind::kRope;
    attention.rope = local[i] ? narrow : wide;
    attention.bias = attention.output_bias = bias;
  }
}

void read_scoring(ConfigReader& config, Architecture& a) {
  const std::string pooling = config.text("classifier_pooling", "cls");
  if (pooling != "cls" && pooling != "mean") {
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": classifier_pooling: ", pooling, " is not supported (cls, mean are)")));
  }
  a.scoring.rows = pooling == "mean" ? ScoredRows::kMean : ScoredRows::kFirst;
  a.scoring.activation = config.activation("classifier_activation");
  a.scoring.dense_bias = config.boolean("classifier_bias", false);
  a.scoring.norm = true;
  a.scoring.norm_bias = a.norm_bias;
  a.scoring.norm_epsilon = a.norm_epsilon;
}

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {.activation = "hidden_activation"}, a);
  a.max_length = config.size("max_position_embeddings", kMaxRows);  // a limit; there is no table
  a.norm_epsilon = config.epsilon("norm_eps", 1e-5);
  a.norm_bias = config.boolean("norm_bias", false);
  a.final_norm = true;
  const bool bias = config.boolean("mlp_bias", false);
  for (Block& block : a.blocks) {
    block.placement = NormPlacement::kPre;
    block.attention_norm = &block != &a.blocks[0];
    block.feed_forward.gate = GateHalf::kFirst;
    block.feed_forward.bias = block.feed_forward.output_bias = bias;
  }
  read_attention(config, a);
  read_scoring(config, a);
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names;
  names.words = "model.embeddings.tok_embeddings.weight";
  names.embedding_norm = "model.embeddings.norm";
  const size_t hidden = a.hidden;
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat("model.layers.", i), qkv = layer + ".attn.Wqkv", inner = layer + ".mlp.Wi";
    const size_t width = a.blocks[i].feed_forward.width;
    LayerNames& part = names.layers.emplace_back();
    part.query = {qkv, 0, 3 * hidden};
    part.key = {qkv, hidden, 3 * hidden};
    part.value = {qkv, 2 * hidden, 3 * hidden};
    part.attention_output = {layer + ".attn.Wo"};
    part.attention_norm = layer + ".attn_norm";
    part.gate = {inner, 0, 2 * width};
    part.up = {inner, width, 2 * width};
    part.down = {layer + ".mlp.Wo"};
    part.output_norm = layer + ".mlp_norm";
  }
  names.final_norm = "model.final_norm";
  names.head_dense = {"head.dense"};
  names.head_norm = "head.norm";
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"ModernBertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"modernbert"};

}  // namespace

const Family kModernBertFamily = {"modernbert", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
