// DeBERTa-v2 and v3 (He et al. 2021, 2023), as transformers' modeling_deberta_v2.py: BERT's post-norm blocks whose
// scores gain products with relative positions. Version 1 (model_type "deberta") is another model.
#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

constexpr std::string_view kPrefix = "deberta";

// "c2p" and "p2c", as "p2c|c2p" or as a list.
void read_terms(ConfigReader& config, RelativePositions& relative) {
  const auto take = [&](std::string_view term) {
    if (term == "c2p") {
      relative.query_to_position = true;
    } else if (term == "p2c") {
      relative.key_to_position = true;
    } else {
      config.fail(absl::UnimplementedError(
          str_cat(config.json().origin(), ": pos_att_type: ", term, " is not supported (c2p, p2c are)")));
    }
  };
  const auto field = config.json().root()["pos_att_type"];
  simdjson::dom::array list;
  std::string_view text;
  if (field.get(list) == simdjson::SUCCESS) {
    for (const simdjson::dom::element item : list) take(item.get(text) ? "?" : text);
  } else if (field.get(text) == simdjson::SUCCESS) {
    for (size_t end = 0; !text.empty(); text.remove_prefix(std::min(end + 1, text.size()))) {
      end = std::min(text.find('|'), text.size());
      std::string_view term = text.substr(0, end);
      while (term.starts_with(' ')) term.remove_prefix(1);
      while (term.ends_with(' ')) term.remove_suffix(1);
      if (!term.empty()) take(term);
    }
  }
  if (!relative.query_to_position && !relative.key_to_position)
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": relative_attention without c2p or p2c in pos_att_type is not supported")));
}

// A number that may be -1 or 0 for "none".
size_t positive(ConfigReader& config, const char* field, size_t fallback) {
  const double value = config.number(field, -1);
  if (value < 1) return fallback;
  if (value > static_cast<double>(kMaxRows) || value != std::floor(value)) {
    config.fail(absl::InvalidArgumentError(str_cat(config.json().origin(), ": ", field, " is not a count")));
    return fallback;
  }
  return static_cast<size_t>(value);
}

void read_relative(ConfigReader& config, Architecture& a) {
  RelativePositions relative;
  relative.max_distance = positive(config, "max_relative_positions", a.max_length);
  relative.buckets = positive(config, "position_buckets", 0);
  relative.rows = 2 * (relative.buckets != 0 ? relative.buckets : relative.max_distance);
  relative.own_projections = !config.boolean("share_att_key", false);
  if (relative.buckets % 2 != 0 || (relative.buckets != 0 && relative.buckets < 4) ||
      (relative.buckets != 0 && relative.max_distance <= relative.buckets / 2 + 1)) {
    config.fail(
        absl::InvalidArgumentError(str_cat(config.json().origin(), ": position_buckets ", relative.buckets,
                                           " does not go with max_relative_positions ", relative.max_distance)));
  }
  read_terms(config, relative);
  const std::string norm = config.text("norm_rel_ebd", "none");
  a.relative_norm = norm.find("layer_norm") != std::string::npos;
  const int terms = 1 + relative.query_to_position + relative.key_to_position;
  for (Block& block : a.blocks) {
    Attention& attention = block.attention;
    attention.position = PositionKind::kDisentangled;
    attention.relative = relative;
    attention.score_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(attention.head_size * terms)));
  }
}

void read_convolution(ConfigReader& config, Architecture& a) {
  const size_t width = positive(config, "conv_kernel_size", 0);
  if (width == 0) return;
  if (width % 2 == 0 || width > 31 || config.number("conv_groups", 1) != 1) {
    config.fail(absl::UnimplementedError(str_cat(config.json().origin(), ": conv_kernel_size ", width,
                                                 " is not odd and at most 31, or conv_groups is not 1")));
  }
  const bool tanh = config.text("conv_act", "tanh") == "tanh";
  a.convolution = Convolution{width, tanh ? Activation::kTanh : config.activation("conv_act")};
}

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {}, a);
  a.max_length = config.size("max_position_embeddings", kMaxRows, 512);  // without a table a limit
  if (config.boolean("position_biased_input", true)) read_position_table(config, false, a);
  if (const auto rows = config.json().get_size("type_vocab_size", 0); rows.ok() && *rows > 0) {
    read_segment_table(config, a);
    a.input.segments = true;
  }
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-7);
  const auto same = [&](const char* field, size_t value) {
    if (config.size(field, kMaxWidth, value) == value) return;
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": ", field, " that is not ", value, " is not supported")));
  };
  same("embedding_size", a.hidden);
  same("pooler_hidden_size", a.hidden);
  if (!config.status().ok()) return;
  same("attention_head_size", a.blocks[0].attention.head_size);
  if (config.boolean("relative_attention", false)) read_relative(config, a);
  read_convolution(config, a);
  const bool tanh = config.text("pooler_hidden_act", "gelu") == "tanh";
  a.scoring.activation = tanh ? Activation::kTanh : config.activation("pooler_hidden_act");
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = bert_encoder_names(a, kPrefix);
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string self = str_cat(kPrefix, ".encoder.layer.", i, ".attention.self.");
    LayerNames& part = names.layers[i];
    part.query = {self + "query_proj"};
    part.key = {self + "key_proj"};
    part.value = {self + "value_proj"};
    part.position_key = {self + "pos_key_proj"};
    part.position_query = {self + "pos_query_proj"};
  }
  names.relative = "deberta.encoder.rel_embeddings.weight";
  names.relative_norm = "deberta.encoder.LayerNorm";
  names.convolution = {"deberta.encoder.conv.conv"};
  names.convolution_norm = "deberta.encoder.conv.LayerNorm";
  names.head_dense = {"pooler.dense"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"DebertaV2ForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"deberta-v2"};

}  // namespace

const Family kDebertaFamily = {"deberta", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
