#include "model/files/modules.h"

#include <filesystem>
#include <optional>

#include "base/json/reader.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxModules = 16, kMaxConfigBytes = 1u << 20;

std::string last_part(std::string_view dotted) { return std::string(dotted.substr(dotted.rfind('.') + 1)); }

Status unsupported(const Module& module, std::string_view what) {
  return absl::UnimplementedError(str_cat("modules.json: module ", module.type, " (", module.path, "): ", what));
}

// "cls", or the older booleans.
Result<ScoredRows> read_pooling(const JsonFile& json, const Module& module) {
  ASSIGN_OR_RETURN(std::string mode, json.get_string("pooling_mode", ""));
  if (mode.empty()) {
    for (const auto& [field, name] : {std::pair{"pooling_mode_cls_token", "cls"},
                                      {"pooling_mode_mean_tokens", "mean"},
                                      {"pooling_mode_max_tokens", "max"},
                                      {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
                                      {"pooling_mode_weightedmean_tokens", "weightedmean"},
                                      {"pooling_mode_lasttoken", "lasttoken"}}) {
      ASSIGN_OR_RETURN(const bool on, json.get_bool(field, false));
      if (on) mode += str_cat(mode.empty() ? "" : "+", name);
    }
  }
  if (mode == "cls") return ScoredRows::kFirst;
  if (mode == "mean") return ScoredRows::kMean;
  return unsupported(module, str_cat("pooling_mode ", mode, " is not supported (cls, mean are)"));
}

struct Dense {
  size_t in = 0, out = 0;
  bool bias = true;
  std::optional<Activation> activation;  // none: Identity
};

Result<Dense> read_dense(const JsonFile& json, const Module& module) {
  Dense dense;
  ASSIGN_OR_RETURN(dense.in, json.get_size("in_features"));
  ASSIGN_OR_RETURN(dense.out, json.get_size("out_features"));
  ASSIGN_OR_RETURN(dense.bias, json.get_bool("bias", true));
  ASSIGN_OR_RETURN(const bool residual, json.get_bool("use_residual", false));
  if (residual) return unsupported(module, "use_residual is not supported");
  ASSIGN_OR_RETURN(const std::string name, json.get_string("activation_function", "torch.nn.modules.activation.Tanh"));
  const std::string activation = last_part(name);
  if (activation == "Identity") return dense;
  for (const auto& [known, kind] : {std::pair{"GELU", Activation::kGelu},
                                    {"Tanh", Activation::kTanh},
                                    {"ReLU", Activation::kRelu},
                                    {"SiLU", Activation::kSilu}}) {
    if (activation == known) dense.activation = kind;
  }
  if (!dense.activation)
    return unsupported(
        module, str_cat("activation_function ", name, " is not supported (GELU, Tanh, ReLU, SiLU, Identity are)"));
  return dense;
}

Status load(const std::string& folder, const Module& module, JsonFile& json) {
  return json.load((fs::path(folder) / module.path / "config.json").string(), kMaxConfigBytes);
}

// The modules after the pooling: Dense, LayerNorm, Dense; or the last of them alone.
Status read_head(const std::string& folder, std::span<const Module> modules, size_t hidden, Scoring& scoring) {
  scoring.dense = scoring.norm = false;
  for (size_t i = 0; i < modules.size(); ++i) {
    const Module& module = modules[i];
    const bool last = i + 1 == modules.size();
    JsonFile json;
    if (module.type == "LayerNorm" && i == 1 && !last) {
      RETURN_IF_ERROR(load(folder, module, json));
      ASSIGN_OR_RETURN(const size_t width, json.get_size("dimension", hidden));
      if (width != hidden) return unsupported(module, "its dimension is not the encoder's");
      scoring.norm = scoring.norm_bias = true;
      scoring.norm_epsilon = 1e-5f;
      continue;
    }
    if (module.type != "Dense" || i > 2 || (i == 1 && !last && !scoring.norm))
      return unsupported(module, "not supported here: a head is Dense, LayerNorm, Dense, or less");
    RETURN_IF_ERROR(load(folder, module, json));
    ASSIGN_OR_RETURN(const Dense dense, read_dense(json, module));
    if (dense.in != hidden) return unsupported(module, "its in_features are not the encoder's hidden_size");
    if (last) {
      if (dense.activation || (dense.out != 1 && dense.out != 2))
        return unsupported(module, "the last one is not a Dense of 1 or 2 outputs without an activation");
      scoring.output_bias = dense.bias;
      scoring.labels = dense.out;
    } else {
      if (!dense.activation || dense.out != hidden)
        return unsupported(module, "not a layer as wide as the encoder with an activation");
      scoring.dense = true;
      scoring.dense_bias = dense.bias;
      scoring.activation = *dense.activation;
    }
  }
  return ok_status();
}

// Without its first part where the files have it so.
void strip(std::string_view prefix, std::string& name) {
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
}

}  // namespace

Result<std::vector<Module>> read_modules(const std::string& folder) {
  const std::string path = folder + "/modules.json";
  std::vector<Module> modules;
  std::error_code error;
  if (!fs::exists(path, error)) return modules;
  ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxConfigBytes));
  simdjson::dom::parser parser;
  simdjson::dom::array list;
  const auto wrong = [&](std::string_view what) { return absl::InvalidArgumentError(str_cat(path, ": ", what)); };
  if (parser.parse(text).get(list) || list.size() > kMaxModules) return wrong("not a list of at most 16 modules");
  for (const simdjson::dom::element item : list) {
    std::string_view type, place;
    if (item["type"].get(type) || item["path"].get(place)) return wrong("a module without type or path");
    if (place.find('/') != std::string_view::npos || place.starts_with('.'))
      return wrong(str_cat("path ", place, " leaves the model's folder"));
    modules.push_back({last_part(type), std::string(place)});
  }
  return modules;
}

Status apply_modules(const std::string& folder, ModelConfig& config) {
  ASSIGN_OR_RETURN(const std::vector<Module> modules, read_modules(folder));
  if (modules.size() < 2) return ok_status();  // a Transformer alone has its own head
  if (modules[0].type != "Transformer" || !modules[0].path.empty())
    return unsupported(modules[0], "the first one is not a Transformer in the folder itself");
  if (modules[1].type == "LogitScore") return ok_status();  // a decoder's answers, which its family reads
  if (modules[1].type != "Pooling")
    return unsupported(modules[1], "not supported here: after a Transformer stands Pooling");
  if (modules.size() < 3) return unsupported(modules[1], "there is no head after it: an encoder for embeddings?");
  Scoring scoring;
  JsonFile json;
  RETURN_IF_ERROR(load(folder, modules[1], json));
  ASSIGN_OR_RETURN(scoring.rows, read_pooling(json, modules[1]));
  RETURN_IF_ERROR(read_head(folder, std::span(modules).subspan(2), config.architecture.hidden, scoring));
  config.architecture.scoring = scoring;
  config.labels_said = true;
  config.label = "LABEL_0";
  return ok_status();
}

void take_names_of_files(const TensorFiles& files, TensorNames& names) {
  std::vector<std::string> linears;  // in the order of the modules, whose folders' names begin with their numbers
  for (const auto& [name, view] : files.tensors()) {
    if (name.ends_with("/linear.weight"))
      linears.push_back(name.substr(0, name.size() - std::string_view(".weight").size()));
    if (name.ends_with("/norm.weight"))
      names.head_norm = name.substr(0, name.size() - std::string_view(".weight").size());
  }
  if (linears.size() == 2) names.head_dense = {linears[0]};
  if (!linears.empty()) names.head_output = {linears.back()};
  const size_t dot = names.words.find('.');
  if (files.tensors().contains(names.words) || dot == std::string::npos) return;
  const std::string prefix = names.words.substr(0, dot + 1);
  if (!files.tensors().contains(names.words.substr(dot + 1))) return;
  for (std::string* name :
       {&names.words, &names.positions, &names.segments, &names.embedding_norm, &names.embedding_projection.name,
        &names.relative, &names.relative_norm, &names.convolution.name, &names.convolution_norm, &names.final_norm,
        &names.head_dense.name})
    strip(prefix, *name);
  for (LayerNames& layer : names.layers) {
    for (TensorSource* source : {&layer.query, &layer.key, &layer.value, &layer.attention_output, &layer.gate,
                                 &layer.up, &layer.down, &layer.position_key, &layer.position_query})
      strip(prefix, source->name);
    for (std::string* name : {&layer.attention_norm, &layer.output_norm}) strip(prefix, *name);
  }
}

}  // namespace rerank::model
