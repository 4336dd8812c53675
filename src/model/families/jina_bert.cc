// JinaBERT (Günther et al. 2023): BERT's post-norm blocks with symmetric ALiBi instead of positions, and gated
// feed-forwards. jina-reranker-v1-turbo and -tiny. Their config.json says model_type "bert"; position_embedding_type
// tells.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

bool recognize(const JsonFile& json) {
  std::string_view position;
  return json.root()["position_embedding_type"].get(position) == simdjson::SUCCESS && position == "alibi";
}

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {}, a);
  a.max_length = config.size("max_position_embeddings", kMaxRows);  // a limit; there is no table
  read_segment_table(config, a);
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  const std::string kind = config.text("feed_forward_type", "geglu");
  if (kind != "geglu" && kind != "reglu") {
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": feed_forward_type: ", kind, " is not supported (geglu, reglu are)")));
  }
  for (Block& block : a.blocks) {
    block.attention.position = PositionKind::kAlibi;
    block.feed_forward.gate = GateHalf::kFirst;
    block.feed_forward.bias = false;
    if (kind == "reglu") block.feed_forward.activation = Activation::kRelu;
  }
  a.scoring.activation = Activation::kTanh;
  a.input.segments = true;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = bert_encoder_names(a, "bert");
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat("bert.encoder.layer.", i), inner = layer + ".mlp.gated_layers";
    const size_t width = a.blocks[i].feed_forward.width;
    names.layers[i].gate = {inner, 0, 2 * width};
    names.layers[i].up = {inner, width, 2 * width};
    names.layers[i].down = {layer + ".mlp.wo"};
    names.layers[i].output_norm = layer + ".mlp.layernorm";
  }
  names.head_dense = {"bert.pooler.dense"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"JinaBertForSequenceClassification"};

}  // namespace

const Family kJinaBertFamily = {"jina-bert", kArchitectures, {}, "num_hidden_layers", read, names, recognize};

}  // namespace rerank::model
