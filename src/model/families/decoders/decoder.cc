// What the causal models of the Llama kind share, as transformers' modeling_llama.py: pre-norm blocks with RMS norms,
// grouped heads of keys and values, rotary positions, gated feed-forwards, a final norm; and their heads: the logits of
// answers in the vocabulary at the last token (...ForCausalLM), or a linear layer there (...ForSequenceClassification).
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

using Object = simdjson::dom::object;

// A number of a JSON object that may be a whole one.
double number_of(ConfigReader& config, const Object& object, const char* name, std::optional<double> fallback) {
  double value = 0;
  if (object[name].get(value) == simdjson::SUCCESS) return value;
  if (!fallback)
    config.fail(absl::InvalidArgumentError(str_cat(config.json().origin(), ": the RoPE scaling lacks ", name)));
  return fallback.value_or(1);
}

void read_scaling(ConfigReader& config, const Object& scaling, Rope& rope) {
  std::string_view type = "default";
  if (scaling["rope_type"].get(type)) std::ignore = scaling["type"].get(type);
  if (type == "default") return;
  const auto positive = [&](const char* name, std::optional<double> fallback = {}) {
    const double value = number_of(config, scaling, name, fallback);
    if (!(value > 0 && value < 1e9))
      config.fail(
          absl::InvalidArgumentError(str_cat(config.json().origin(), ": RoPE scaling: ", name, " is not above 0")));
    return static_cast<float>(value);
  };
  if (type == "linear") {
    rope.divisor = positive("factor");
  } else if (type == "llama3") {
    rope.llama3 = positive("factor");
    rope.low_factor = positive("low_freq_factor");
    rope.high_factor = positive("high_freq_factor");
    rope.original = positive("original_max_position_embeddings");
    if (rope.high_factor <= rope.low_factor) {
      config.fail(absl::InvalidArgumentError(
          str_cat(config.json().origin(), ": RoPE scaling: high_freq_factor is not above low_freq_factor")));
    }
  } else {
    config.fail(absl::UnimplementedError(str_cat(config.json().origin(), ": RoPE scaling of type ", type,
                                                 " is not supported (default, linear, llama3 are)")));
  }
}

void read_attention(ConfigReader& config, Architecture& a, Attention& attention) {
  attention.heads = config.size("num_attention_heads", kMaxWidth);
  attention.kv_heads = config.size("num_key_value_heads", kMaxWidth, attention.heads);
  if (attention.heads % attention.kv_heads != 0) {
    config.fail(absl::InvalidArgumentError(str_cat(config.json().origin(), ": num_attention_heads ", attention.heads,
                                                   " is not a multiple of num_key_value_heads ", attention.kv_heads)));
  }
  attention.head_size = config.size("head_dim", kMaxWidth, std::max<size_t>(1, a.hidden / attention.heads));
  if (attention.head_size % 2 != 0)
    config.fail(absl::InvalidArgumentError(config.json().origin() + ": head_dim is not even: RoPE turns pairs"));
  attention.bias = attention.output_bias = config.boolean("attention_bias", false);
  attention.mask = MaskKind::kCausal;
  attention.position = PositionKind::kRope;
}

void read_head(ConfigReader& config, const Answers& answers, Architecture& a) {
  a.scoring.rows = ScoredRows::kLast;
  a.scoring.dense = a.scoring.output_bias = false;
  if (!config.architecture().ends_with("ForCausalLM")) return;
  a.scoring.answers = answers;
  a.scoring.labels = 1;
}

}  // namespace

Rope read_rope(ConfigReader& config, double theta) {
  Rope rope;
  const Object root = config.json().root();
  Object parameters, scaling;
  if (root["rope_parameters"].get(parameters) == simdjson::SUCCESS) {
    theta = number_of(config, parameters, "rope_theta", theta);
    if (number_of(config, parameters, "partial_rotary_factor", 1) != 1)
      config.fail(absl::UnimplementedError(config.json().origin() + ": partial_rotary_factor is not supported"));
    read_scaling(config, parameters, rope);
  } else {
    theta = config.number("rope_theta", theta);
    if (root["rope_scaling"].get(scaling) == simdjson::SUCCESS) read_scaling(config, scaling, rope);
  }
  if (!(theta > 0 && theta < 1e12))
    config.fail(absl::InvalidArgumentError(config.json().origin() + ": rope_theta is not above 0"));
  rope.theta = static_cast<float>(theta);
  return rope;
}

void read_decoder(ConfigReader& config, const DecoderFields& fields, Architecture& a) {
  const size_t layers = config.size("num_hidden_layers", kMaxLayers);
  a.hidden = config.size("hidden_size", kMaxWidth);
  a.embedding.vocabulary = config.size("vocab_size", kMaxRows);
  a.embedding.width = a.hidden;
  a.embedding.norm = false;
  a.max_length = config.size("max_position_embeddings", kMaxRows);
  a.norm = NormKind::kRms;
  a.norm_bias = false;
  a.norm_epsilon = config.epsilon("rms_norm_eps", fields.norm_epsilon);
  a.final_norm = true;
  Block block;
  block.placement = NormPlacement::kPre;
  read_attention(config, a, block.attention);
  block.attention.rope = read_rope(config, fields.rope_theta);
  FeedForward& ff = block.feed_forward;
  ff.width = config.size("intermediate_size", kMaxWidth * 4);
  ff.activation = config.activation(fields.activation, "silu");
  ff.gate = GateHalf::kFirst;
  ff.bias = ff.output_bias = config.boolean("mlp_bias", false);
  a.blocks.assign(layers, block);
  a.input.kind = InputTemplate::Kind::kPrompt;
  read_head(config, fields.answers, a);
}

TensorNames decoder_names(const Architecture& a) {
  TensorNames names;
  names.words = "model.embed_tokens.weight";
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat("model.layers.", i), attention = layer + ".self_attn";
    LayerNames& part = names.layers.emplace_back();
    part.query = {attention + ".q_proj"};
    part.key = {attention + ".k_proj"};
    part.value = {attention + ".v_proj"};
    part.query_norm = attention + ".q_norm";
    part.key_norm = attention + ".k_norm";
    part.attention_output = {attention + ".o_proj"};
    part.attention_norm = layer + ".input_layernorm";
    part.gate = {layer + ".mlp.gate_proj"};
    part.up = {layer + ".mlp.up_proj"};
    part.down = {layer + ".mlp.down_proj"};
    part.output_norm = layer + (a.blocks[i].sum_norms ? ".pre_feedforward_layernorm" : ".post_attention_layernorm");
    part.attention_sum_norm = layer + ".post_attention_layernorm";
    part.output_sum_norm = layer + ".post_feedforward_layernorm";
  }
  names.final_norm = "model.norm";
  names.head_output = {a.scoring.answers ? "lm_head" : "score"};
  return names;
}

}  // namespace rerank::model
