#include "model/weights.h"

#include <set>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/strings.h"
#include "model/graphs.h"

namespace rerank {
namespace {

// Where a family keeps each part; "#" stands for the layer's number.
struct NameTable {
  const char* words;
  const char* positions;
  const char* segments;
  const char* embedding_norm;
  const char* projection;
  const char* query;
  const char* key;
  const char* value;
  const char* attention_output;
  const char* attention_norm;
  const char* up;
  const char* down;
  const char* output_norm;
  const char* head_dense;
  const char* head_output;
};

#define RERANK_BERT_BODY(prefix)                                                                                       \
  prefix ".embeddings.word_embeddings.weight", prefix ".embeddings.position_embeddings.weight",                        \
      prefix ".embeddings.token_type_embeddings.weight", prefix ".embeddings.LayerNorm", prefix ".embeddings_project", \
      prefix ".encoder.layer.#.attention.self.query", prefix ".encoder.layer.#.attention.self.key",                    \
      prefix ".encoder.layer.#.attention.self.value", prefix ".encoder.layer.#.attention.output.dense",                \
      prefix ".encoder.layer.#.attention.output.LayerNorm", prefix ".encoder.layer.#.intermediate.dense",              \
      prefix ".encoder.layer.#.output.dense", prefix ".encoder.layer.#.output.LayerNorm"

constexpr NameTable kBertNames = {RERANK_BERT_BODY("bert"), "bert.pooler.dense", "classifier"};
constexpr NameTable kRobertaNames = {RERANK_BERT_BODY("roberta"), "classifier.dense", "classifier.out_proj"};
constexpr NameTable kElectraNames = {RERANK_BERT_BODY("electra"), "classifier.dense", "classifier.out_proj"};
#undef RERANK_BERT_BODY
constexpr NameTable kDistilBertNames = {"distilbert.embeddings.word_embeddings.weight",
                                        "distilbert.embeddings.position_embeddings.weight",
                                        "",
                                        "distilbert.embeddings.LayerNorm",
                                        "",
                                        "distilbert.transformer.layer.#.attention.q_lin",
                                        "distilbert.transformer.layer.#.attention.k_lin",
                                        "distilbert.transformer.layer.#.attention.v_lin",
                                        "distilbert.transformer.layer.#.attention.out_lin",
                                        "distilbert.transformer.layer.#.sa_layer_norm",
                                        "distilbert.transformer.layer.#.ffn.lin1",
                                        "distilbert.transformer.layer.#.ffn.lin2",
                                        "distilbert.transformer.layer.#.output_layer_norm",
                                        "pre_classifier",
                                        "classifier"};

const NameTable& names_of(Family family) {
  switch (family) {
    case Family::kBert:
      return kBertNames;
    case Family::kRoberta:
      return kRobertaNames;
    case Family::kDistilBert:
      return kDistilBertNames;
    case Family::kElectra:
      return kElectraNames;
    case Family::kOther:
      break;
  }
  return kBertNames;
}

bool is_ignored(std::string_view name) {
  return name.ends_with(".position_ids") || name.ends_with(".token_type_ids") || name.starts_with("lm_head.") ||
         name.starts_with("cls.") || name.starts_with("roberta.pooler.") ||
         name.starts_with("discriminator_predictions.") || name.starts_with("generator_predictions.");
}

// Takes tensors by name and remembers the first thing that went wrong, so that binding reads as a list.
class Binder {
 public:
  Binder(const TensorFiles& files, const NameTable& names) : files_(files), names_(names) {}

  const Status& status() const { return status_; }

  TensorView tensor(const std::string& name, std::vector<size_t> shape) {
    auto found = files_.tensors().find(name);
    if (found == files_.tensors().end()) {
      fail(str_cat("tensor ", name, " is missing"));
      return {};
    }
    used_.insert(name);
    if (found->second.dtype == DType::kI8)
      fail(str_cat("tensor ", name, " is int8; only the matrices of linear layers can be"));
    if (found->second.shape != shape) {
      fail(str_cat("tensor ", name, " has shape [", absl::StrJoin(found->second.shape, ","), "], config.json says [",
                   absl::StrJoin(shape, ","), "]"));
    }
    return found->second;
  }

  Linear linear(const char* pattern, size_t out, size_t in) {
    const std::string name = expand(pattern);
    Linear linear = {matrix(name + ".weight", out, in), tensor(name + ".bias", {out})};
    return linear;
  }

  // A matrix of floats, or of int8 with its scales.
  TensorView matrix(const std::string& name, size_t out, size_t in) {
    auto found = files_.tensors().find(name);
    if (found == files_.tensors().end() || found->second.dtype != DType::kI8) return tensor(name, {out, in});
    used_.insert(name);
    TensorView view = found->second;
    const TensorView scales = tensor(name + "_scale", {out, 1});
    if (view.shape != std::vector<size_t>{out, in}) fail(str_cat("tensor ", name, ": its shape is not config.json's"));
    if (!status_.ok()) return view;
    view.scales = std::make_shared<const std::vector<float>>(scales.floats());
    quantized_ = true;
    return view;
  }
  bool quantized() const { return quantized_; }

  Norm norm(const char* pattern, size_t width) {
    const std::string name = expand(pattern);
    // Checkpoints converted from TensorFlow say gamma and beta.
    const bool old_names = files_.tensors().count(name + ".gamma") != 0;
    return {tensor(name + (old_names ? ".gamma" : ".weight"), {width}),
            tensor(name + (old_names ? ".beta" : ".bias"), {width})};
  }

  LayerWeights layer(size_t number, const ModelConfig& config) {
    layer_ = number;
    const size_t h = config.hidden, i = config.intermediate;
    LayerWeights w;
    w.query = linear(names_.query, h, h);
    w.key = linear(names_.key, h, h);
    w.value = linear(names_.value, h, h);
    w.attention_output = linear(names_.attention_output, h, h);
    w.attention_norm = norm(names_.attention_norm, h);
    w.up = linear(names_.up, i, h);
    w.down = linear(names_.down, h, i);
    w.output_norm = norm(names_.output_norm, h);
    return w;
  }

  void refuse_unknown() {
    std::vector<std::string> unknown;
    for (const auto& [name, view] : files_.tensors()) {
      if (used_.count(name) == 0 && !is_ignored(name)) unknown.push_back(name);
    }
    if (unknown.empty()) return;
    fail(str_cat(unknown.size(), " tensor(s) that this architecture does not have, first ", unknown.front(),
                 " (does config.json belong to this file?)"));
  }

 private:
  std::string expand(const char* pattern) const { return absl::StrReplaceAll(pattern, {{"#", str_cat(layer_)}}); }
  void fail(std::string what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(str_cat(files_.origin(), ": ", what));
  }

  const TensorFiles& files_;
  const NameTable& names_;
  std::set<std::string> used_;
  size_t layer_ = 0;
  bool quantized_ = false;
  Status status_;
};

}  // namespace

uint64_t Weights::parameters() const {
  uint64_t total = 0;
  if (files == nullptr) return 0;
  for (const auto& [name, view] : files->tensors()) total += view.elements();
  return total;
}

Result<Weights> bind_weights(const ModelConfig& config, std::shared_ptr<const TensorFiles> files) {
  const NameTable& names = names_of(config.family);
  Binder bind(*files, names);
  Weights weights;
  weights.words = bind.tensor(names.words, {config.vocabulary, config.embedding});
  weights.positions = bind.tensor(names.positions, {config.position_rows, config.embedding});
  if (config.segment_rows > 0) weights.segments = bind.tensor(names.segments, {config.segment_rows, config.embedding});
  weights.embedding_norm = bind.norm(names.embedding_norm, config.embedding);
  if (config.embedding != config.hidden) {
    weights.embedding_projection = bind.linear(names.projection, config.hidden, config.embedding);
  }
  for (size_t i = 0; i < config.layers && bind.status().ok(); ++i) weights.layers.push_back(bind.layer(i, config));
  weights.head_dense = bind.linear(names.head_dense, config.hidden, config.hidden);
  weights.head_output = bind.linear(names.head_output, config.labels, config.hidden);
  bind.refuse_unknown();
  if (!bind.status().ok()) return bind.status();
  weights.quantized = bind.quantized();
  weights.files = std::move(files);
  return weights;
}

Result<std::shared_ptr<const Model>> load_model(const std::string& folder, bool graph_named) {
  const bool graph = graph_named || !onnx_files(folder).empty() || !torchscript_files(folder).empty();
  const auto with_graph = [&](const Status& why) -> Result<std::shared_ptr<const Model>> {
    auto config = read_graph_config(folder);
    if (!config.ok()) return config.status();
    return std::make_shared<const Model>(Model{folder, std::move(*config), {}, why});
  };
  auto config = read_model_config(folder);
  if (!config.ok()) {
    return graph && absl::IsUnimplemented(config.status()) ? with_graph(config.status()) : config.status();
  }
  auto files = TensorFiles::open_folder(folder);
  if (!files.ok()) return graph && absl::IsNotFound(files.status()) ? with_graph(files.status()) : files.status();
  auto weights = bind_weights(*config, std::move(*files));
  if (!weights.ok()) return weights.status();
  return std::make_shared<const Model>(Model{folder, std::move(*config), std::move(*weights), {}});
}

}  // namespace rerank
