// DistilBERT (Sanh et al. 2019): BERT's blocks under names of its own, no token types, and relu in the head.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config,
               {.hidden = "dim",
                .layers = "n_layers",
                .heads = "n_heads",
                .intermediate = "hidden_dim",
                .activation = "activation"},
               a);
  read_position_table(config, false, a);
  a.norm_epsilon = 1e-12f;  // config.json has no setting for it
  a.scoring.activation = Activation::kRelu;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names;
  names.words = "distilbert.embeddings.word_embeddings.weight";
  names.positions = "distilbert.embeddings.position_embeddings.weight";
  names.embedding_norm = "distilbert.embeddings.LayerNorm";
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat("distilbert.transformer.layer.", i);
    LayerNames& part = names.layers.emplace_back();
    part.query = {layer + ".attention.q_lin"};
    part.key = {layer + ".attention.k_lin"};
    part.value = {layer + ".attention.v_lin"};
    part.attention_output = {layer + ".attention.out_lin"};
    part.attention_norm = layer + ".sa_layer_norm";
    part.up = {layer + ".ffn.lin1"};
    part.down = {layer + ".ffn.lin2"};
    part.output_norm = layer + ".output_layer_norm";
  }
  names.head_dense = {"pre_classifier"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"DistilBertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"distilbert"};

}  // namespace

const Family kDistilBertFamily = {"distilbert", kArchitectures, kModelTypes, "n_layers", read, names};

}  // namespace rerank::model
