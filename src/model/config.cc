#include "model/config.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "model/json.h"

namespace rerank {
namespace {

struct FamilyRow {
  const char* architecture;
  Family family;
  Activation head_activation;
  bool has_segments;
  bool offset_positions;  // positions start at padding_idx + 1
  // DistilBERT has its own names for the sizes.
  const char* hidden;
  const char* layers;
  const char* heads;
  const char* intermediate;
  const char* activation;
};

constexpr std::array kFamilies = {
    FamilyRow{"BertForSequenceClassification", Family::kBert, Activation::kTanh, true, false, "hidden_size",
              "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"},
    FamilyRow{"RobertaForSequenceClassification", Family::kRoberta, Activation::kTanh, true, true, "hidden_size",
              "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"},
    FamilyRow{"XLMRobertaForSequenceClassification", Family::kRoberta, Activation::kTanh, true, true, "hidden_size",
              "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"},
    FamilyRow{"CamembertForSequenceClassification", Family::kRoberta, Activation::kTanh, true, true, "hidden_size",
              "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"},
    FamilyRow{"DistilBertForSequenceClassification", Family::kDistilBert, Activation::kRelu, false, false, "dim",
              "n_layers", "n_heads", "hidden_dim", "activation"},
    FamilyRow{"ElectraForSequenceClassification", Family::kElectra, Activation::kGelu, true, false, "hidden_size",
              "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"},
};

// Sizes above these are a broken or hostile file, not a model of this kind.
constexpr uint64_t kMaxLayers = 1000, kMaxWidth = 1u << 16, kMaxRows = 1u << 24;

Result<const FamilyRow*> find_family(const JsonFile& json) {
  simdjson::dom::array architectures;
  std::string_view name;
  if (json.root()["architectures"].get(architectures) || architectures.size() == 0 || architectures.at(0).get(name)) {
    return absl::InvalidArgumentError(json.origin() + ": architectures is missing or not a list of names");
  }
  std::string known;
  for (const FamilyRow& row : kFamilies) {
    if (name == row.architecture) return &row;
    known += str_cat(known.empty() ? "" : ", ", row.architecture);
  }
  return absl::UnimplementedError(
      str_cat(json.origin(), ": architectures: ", name, " is not supported. Supported: ", known));
}

Result<Activation> parse_activation(const JsonFile& json, const char* field) {
  auto name = json.get_string(field, "gelu");
  if (!name.ok()) return name.status();
  constexpr std::pair<const char*, Activation> kNames[] = {
      {"gelu", Activation::kGelu},          {"gelu_python", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},  {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh}, {"relu", Activation::kRelu},
      {"silu", Activation::kSilu},          {"swish", Activation::kSilu},
  };
  for (const auto& [known, activation] : kNames) {
    if (*name == known) return activation;
  }
  return absl::UnimplementedError(str_cat(json.origin(), ": ", field, ": ", *name,
                                          " is not supported (gelu, gelu_new, gelu_pytorch_tanh, relu, silu are)"));
}

Status read_size(const JsonFile& json, const char* field, uint64_t limit, size_t& out) {
  auto value = json.get_size(field);
  if (!value.ok()) return value.status();
  if (*value == 0 || *value > limit) {
    return absl::InvalidArgumentError(str_cat(json.origin(), ": ", field, " is ", *value, ", not in 1..", limit));
  }
  out = *value;
  return ok_status();
}

Status read_labels(const JsonFile& json, ModelConfig& config) {
  simdjson::dom::object labels;
  if (json.root()["id2label"].get(labels) == simdjson::SUCCESS) {
    config.labels = labels.size();
    std::string_view first;
    if (labels["0"].get(first) == simdjson::SUCCESS) config.label = std::string(first);
  } else {
    auto count = json.get_size("num_labels", 2);  // transformers' default
    if (!count.ok()) return count.status();
    config.labels = *count;
  }
  if (config.labels != 1 && config.labels != 2) {
    return absl::UnimplementedError(str_cat(json.origin(), ": id2label has ", config.labels,
                                            " labels; a reranker has 1, or 2 (not relevant, relevant)"));
  }
  return ok_status();
}

Status check_unsupported(const JsonFile& json) {
  auto position = json.get_string("position_embedding_type", "absolute");
  if (!position.ok()) return position.status();
  if (*position != "absolute") {
    return absl::UnimplementedError(
        str_cat(json.origin(), ": position_embedding_type: ", *position, " is not supported (absolute is)"));
  }
  auto decoder = json.get_bool("is_decoder", false);
  if (!decoder.ok()) return decoder.status();
  if (*decoder) return absl::UnimplementedError(json.origin() + ": is_decoder: decoders are not supported");
  return ok_status();
}

Status read_padding(const JsonFile& json, uint64_t fallback, ModelConfig& config) {
  auto padding = json.get_size("pad_token_id", fallback);
  if (!padding.ok()) return padding.status();
  if (*padding >= config.vocabulary) {
    return absl::InvalidArgumentError(
        str_cat(json.origin(), ": pad_token_id ", *padding, " is outside the vocabulary of ", config.vocabulary));
  }
  config.pad_id = static_cast<int32_t>(*padding);
  return ok_status();
}

Status read_tables(const JsonFile& json, const FamilyRow& row, ModelConfig& config) {
  if (Status s = read_size(json, "vocab_size", kMaxRows, config.vocabulary); !s.ok()) return s;
  if (Status s = read_size(json, "max_position_embeddings", kMaxRows, config.position_rows); !s.ok()) return s;
  if (Status s = read_padding(json, row.offset_positions ? 1 : 0, config); !s.ok()) return s;
  if (row.has_segments) {
    auto rows = json.get_size("type_vocab_size", 2);
    if (!rows.ok()) return rows.status();
    if (*rows == 0 || *rows > 1024)
      return absl::InvalidArgumentError(json.origin() + ": type_vocab_size is not in 1..1024");
    config.segment_rows = *rows;
  }
  if (row.offset_positions) {
    config.position_offset = static_cast<size_t>(config.pad_id) + 1;
    if (config.position_offset >= config.position_rows) {
      return absl::InvalidArgumentError(json.origin() + ": max_position_embeddings leaves no room behind pad_token_id");
    }
  }
  auto embedding = json.get_size("embedding_size", config.hidden);
  if (!embedding.ok()) return embedding.status();
  config.embedding = row.family == Family::kElectra ? *embedding : config.hidden;
  if (config.embedding == 0 || config.embedding > kMaxWidth) {
    return absl::InvalidArgumentError(json.origin() + ": embedding_size is out of range");
  }
  return ok_status();
}

Status read_serving(const JsonFile& json, ModelConfig& config) {
  const auto section = json.root()["rerankd"];
  if (section.error() == simdjson::NO_SUCH_FIELD) return ok_status();
  simdjson::dom::object serving;
  const auto wrong = [&](auto... why) {
    return absl::InvalidArgumentError(str_cat(json.origin(), ": rerankd", why...));
  };
  if (section.get(serving)) return wrong(" is not an object");
  for (const auto [name, value] : serving) {
    if (name == "max_length") {
      uint64_t tokens = 0;
      if (value.get(tokens) || tokens < 8 || tokens > config.max_length())
        return wrong(".max_length is not a number of tokens in 8..", config.max_length());
      config.serving.max_length = tokens;
    } else if (name == "truncation") {
      std::string_view word;
      const auto found = value.get(word) ? std::nullopt : parse_truncation(word);
      if (!found) return wrong(".truncation is none of head, tail, head-tail, query-aware, chunks");
      config.serving.truncation = *found;
    } else {
      return wrong(".", name, " is not known; max_length and truncation are");
    }
  }
  return ok_status();
}

}  // namespace

Result<ModelConfig> parse_model_config(std::string text, std::string origin) {
  JsonFile json;
  if (Status s = json.parse(std::move(text), std::move(origin)); !s.ok()) return s;
  auto family = find_family(json);
  if (!family.ok()) return family.status();
  const FamilyRow& row = **family;
  if (Status s = check_unsupported(json); !s.ok()) return s;

  ModelConfig config;
  config.architecture = row.architecture;
  config.family = row.family;
  config.head_activation = row.head_activation;
  auto type = json.get_string("model_type", "");
  if (!type.ok()) return type.status();
  config.model_type = *type;
  if (Status s = read_size(json, row.layers, kMaxLayers, config.layers); !s.ok()) return s;
  if (Status s = read_size(json, row.hidden, kMaxWidth, config.hidden); !s.ok()) return s;
  if (Status s = read_size(json, row.heads, kMaxWidth, config.heads); !s.ok()) return s;
  if (Status s = read_size(json, row.intermediate, kMaxWidth * 4, config.intermediate); !s.ok()) return s;
  if (config.hidden % config.heads != 0) {
    return absl::InvalidArgumentError(str_cat(json.origin(), ": ", row.hidden, " ", config.hidden,
                                              " is not a multiple of ", row.heads, " ", config.heads));
  }
  if (Status s = read_tables(json, row, config); !s.ok()) return s;
  auto activation = parse_activation(json, row.activation);
  if (!activation.ok()) return activation.status();
  config.activation = *activation;
  // DistilBERT's layers have no setting for it; the others state it.
  const double default_epsilon = 1e-12;
  auto epsilon = json.get_number("layer_norm_eps", default_epsilon);
  if (!epsilon.ok()) return epsilon.status();
  config.layer_norm_epsilon = row.family == Family::kDistilBert ? 1e-12f : static_cast<float>(*epsilon);
  if (!(config.layer_norm_epsilon >= 0 && config.layer_norm_epsilon < 1)) {
    return absl::InvalidArgumentError(json.origin() + ": layer_norm_eps is not in [0, 1)");
  }
  if (Status s = read_labels(json, config); !s.ok()) return s;
  if (Status s = read_serving(json, config); !s.ok()) return s;
  return config;
}

Result<ModelConfig> read_model_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  auto text = read_file(path, 16u << 20);
  if (!text.ok()) return text.status();
  return parse_model_config(std::move(*text), path);
}

Result<ModelConfig> read_graph_config(const std::string& folder) {
  auto known = read_model_config(folder);
  if (known.ok() || known.status().code() != absl::StatusCode::kUnimplemented) return known;
  JsonFile json;
  if (Status s = json.load(folder + "/config.json"); !s.ok()) return s;
  ModelConfig config;
  config.family = Family::kOther;
  simdjson::dom::array architectures;
  std::string_view name;
  if (json.root()["architectures"].get(architectures) == simdjson::SUCCESS && architectures.size() > 0 &&
      architectures.at(0).get(name) == simdjson::SUCCESS) {
    config.architecture = std::string(name);
  }
  auto type = json.get_string("model_type", "");
  if (!type.ok()) return type.status();
  config.model_type = *type;
  if (Status s = read_size(json, "vocab_size", kMaxRows, config.vocabulary); !s.ok()) return s;
  if (Status s = read_size(json, "max_position_embeddings", kMaxRows, config.position_rows); !s.ok()) return s;
  if (Status s = read_padding(json, 0, config); !s.ok()) return s;
  const std::pair<const char*, size_t ModelConfig::*> sizes[] = {{"type_vocab_size", &ModelConfig::segment_rows},
                                                                 {"num_hidden_layers", &ModelConfig::layers},
                                                                 {"hidden_size", &ModelConfig::hidden},
                                                                 {"num_attention_heads", &ModelConfig::heads},
                                                                 {"intermediate_size", &ModelConfig::intermediate}};
  for (const auto& [field, size] : sizes) {
    auto value = json.get_size(field, 0);
    if (!value.ok()) return value.status();
    config.*size = std::min<uint64_t>(*value, kMaxWidth);
  }
  if (Status s = read_labels(json, config); !s.ok()) return s;
  if (Status s = read_serving(json, config); !s.ok()) return s;
  return config;
}

const char* activation_name(Activation activation) {
  switch (activation) {
    case Activation::kGelu:
      return "gelu";
    case Activation::kGeluTanh:
      return "gelu_tanh";
    case Activation::kRelu:
      return "relu";
    case Activation::kSilu:
      return "silu";
    case Activation::kTanh:
      return "tanh";
  }
  return "?";
}

}  // namespace rerank
