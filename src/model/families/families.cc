#include <algorithm>

#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {

std::span<const Family* const> families() {
  static constexpr const Family* kFamilies[] = {
      &kBertFamily,       &kRobertaFamily,  &kDistilBertFamily, &kElectraFamily, &kGteFamily,      &kJinaBertFamily,
      &kModernBertFamily, &kQwen3Family,    &kQwen2Family,      &kLlamaFamily,   &kGemmaFamily,    &kGemma2Family,
      &kEuroBertFamily,   &kNemotronFamily, &kDebertaFamily,    &kMpnetFamily,   &kAlbertFamily,   &kBigBirdFamily,
      &kLongformerFamily, &kNomicFamily,    &kNomicOwnFamily,   &kMiniCpmFamily, &kQwen3MoeFamily, &kJinaRankingFamily};
  return kFamilies;
}

const Family* recognized_family(const JsonFile& json) {
  for (const Family* family : families()) {
    if (family->recognize != nullptr && family->recognize(json)) return family;
  }
  return nullptr;
}

const Family* family_of_architecture(std::string_view architecture) {
  for (const Family* family : families()) {
    if (std::ranges::find(family->architectures, architecture) != family->architectures.end()) return family;
  }
  return nullptr;
}

const Family* family_of_model_type(std::string_view model_type) {
  for (const Family* family : families()) {
    if (std::ranges::find(family->model_types, model_type) != family->model_types.end()) return family;
  }
  return nullptr;
}

void read_encoder(ConfigReader& config, const EncoderFields& fields, Architecture& a) {
  const size_t layers = config.size(fields.layers, kMaxLayers);
  a.hidden = config.size(fields.hidden, kMaxWidth);
  Block block;
  block.attention.heads = block.attention.kv_heads = config.size(fields.heads, kMaxWidth);
  block.feed_forward.width = config.size(fields.intermediate, kMaxWidth * 4);
  if (a.hidden % block.attention.heads != 0) {
    config.fail(
        absl::InvalidArgumentError(str_cat(config.json().origin(), ": ", fields.hidden, " ", a.hidden,
                                           " is not a multiple of ", fields.heads, " ", block.attention.heads)));
    return;
  }
  block.attention.head_size = a.hidden / block.attention.heads;
  block.feed_forward.activation = config.activation(fields.activation, fields.activation_fallback);
  a.embedding.vocabulary = config.size("vocab_size", kMaxRows);
  a.embedding.width = a.hidden;
  a.blocks.assign(layers, block);
}

void read_position_table(ConfigReader& config, bool after_padding, Architecture& a) {
  a.embedding.position_rows = config.size("max_position_embeddings", kMaxRows);
  if (after_padding) {
    auto padding = config.json().get_size("pad_token_id", 1);
    if (!padding.ok()) return config.fail(padding.status());
    if (*padding + 1 >= a.embedding.position_rows) {
      return config.fail(absl::InvalidArgumentError(config.json().origin() +
                                                    ": max_position_embeddings leaves no room after pad_token_id"));
    }
    a.embedding.position_offset = *padding + 1;
  }
  a.max_length = a.embedding.position_rows - a.embedding.position_offset;
}

void read_segment_table(ConfigReader& config, Architecture& a) {
  auto rows = config.json().get_size("type_vocab_size", 2);
  if (!rows.ok()) return config.fail(rows.status());
  if (*rows == 0 || *rows > 1024) {
    return config.fail(absl::InvalidArgumentError(config.json().origin() + ": type_vocab_size is not in 1..1024"));
  }
  a.embedding.segment_rows = *rows;
}

TensorNames bert_encoder_names(const Architecture& a, std::string_view prefix) {
  TensorNames names;
  names.words = str_cat(prefix, ".embeddings.word_embeddings.weight");
  names.positions = str_cat(prefix, ".embeddings.position_embeddings.weight");
  names.segments = str_cat(prefix, ".embeddings.token_type_embeddings.weight");
  names.embedding_norm = str_cat(prefix, ".embeddings.LayerNorm");
  names.embedding_projection = {str_cat(prefix, ".embeddings_project")};
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string layer = str_cat(prefix, ".encoder.layer.", i);
    LayerNames& part = names.layers.emplace_back();
    part.query = {layer + ".attention.self.query"};
    part.key = {layer + ".attention.self.key"};
    part.value = {layer + ".attention.self.value"};
    part.attention_output = {layer + ".attention.output.dense"};
    part.attention_norm = layer + ".attention.output.LayerNorm";
    part.up = {layer + ".intermediate.dense"};
    part.down = {layer + ".output.dense"};
    part.output_norm = layer + ".output.LayerNorm";
  }
  return names;
}

}  // namespace rerank::model
