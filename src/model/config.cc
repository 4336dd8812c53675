#include "model/config.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/json/reader.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/families/family.h"
#include "model/files/gguf_model.h"
#include "model/files/modules.h"
#include "model/files/serving.h"

namespace rerank::model {
namespace {

std::string architecture_name_of(const JsonFile& json) {
  simdjson::dom::array names;
  std::string_view name;
  if (json.root()["architectures"].get(names) || names.size() == 0 || names.at(0).get(name)) return "";
  return std::string(name);
}

// Rerankers that are asked for and are of another kind, by a part of their architecture's name.
struct OtherKind {
  std::string_view part, why;
};
constexpr OtherKind kOtherKinds[] = {
    {"CostWise",
     "takes tokens together between its layers (bge-reranker-v2.5-gemma2-lightweight), which is not computed"},
    {"VLFor", "reads images, which this server does not"},
    {"ForConditionalGeneration",
     "writes its answer with a decoder after an encoder, or reads images: neither is computed"},
};

// By the first of `architectures`; where it says nothing, or names the encoder without a head, by `model_type`: the
// weights tell then whether the head is there.
Result<const Family*> find_family(const JsonFile& json, const ModelConfig& config) {
  const std::string& name = config.architecture_name;
  if (const Family* family = recognized_family(json)) return family;
  if (const Family* family = family_of_architecture(name)) return family;
  const bool headless = name.empty() || name.ends_with("Model");
  if (const Family* family = headless ? family_of_model_type(config.model_type) : nullptr) return family;
  if (name.empty() && config.model_type.empty()) {
    return absl::InvalidArgumentError(json.origin() +
                                      ": architectures is missing or not a list of names, and model_type is missing");
  }
  for (const OtherKind& kind : kOtherKinds) {
    if (name.find(kind.part) != name.npos)
      return absl::UnimplementedError(str_cat(json.origin(), ": architectures: ", name, " ", kind.why));
  }
  std::string known;
  for (const Family* family : families()) {
    for (std::string_view architecture : family->architectures)
      known += str_cat(known.empty() ? "" : ", ", architecture);
  }
  const std::string what = name.empty() ? str_cat("model_type: ", config.model_type) : str_cat("architectures: ", name);
  return absl::UnimplementedError(str_cat(json.origin(), ": ", what, " is not supported. Supported: ", known));
}

Status read_names(const JsonFile& json, ModelConfig& config) {
  config.architecture_name = architecture_name_of(json);
  ASSIGN_OR_RETURN(auto type, json.get_string("model_type", ""));
  config.model_type = type;
  return ok_status();
}

Status read_labels(const JsonFile& json, ModelConfig& config) {
  if (config.architecture.scoring.answers || config.architecture.scoring.marks) return ok_status();
  size_t& labels = config.architecture.scoring.labels;
  simdjson::dom::object names;
  if (json.root()["id2label"].get(names) == simdjson::SUCCESS) {
    labels = names.size();
    config.labels_said = true;
    // The score is that of the last one: with two, "relevant".
    config.label = str_cat("LABEL_", labels == 2 ? 1 : 0);
    std::string_view said;
    if (names[labels == 2 ? "1" : "0"].get(said) == simdjson::SUCCESS) config.label = std::string(said);
  } else {
    ASSIGN_OR_RETURN(labels, json.get_size("num_labels", 2));  // transformers' default
    config.labels_said = json.root()["num_labels"].error() == simdjson::SUCCESS;
  }
  if (labels != 1 && labels != 2) {
    return absl::UnimplementedError(
        str_cat(json.origin(), ": id2label has ", labels, " labels; a reranker has 1, or 2 (not relevant, relevant)"));
  }
  return ok_status();
}

Status read_padding(const JsonFile& json, ModelConfig& config) {
  const Architecture& a = config.architecture;
  ASSIGN_OR_RETURN(auto padding, json.get_size("pad_token_id",
                                               a.embedding.position_offset == 0 ? 0 : a.embedding.position_offset - 1));
  if (padding >= a.embedding.vocabulary) {
    return absl::InvalidArgumentError(
        str_cat(json.origin(), ": pad_token_id ", padding, " is outside the vocabulary of ", a.embedding.vocabulary));
  }
  config.pad_id = static_cast<int32_t>(padding);
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
      config.serving.max_length_from = str_cat(json.origin(), ": rerankd.max_length");
    } else if (name == "truncation") {
      std::string_view word;
      const auto found = value.get(word) ? std::nullopt : parse_choice<Truncation>(word);
      if (!found) return wrong(".truncation is none of head, tail, head-tail, query-aware, chunks");
      config.serving.truncation = *found;
    } else {
      return wrong(".", name, " is not known; max_length and truncation are");
    }
  }
  return ok_status();
}

// Of a graph whose architecture is not known, as far as config.json says: what `inspect` shows, and the planner's guess
// of what a batch costs.
void read_graph_sizes(ConfigReader& config, Architecture& a) {
  a.embedding.vocabulary = config.size("vocab_size", kMaxRows);
  a.embedding.position_rows = a.max_length = config.size("max_position_embeddings", kMaxRows);
  const auto optional = [&](const char* field, uint64_t limit) -> size_t {
    auto value = config.json().get_size(field, 0);
    if (!value.ok()) config.fail(value.status());
    return value.ok() ? std::min(*value, limit) : 0;
  };
  a.embedding.segment_rows = optional("type_vocab_size", kMaxWidth);
  a.input.segments = a.embedding.segment_rows > 1;
  a.hidden = a.embedding.width = optional("hidden_size", kMaxWidth);
  Block block;
  block.attention.heads = block.attention.kv_heads = optional("num_attention_heads", kMaxWidth);
  block.attention.head_size = block.attention.heads == 0 ? 0 : a.hidden / block.attention.heads;
  block.feed_forward.width = optional("intermediate_size", kMaxWidth);
  a.blocks.assign(optional("num_hidden_layers", kMaxLayers), block);
}

}  // namespace

Result<ModelConfig> parse_model_config(std::string text, std::string origin) {
  JsonFile json;
  RETURN_IF_ERROR(json.parse(std::move(text), std::move(origin)));
  ModelConfig config;
  RETURN_IF_ERROR(read_names(json, config));
  ASSIGN_OR_RETURN(config.family, find_family(json, config));
  ConfigReader reader(json);
  config.family->read(reader, config.architecture);
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(read_padding(json, config));
  RETURN_IF_ERROR(read_labels(json, config));
  RETURN_IF_ERROR(read_serving(json, config));
  return config;
}

Result<ModelConfig> read_model_config(const std::string& folder) {
  const std::string path = companions_of(folder) + "/config.json";
  std::error_code error;
  ASSIGN_OR_RETURN(const std::string gguf, find_gguf(folder));
  const bool made = !gguf.empty() && !std::filesystem::exists(path, error);
  ASSIGN_OR_RETURN(std::string text, made ? gguf_config_json(gguf) : read_file(path, 16u << 20));
  ASSIGN_OR_RETURN(ModelConfig config, parse_model_config(std::move(text), made ? gguf : path));
  RETURN_IF_ERROR(read_sentence_transformers(companions_of(folder), config));
  RETURN_IF_ERROR(gguf.empty() ? apply_modules(folder, config) : find_gguf_answers(gguf, config));
  return config;
}

Result<ModelConfig> read_graph_config(const std::string& folder) {
  auto known = read_model_config(folder);
  if (known.ok() || known.status().code() != absl::StatusCode::kUnimplemented) return known;
  JsonFile json;
  RETURN_IF_ERROR(json.load(folder + "/config.json"));
  ModelConfig config;
  RETURN_IF_ERROR(read_names(json, config));
  ConfigReader reader(json);
  read_graph_sizes(reader, config.architecture);
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(read_padding(json, config));
  RETURN_IF_ERROR(read_labels(json, config));
  RETURN_IF_ERROR(read_serving(json, config));
  return config;
}

double block_products(const Architecture& a, const Block& block) {
  const auto hidden = static_cast<double>(a.hidden), width = static_cast<double>(block.feed_forward.width);
  const auto queries = static_cast<double>(block.attention.heads * block.attention.head_size);
  const auto keys = static_cast<double>(block.attention.kv_heads * block.attention.head_size);
  const double inner = (block.feed_forward.gate == GateHalf::kNone ? 2 : 3) * hidden * width;
  const auto& experts = block.feed_forward.experts;
  const double feed_forward =
      experts ? static_cast<double>(experts->chosen) * inner + hidden * static_cast<double>(experts->count) : inner;
  return 2 * hidden * queries + 2 * hidden * keys + feed_forward;
}

double attention_products(const Block& block, double keys) {
  return 2 * static_cast<double>(block.attention.heads * block.attention.head_size) * keys;
}

std::string_view activation_name(Activation activation) {
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

}  // namespace rerank::model
