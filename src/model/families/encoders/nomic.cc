// NomicBERT (Nussbaum et al. 2024), as transformers' modeling_nomic_bert.py: BERT with rotary positions, gated
// feed-forwards and no biases but those of norms and the head. And as its makers' own code has it (the field n_embd):
// biases where config.json says so, ungated feed-forwards, and experts (2025, nomic-embed-text-v2-moe).
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

bool is_own_code(const JsonFile& json) { return !json.at("n_embd").missing(); }

void read_plain(ConfigReader& config, Architecture& a) {
  if (!config.json().at("num_experts").is_null() && config.number("num_experts", 0) > 1) {
    return config.fail(absl::UnimplementedError(
        config.json().origin() + ": num_experts: experts are read with the fields of NomicBERT's own code (n_embd)"));
  }
  read_encoder(config, {.activation_fallback = "silu"}, a);
  a.max_length = config.size("max_position_embeddings", kMaxRows, 2048);  // a limit; there is no table
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  const Rope rope = read_rope(config, 1000);
  for (Block& block : a.blocks) {
    if (config.size("head_dim", kMaxWidth, block.attention.head_size) != block.attention.head_size)
      config.fail(absl::UnimplementedError(config.json().origin() + ": head_dim that is not hidden / heads"));
    block.attention.rope = rope;
    block.attention.bias = block.attention.output_bias = false;
    block.feed_forward.gate = GateHalf::kFirst;
    block.feed_forward.bias = block.feed_forward.output_bias = false;
  }
}

// What would change scores and is not computed.
void refuse_own(ConfigReader& config) {
  for (const char* field : {"prenorm", "parallel_block", "use_rms_norm", "causal", "rotary_emb_interleaved",
                            "expert_choice_router", "add_post_ln"})
    config.refuse_if(field, "this form of NomicBERT is not supported");
  const std::string& origin = config.json().origin();
  if (config.number("rotary_emb_fraction", 1) != 1)
    config.fail(absl::UnimplementedError(origin + ": rotary_emb_fraction that is not 1 is not supported"));
  if (config.number("num_shared_experts", 0) != 0)
    config.fail(absl::UnimplementedError(origin + ": num_shared_experts is not supported"));
  for (const char* field : {"rotary_emb_scale_base", "rotary_scaling_factor"}) {
    if (!config.json().at(field).missing() && !config.json().at(field).is_null())
      config.fail(absl::UnimplementedError(str_cat(origin, ": ", field, " is not supported")));
  }
}

// Of the blocks with odd numbers where moe_every_n_layers is 2, the feed-forward is one of num_experts, of which a
// token goes through moe_top_k.
void read_experts(ConfigReader& config, Architecture& a) {
  const size_t count = config.json().at("num_experts").is_null() ? 0 : config.size("num_experts", 4096);
  if (count <= 1) return;
  const size_t every = config.size("moe_every_n_layers", kMaxLayers, 2), chosen = config.size("moe_top_k", 4096, 2);
  if (chosen > count) {
    config.fail(absl::InvalidArgumentError(
        str_cat(config.json().origin(), ": moe_top_k ", chosen, " is above num_experts ", count)));
  }
  if (a.blocks[0].feed_forward.gate != GateHalf::kNone)
    config.fail(absl::UnimplementedError(config.json().origin() + ": experts with gates are not supported"));
  const bool normalized = config.boolean("moe_normalize_expert_weights", false);
  for (size_t i = 0; i < a.layers(); ++i) {
    if (i % every != 1) continue;
    FeedForward& ff = a.blocks[i].feed_forward;
    ff.experts = Experts{.count = count, .chosen = chosen, .normalized = normalized, .bias = true};
    ff.bias = ff.output_bias = false;
  }
}

void read_own(ConfigReader& config, Architecture& a) {
  refuse_own(config);
  const std::string activation = config.text("activation_function", "gelu");
  const bool gated = activation == "swiglu";
  read_encoder(config,
               {.hidden = "n_embd",
                .layers = "n_layer",
                .heads = "n_head",
                .intermediate = "n_inner",
                .activation = gated ? "" : "activation_function"},
               a);
  a.max_length = config.size("n_positions", kMaxRows, 2048);
  // Beyond this its makers stretch the rotations by each text's length.
  const double trained = config.number("max_trained_positions", 0);
  if (trained > 0 && trained < static_cast<double>(a.max_length)) a.max_length = static_cast<size_t>(trained);
  a.norm_epsilon = config.epsilon("layer_norm_epsilon", 1e-12);
  const double theta = config.number("rotary_emb_base", 10000);
  if (!(theta > 0 && theta < 1e12))
    config.fail(absl::InvalidArgumentError(config.json().origin() + ": rotary_emb_base is not above 0"));
  for (Block& block : a.blocks) {
    block.attention.rope.theta = static_cast<float>(theta);
    block.attention.bias = block.attention.output_bias = config.boolean("qkv_proj_bias", true);
    block.feed_forward.bias = config.boolean("mlp_fc1_bias", true);
    block.feed_forward.output_bias = config.boolean("mlp_fc2_bias", true);
    if (!gated) continue;
    block.feed_forward.activation = Activation::kSilu;
    block.feed_forward.gate = GateHalf::kFirst;
  }
  if (!a.blocks.empty()) read_experts(config, a);
}

void read(ConfigReader& config, Architecture& a) {
  is_own_code(config.json()) ? read_own(config, a) : read_plain(config, a);
  read_segment_table(config, a);
  a.input.segments = a.embedding.segment_rows > 1;
  for (Block& block : a.blocks) block.attention.position = PositionKind::kRope;
  a.scoring.activation = Activation::kTanh;
}

void name_experts(const std::string& mlp, const FeedForward& ff, LayerNames& part) {
  part.router = {mlp + ".router.layer"};
  part.experts_bias = mlp + ".experts.bias";
  const size_t width = ff.width, rows = width * ff.experts->count;
  part.experts = [mlp, width, rows](size_t expert) {
    using Rows = TensorSource::Rows;
    const std::string both = mlp + ".experts.mlp.";
    return ExpertNames{.gate = {},
                       .up = {both + "w1", expert * width, rows, Rows::kBareOutputs},
                       .down = {both + "w2", expert * width, rows, Rows::kBareInputs}};
  };
}

TensorNames names(const Architecture& a, const TensorFiles& files) {
  TensorNames names;
  // transformers' name of the body, or its makers'; without either the binder finds the tensors of both.
  const auto& all = files.tensors();
  const std::string body = all.contains("bert.emb_ln.weight") ? "bert." : "nomic_bert.";
  names.words = body + "embeddings.word_embeddings.weight";
  names.segments = body + "embeddings.token_type_embeddings.weight";
  names.embedding_norm = body + "emb_ln";
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat(body, "encoder.layers.", i), qkv = layer + ".attn.Wqkv", mlp = layer + ".mlp";
    LayerNames& part = names.layers.emplace_back();
    part.query = {qkv, 0, 3 * a.hidden};
    part.key = {qkv, a.hidden, 3 * a.hidden};
    part.value = {qkv, 2 * a.hidden, 3 * a.hidden};
    part.attention_output = {layer + ".attn.out_proj"};
    part.attention_norm = layer + ".norm1";
    const FeedForward& ff = a.blocks[i].feed_forward;
    part.gate = {mlp + ".fc12"};
    part.up = {mlp + (ff.gate == GateHalf::kNone ? ".fc1" : ".fc11")};
    part.down = {mlp + ".fc2"};
    if (ff.experts) name_experts(mlp, ff, part);
    part.output_norm = layer + ".norm2";
  }
  names.head_dense = {body + "pooler.dense"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"NomicBertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"nomic_bert"};

// Its makers' code counts layers under another field.
bool recognize(const JsonFile& json) {
  return is_own_code(json) && json.get_string("model_type", "").value_or("") == "nomic_bert";
}

}  // namespace

const Family kNomicFamily = {"nomic", kArchitectures, kModelTypes, "num_hidden_layers", read, names};
const Family kNomicOwnFamily = {"nomic-own", {}, {}, "n_layer", read, names, recognize};

}  // namespace rerank::model
