// BERT (Devlin et al. 2019), as transformers' modeling_bert.py: tables of words, positions and token types, post-norm
// blocks, and a head that reads the first token through the pooler, tanh(dense).
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {}, a);
  read_position_table(config, false, a);
  read_segment_table(config, a);
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  config.require("position_embedding_type", "absolute");
  config.refuse_if("is_decoder", "decoders of this family are not supported");
  a.scoring.activation = Activation::kTanh;
  a.input.segments = true;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = bert_encoder_names(a, "bert");
  names.head_dense = {"bert.pooler.dense"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"BertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"bert"};

}  // namespace

const Family kBertFamily = {"bert", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
