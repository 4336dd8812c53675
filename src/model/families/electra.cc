// ELECTRA (Clark et al. 2020): BERT's blocks; the small models' tables are narrower than the encoder and are projected;
// gelu in the head.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {}, a);
  read_position_table(config, false, a);
  read_segment_table(config, a);
  a.embedding.width = config.size("embedding_size", kMaxWidth, a.hidden);
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  config.require("position_embedding_type", "absolute");
  config.refuse_if("is_decoder", "decoders of this family are not supported");
  a.scoring.activation = Activation::kGelu;
  a.input.segments = true;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = bert_encoder_names(a, "electra");
  names.head_dense = {"classifier.dense"};
  names.head_output = {"classifier.out_proj"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"ElectraForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"electra"};

}  // namespace

const Family kElectraFamily = {"electra", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
