// RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT: BERT's blocks; positions begin after the padding id, token
// types are one row, and the head is its own pair of linear layers with tanh between.
#include "model/families/family.h"

namespace rerank {
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

TensorNames names(const Architecture& a) {
  TensorNames names = bert_encoder_names(a, "roberta");
  names.head_dense = {"classifier.dense"};
  names.head_output = {"classifier.out_proj"};
  return names;
}

constexpr std::string_view kArchitectures[] = {
    "RobertaForSequenceClassification", "XLMRobertaForSequenceClassification", "CamembertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"roberta", "xlm-roberta", "camembert"};

}  // namespace

const Family kRobertaFamily = {"roberta", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank
