// GTE "new" (Zhang et al. 2024, mGTE), as Alibaba-NLP/new-impl and transformers' modeling_gte.py: BERT's post-norm
// blocks with rotary positions and gated feed-forwards, whose packed projection has the gate in its second half.
#include <cmath>

#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

// A fixed NTK scaling by `factor` (new-impl): base theta x factor, and all frequencies divided by factor^(2 / head
// size).
Rope read_ntk(ConfigReader& config, const simdjson::dom::object& scaling, double theta, size_t head_size) {
  std::string_view type;
  double factor = 0;
  if (scaling["type"].get(type) || type != "ntk" || scaling["factor"].get(factor) || !(factor >= 1 && factor < 1e4)) {
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": rope_scaling: only {\"type\": \"ntk\", \"factor\": N} is supported")));
  }
  if (simdjson::dom::element mixed; scaling["mixed_b"].get(mixed) == simdjson::SUCCESS && !mixed.is_null())
    config.fail(absl::UnimplementedError(config.json().origin() + ": rope_scaling.mixed_b is not supported"));
  return {.theta = static_cast<float>(theta * factor),
          .divisor = static_cast<float>(std::pow(factor, 2.0 / static_cast<double>(head_size)))};
}

// transformers' own form: type "default", or "linear", which divides by the factor.
Rope read_parameters(ConfigReader& config, const simdjson::dom::object& parameters) {
  std::string_view type;
  double theta = 0, factor = 0;
  if (parameters["rope_type"].get(type)) type = "default";
  if (parameters["rope_theta"].get(theta)) theta = 160000;
  if (type != "linear" || parameters["factor"].get(factor)) factor = 1;
  if ((type != "default" && type != "linear") || !(theta > 0 && theta < 1e12) || !(factor > 0 && factor < 1e4)) {
    config.fail(absl::UnimplementedError(str_cat(config.json().origin(), ": rope_parameters: rope_type ", type,
                                                 " is not supported, or its numbers (default, linear are)")));
  }
  return {.theta = static_cast<float>(theta), .divisor = static_cast<float>(factor)};
}

Rope read_rope(ConfigReader& config, size_t head_size) {
  simdjson::dom::object object;
  if (config.json().root()["rope_parameters"].get(object) == simdjson::SUCCESS) return read_parameters(config, object);
  const double theta = config.number("rope_theta", 20000);
  if (!(theta > 0 && theta < 1e12))
    config.fail(absl::InvalidArgumentError(config.json().origin() + ": rope_theta is not above 0"));
  if (config.json().root()["rope_scaling"].get(object) == simdjson::SUCCESS)
    return read_ntk(config, object, theta, head_size);
  return {.theta = static_cast<float>(theta)};
}

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {}, a);
  a.max_length = config.size("max_position_embeddings", kMaxRows);  // a limit; there is no table
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  config.require("position_embedding_type", "rope");
  config.require("layer_norm_type", "layer_norm");
  config.refuse_if("logn_attention_scale", "attention scaled by the logarithm of the length is not supported");
  config.refuse_if("logn_attention_clip1", "attention scaled by the logarithm of the length is not supported");
  if (auto rows = config.json().get_size("type_vocab_size", 1); rows.ok() && *rows > 0) read_segment_table(config, a);
  if (!config.status().ok()) return;
  const Rope rope = read_rope(config, a.blocks[0].attention.head_size);
  for (Block& block : a.blocks) {
    block.attention.position = PositionKind::kRope;
    block.attention.rope = rope;
    block.feed_forward.gate = GateHalf::kSecond;
    block.feed_forward.bias = false;
  }
  a.scoring.activation = Activation::kTanh;
}

TensorNames names(const Architecture& a, const TensorFiles& files) {
  const std::string prefix = files.tensors().contains("gte.embeddings.word_embeddings.weight") ? "gte" : "new";
  TensorNames names = bert_encoder_names(a, prefix);
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat(prefix, ".encoder.layer.", i), qkv = layer + ".attention.qkv_proj",
                      inner = layer + ".mlp.up_gate_proj";
    const size_t width = a.blocks[i].feed_forward.width;
    LayerNames& part = names.layers[i];
    part.query = {qkv, 0, 3 * a.hidden};
    part.key = {qkv, a.hidden, 3 * a.hidden};
    part.value = {qkv, 2 * a.hidden, 3 * a.hidden};
    part.attention_output = {layer + ".attention.o_proj"};
    part.attention_norm = layer + ".attn_ln";
    part.gate = {inner, width, 2 * width};
    part.up = {inner, 0, 2 * width};
    part.down = {layer + ".mlp.down_proj"};
    part.output_norm = layer + ".mlp_ln";
  }
  const std::string pooler = prefix + ".pooler.dense";
  names.head_dense = {files.tensors().contains(pooler + ".weight") ? pooler : "pooler.dense"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"NewForSequenceClassification", "GteForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"new", "gte"};

}  // namespace

const Family kGteFamily = {"gte", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
