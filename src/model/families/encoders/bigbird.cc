// BigBird (Zaheer et al. 2020), as transformers' modeling_big_bird.py: BERT's blocks and RoBERTa's head. Its blocks of
// sparse attention hold random ones that no file has; up to a length transformers computes full attention instead, and
// that is what is served.
#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {.activation_fallback = "gelu_new"}, a);
  read_position_table(config, false, a);
  read_segment_table(config, a);
  a.input.segments = true;
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  config.refuse_if("is_decoder", "decoders of this family are not supported");
  if (config.boolean("rescale_embeddings", false)) a.embedding.scale = std::sqrt(static_cast<float>(a.hidden));
  const bool bias = config.boolean("use_bias", true);
  for (Block& block : a.blocks) block.attention.bias = bias;
  a.scoring.activation = config.activation("hidden_act", "gelu_new");
  const std::string attention = config.text("attention_type", "block_sparse");
  if (attention == "block_sparse") {
    const size_t blocks = 5 + 2 * config.size("num_random_blocks", 1000, 3),
                 size = config.size("block_size", kMaxRows, 64);
    a.max_length = std::min(a.max_length, blocks * size);
  } else if (attention != "original_full") {
    config.fail(absl::UnimplementedError(str_cat(config.json().origin(), ": attention_type: ", attention,
                                                 " is not supported (original_full, block_sparse are)")));
  }
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = bert_encoder_names(a, "bert");
  names.head_dense = {"classifier.dense"};
  names.head_output = {"classifier.out_proj"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"BigBirdForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"big_bird"};

}  // namespace

const Family kBigBirdFamily = {"bigbird", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
