// RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT: BERT's blocks; positions begin after the padding id, token
// types are one row, and the head is its own pair of linear layers with tanh between.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {}, a);
  read_position_table(config, true, a);
  read_segment_table(config, a);
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  config.require("position_embedding_type", "absolute");
  config.refuse_if("is_decoder", "decoders of this family are not supported");
  a.scoring.activation = Activation::kTanh;
}

// jina-reranker-v2 is an XLM-RoBERTa under the names of flash-attention's BERT, with packed queries, keys and values.
void take_flash_names(const Architecture& a, TensorNames& names) {
  names.embedding_norm = "roberta.emb_ln";
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat("roberta.encoder.layers.", i), qkv = layer + ".mixer.Wqkv";
    LayerNames& part = names.layers[i];
    part.query = {qkv, 0, 3 * a.hidden};
    part.key = {qkv, a.hidden, 3 * a.hidden};
    part.value = {qkv, 2 * a.hidden, 3 * a.hidden};
    part.attention_output = {layer + ".mixer.out_proj"};
    part.attention_norm = layer + ".norm1";
    part.gate = {};
    part.up = {layer + ".mlp.fc1"};
    part.down = {layer + ".mlp.fc2"};
    part.output_norm = layer + ".norm2";
  }
}

TensorNames names(const Architecture& a, const TensorFiles& files) {
  TensorNames names = bert_encoder_names(a, "roberta");
  if (files.tensors().contains("roberta.emb_ln.weight")) take_flash_names(a, names);
  names.head_dense = {"classifier.dense"};
  names.head_output = {"classifier.out_proj"};
  return names;
}

constexpr std::string_view kArchitectures[] = {
    "RobertaForSequenceClassification", "XLMRobertaForSequenceClassification", "CamembertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"roberta", "xlm-roberta", "camembert"};

}  // namespace

const Family kRobertaFamily = {"roberta", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
