// ALBERT (Lan et al. 2020), as transformers' modeling_albert.py: BERT with narrow tables and few sets of tensors, which
// the blocks of a group share.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {.activation_fallback = "gelu_new"}, a);
  read_position_table(config, false, a);
  read_segment_table(config, a);
  a.embedding.width = config.size("embedding_size", kMaxWidth, 128);
  a.embedding.projected = true;
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  if (config.size("inner_group_num", kMaxLayers, 1) != 1)
    config.fail(absl::UnimplementedError(config.json().origin() + ": inner_group_num that is not 1 is not supported"));
  a.groups = config.size("num_hidden_groups", kMaxLayers, 1);
  if (a.groups > a.layers())
    config.fail(absl::InvalidArgumentError(config.json().origin() + ": num_hidden_groups is above num_hidden_layers"));
  a.scoring.activation = Activation::kTanh;
  a.input.segments = true;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = bert_encoder_names(a, "albert");
  names.embedding_projection = {"albert.encoder.embedding_hidden_mapping_in"};
  for (size_t i = 0; i < a.layers(); ++i) {
    const size_t group = i * a.groups / a.layers();
    const std::string layer = str_cat("albert.encoder.albert_layer_groups.", group, ".albert_layers.0");
    LayerNames& part = names.layers[i];
    part.query = {layer + ".attention.query"};
    part.key = {layer + ".attention.key"};
    part.value = {layer + ".attention.value"};
    part.attention_output = {layer + ".attention.dense"};
    part.attention_norm = layer + ".attention.LayerNorm";
    part.up = {layer + ".ffn"};
    part.down = {layer + ".ffn_output"};
    part.output_norm = layer + ".full_layer_layer_norm";
  }
  names.head_dense = {"albert.pooler"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"AlbertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"albert"};

}  // namespace

const Family kAlbertFamily = {"albert", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
