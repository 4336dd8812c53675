// MPNet (Song et al. 2020), as transformers' modeling_mpnet.py: RoBERTa's blocks and head, without token types, and a
// bias of scores by bucketed distance that all blocks share.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {}, a);
  read_position_table(config, false, a);
  constexpr size_t kFirstPosition = 2;  // after a padding id of 1, whatever pad_token_id says: as transformers has it
  if (a.embedding.position_rows <= kFirstPosition) {
    return config.fail(
        absl::InvalidArgumentError(config.json().origin() + ": max_position_embeddings leaves no room for a token"));
  }
  a.embedding.position_offset = kFirstPosition;
  a.max_length = a.embedding.position_rows - kFirstPosition;
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  if (config.size("relative_attention_num_buckets", 1024, 32) != 32) {  // transformers computes no other number
    config.fail(absl::UnimplementedError(config.json().origin() +
                                         ": relative_attention_num_buckets that is not 32 is not supported"));
  }
  for (Block& block : a.blocks) {
    block.attention.position = PositionKind::kBuckets;
    block.attention.relative = {.rows = 32, .buckets = 32, .max_distance = 128};
  }
  a.scoring.activation = Activation::kTanh;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = bert_encoder_names(a, "mpnet");
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string attention = str_cat("mpnet.encoder.layer.", i, ".attention");
    LayerNames& part = names.layers[i];
    part.query = {attention + ".attn.q"};
    part.key = {attention + ".attn.k"};
    part.value = {attention + ".attn.v"};
    part.attention_output = {attention + ".attn.o"};
    part.attention_norm = attention + ".LayerNorm";
  }
  names.relative = "mpnet.encoder.relative_attention_bias.weight";
  names.head_dense = {"classifier.dense"};
  names.head_output = {"classifier.out_proj"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"MPNetForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"mpnet"};

}  // namespace

const Family kMpnetFamily = {"mpnet", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
