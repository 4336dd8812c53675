// NomicBERT (Nussbaum et al. 2024), as transformers' modeling_nomic_bert.py: BERT with rotary positions, gated
// feed-forwards and no biases but those of norms and the head. Its form with experts (nomic-embed-text-v2-moe) is
// refused: no reranker of it is known.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  if (!config.json().at("num_experts").is_null() && config.number("num_experts", 0) > 1) {
    return config.fail(absl::UnimplementedError(
        config.json().origin() + ": num_experts: NomicBERT with experts is not supported; use an exported model.onnx"));
  }
  if (!config.json().at("n_embd").missing()) {
    return config.fail(absl::UnimplementedError(
        config.json().origin() +
        ": n_embd: the fields of NomicBERT's own code are not read; load and save it once with transformers 5"));
  }
  read_encoder(config, {.activation_fallback = "silu"}, a);
  a.max_length = config.size("max_position_embeddings", kMaxRows, 2048);  // a limit; there is no table
  read_segment_table(config, a);
  a.input.segments = true;
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  const Rope rope = read_rope(config, 1000);
  for (Block& block : a.blocks) {
    if (config.size("head_dim", kMaxWidth, block.attention.head_size) != block.attention.head_size)
      config.fail(absl::UnimplementedError(config.json().origin() + ": head_dim that is not hidden / heads"));
    block.attention.position = PositionKind::kRope;
    block.attention.rope = rope;
    block.attention.bias = block.attention.output_bias = false;
    block.feed_forward.gate = GateHalf::kFirst;
    block.feed_forward.bias = block.feed_forward.output_bias = false;
  }
  a.scoring.activation = Activation::kTanh;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names;
  const std::string body = "nomic_bert.";
  names.words = body + "embeddings.word_embeddings.weight";
  names.segments = body + "embeddings.token_type_embeddings.weight";
  names.embedding_norm = body + "emb_ln";
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat(body, "encoder.layers.", i), qkv = layer + ".attn.Wqkv";
    LayerNames& part = names.layers.emplace_back();
    part.query = {qkv, 0, 3 * a.hidden};
    part.key = {qkv, a.hidden, 3 * a.hidden};
    part.value = {qkv, 2 * a.hidden, 3 * a.hidden};
    part.attention_output = {layer + ".attn.out_proj"};
    part.attention_norm = layer + ".norm1";
    part.gate = {layer + ".mlp.fc12"};
    part.up = {layer + ".mlp.fc11"};
    part.down = {layer + ".mlp.fc2"};
    part.output_norm = layer + ".norm2";
  }
  names.head_dense = {body + "pooler.dense"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"NomicBertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"nomic_bert"};

}  // namespace

const Family kNomicFamily = {"nomic", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
