#include "model/weights.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/answers.h"
#include "model/families/family.h"
#include "model/files/modules.h"
#include "model/graphs.h"

namespace rerank::model {
namespace {

// Of what a head makes of a marked token: known models have 256 or 512.
constexpr size_t kMaxVectorWidth = 8192;

// Left over from training, or numbers that are computed anyway.
bool is_left_over(std::string_view name) {
  constexpr std::string_view kEnds[] = {".position_ids", ".token_type_ids", ".rotary_emb.inv_freq"};
  constexpr std::string_view kStarts[] = {"lm_head.",
                                          "cls.",
                                          "decoder.",
                                          "roberta.pooler.",
                                          "pooler.",
                                          "lm_predictions.",
                                          "mask_predictions.",
                                          "discriminator_predictions.",
                                          "generator_predictions.",
                                          "vocab_transform.",
                                          "vocab_layer_norm.",
                                          "vocab_projector.",
                                          "qa_outputs.",
                                          "loss_fct."};
  return std::ranges::any_of(kEnds, [&](std::string_view end) { return name.ends_with(end); }) ||
         std::ranges::any_of(kStarts, [&](std::string_view start) { return name.starts_with(start); });
}

// Rows [first, first + count) of a matrix or vector.
TensorView rows_of(const TensorView& whole, size_t first, size_t count) {
  TensorView part = whole;
  const size_t row_bytes = whole.bytes.size() / whole.shape[0];
  part.shape[0] = count;
  part.bytes = whole.bytes.subspan(first * row_bytes, count * row_bytes);
  if (whole.group_scales != nullptr)
    part.group_scales = std::make_shared<const TensorView>(rows_of(*whole.group_scales, first, count));
  if (whole.scales != nullptr) {
    part.scales =
        std::make_shared<const std::vector<float>>(whole.scales->begin() + static_cast<ptrdiff_t>(first),
                                                   whole.scales->begin() + static_cast<ptrdiff_t>(first + count));
  }
  return part;
}

// Takes tensors by name and remembers the first thing that went wrong, so that binding reads as a list.
class Binder {
 public:
  Binder(const TensorFiles& files, const Architecture& architecture) : files_(files), a_(architecture) {}
  // Notes what would be taken, and takes nothing.
  Binder(const TensorFiles& files, const Architecture& architecture, std::vector<WantedTensor>* wanted)
      : files_(files), a_(architecture), wanted_(wanted) {}

  const Status& status() const { return status_; }
  bool quantized() const { return quantized_; }
  bool int4() const { return int4_; }
  std::vector<UsedTensor> take_used() { return std::move(used_); }

  TensorView tensor(const std::string& name, std::vector<size_t> shape, bool block_matrix = false) {
    if (wanted_ != nullptr) return note_wanted(name, std::move(shape), block_matrix);
    const TensorView* const found = find(name);
    if (found == nullptr) {
      const auto other = files_.others().find(name);
      fail(other == files_.others().end() ? str_cat("tensor ", name, " is missing")
                                          : str_cat("tensor ", name, " has type ", other->second,
                                                    "; F32, F16, BF16, F64, I8 and packed I4 are read"));
      return {};
    }
    const TensorView& view = *found;
    const bool scaled = view.dtype == DType::kI8 || view.dtype == DType::kI4;
    if (scaled && !block_matrix) {
      fail(str_cat("tensor ", name, " is ", dtype_name(view.dtype),
                   " with scales beside it; only the matrices of linear layers can be"));
    }
    if (view.shape != shape) {
      fail(str_cat("tensor ", name, " has shape [", absl::StrJoin(view.shape, ","), "], config.json says [",
                   absl::StrJoin(shape, ","), "]"));
    }
    if (scaled && status_.ok()) return view.dtype == DType::kI8 ? int8_matrix(view, shape) : int4_matrix(view, shape);
    use(view, block_matrix);
    return view;
  }

  // `exact`: no precision rounds it.
  Linear linear(const TensorSource& source, size_t out, size_t in, bool bias, bool exact = false) {
    if (source.kind != TensorSource::Rows::kOutputs) return {bare_matrix(source, out, in), {}};
    const size_t rows = source.rows == 0 ? out : source.rows;
    const TensorView weight = tensor(source.name + ".weight", {rows, in}, layer_ != SIZE_MAX && !exact);
    Linear linear = {weight, {}};
    if (bias) linear.bias = tensor(source.name + ".bias", {rows});
    if (!status_.ok() || rows == out) return linear;
    linear.weight = rows_of(weight, source.first_row, out);
    if (bias) linear.bias = rows_of(*linear.bias, source.first_row, out);
    return linear;
  }

  Norm norm(const std::string& name, bool beta) {
    // Checkpoints converted from TensorFlow say gamma and beta.
    const bool old_names = find(name + ".gamma") != nullptr;
    Norm norm = {tensor(name + (old_names ? ".gamma" : ".weight"), {width_}), {}};
    if (beta) norm.beta = tensor(name + (old_names ? ".beta" : ".bias"), {width_});
    return norm;
  }
  // Norms from here on are so wide.
  void width(size_t width) { width_ = width; }
  // A norm of blocks, or after them.
  Norm block_norm(const std::string& name) {
    Norm found = norm(name, a_.norm_bias);
    found.gamma.addend = a_.norm_addend;
    return found;
  }

  LayerWeights layer(size_t number, const LayerNames& names) {
    layer_ = number;
    const Block& block = a_.blocks[number];
    const Attention& attention = block.attention;
    const FeedForward& ff = block.feed_forward;
    const size_t h = a_.hidden, q = attention.heads * attention.head_size,
                 kv = attention.kv_heads * attention.head_size;
    LayerWeights w;
    w.query = linear(names.query, q, h, attention.bias);
    w.key = linear(names.key, kv, h, attention.bias);
    w.value = linear(names.value, kv, h, attention.bias);
    if (attention.query_key_norm) {
      width(attention.head_size);
      w.query_norm = block_norm(names.query_norm);
      w.key_norm = block_norm(names.key_norm);
      width(h);
    }
    w.attention_output = scaled(linear(names.attention_output, h, q, attention.output_bias), block.sum_scale);
    if (block.attention_norm) w.attention_norm = block_norm(names.attention_norm);
    if (block.sum_norms) w.attention_sum_norm = block_norm(names.attention_sum_norm);
    if (attention.mask == MaskKind::kWindowAndFirst) {
      w.global_query = linear(names.global_query, q, h, attention.bias);
      w.global_key = linear(names.global_key, kv, h, attention.bias);
      w.global_value = linear(names.global_value, kv, h, attention.bias);
    }
    if (ff.experts) {
      bind_experts(names, block, w);
    } else {
      if (ff.gate != GateHalf::kNone) w.gate = linear(names.gate, ff.width, h, ff.bias);
      w.up = linear(names.up, ff.width, h, ff.bias);
      w.down = scaled(linear(names.down, h, ff.width, ff.output_bias), block.sum_scale);
    }
    w.output_norm = block_norm(names.output_norm);
    if (block.sum_norms) w.output_sum_norm = block_norm(names.output_sum_norm);
    const RelativePositions& relative = attention.relative;
    if (relative.query_to_position)
      w.position_key = relative.own_projections ? linear(names.position_key, q, h, attention.bias) : w.key;
    if (relative.key_to_position)
      w.position_query = relative.own_projections ? linear(names.position_query, q, h, attention.bias) : w.query;
    layer_ = SIZE_MAX;
    return w;
  }

  void bind_experts(const LayerNames& names, const Block& block, LayerWeights& w) {
    const FeedForward& ff = block.feed_forward;
    const size_t h = a_.hidden;
    w.router = linear(names.router, ff.experts->count, h, false, /*exact=*/true);
    for (size_t i = 0; i < ff.experts->count && status_.ok(); ++i) {
      const ExpertNames expert = names.experts(i);
      ExpertWeights& to = w.experts.emplace_back();
      if (ff.gate != GateHalf::kNone) to.gate = linear(expert.gate, ff.width, h, ff.bias);
      to.up = linear(expert.up, ff.width, h, ff.bias);
      to.down = scaled(linear(expert.down, h, ff.width, ff.output_bias), block.sum_scale);
    }
    if (ff.experts->bias) w.experts_bias = tensor(names.experts_bias, {h});
  }

  static Linear scaled(Linear linear, float factor) {
    linear.weight.factor = factor;
    if (linear.bias) linear.bias->factor = factor;
    return linear;
  }

  // The rows of the answers in the vocabulary's matrix, which is the words' own where models tie the two.
  Linear answers(const std::string& matrix, const TensorView& words, std::shared_ptr<const std::vector<float>>& rows) {
    const Scoring& scoring = a_.scoring;
    const std::string name = matrix + ".weight";
    if (wanted_ != nullptr) return {};
    TensorView view = words;
    view.factor = 1;
    if (find(name) != nullptr) view = tensor(name, {a_.embedding.vocabulary, a_.hidden});
    for (const auto& id : {scoring.answers->positive_id, scoring.answers->negative_id}) {
      if (id.value_or(0) >= a_.embedding.vocabulary)
        fail(str_cat("the answer's token ", *id, " is outside the vocabulary of ", a_.embedding.vocabulary));
    }
    if (!status_.ok()) return {};
    rows = std::make_shared<const std::vector<float>>(answer_rows(scoring, view));
    TensorView made = {.name = name, .dtype = DType::kF32, .shape = {scoring.labels, a_.hidden}};
    made.bytes = std::as_bytes(std::span(*rows));
    return {made, {}};
  }

  // What transformers passes over, with a warning, too.
  void note_unused() const {
    size_t count = 0;
    std::string first;
    for (const auto& [name, view] : files_.tensors()) {
      if (used_names_.count(name) != 0 || is_left_over(name)) continue;
      if (count++ == 0) first = name;
    }
    if (count > 0) {
      log_info(str_cat(files_.origin(), ": ", count,
                       " tensor(s) that this architecture does not have are passed over, first ", first));
    }
  }

 private:
  TensorView bare_matrix(const TensorSource& source, size_t out, size_t in) {
    const bool inputs = source.kind == TensorSource::Rows::kBareInputs;
    TensorView view = tensor(source.name, {source.rows, inputs ? out : in}, layer_ != SIZE_MAX);
    if (view.dtype == DType::kI8 || view.dtype == DType::kI4 || block_size(view.dtype).elements != 1)
      fail(str_cat("tensor ", source.name, " is ", dtype_name(view.dtype), "; F32, F16 and BF16 are read of it"));
    if (!status_.ok() || wanted_ != nullptr) return view;
    view = rows_of(view, source.first_row, inputs ? in : out);
    if (inputs) std::swap(view.shape[0], view.shape[1]);
    view.transposed = inputs;
    return view;
  }

  // Null where there is none. A model that was saved without the prefix of its body ("bert.") has all its names without
  // it.
  const TensorView* find(const std::string& name) const {
    const auto& all = files_.tensors();
    if (const auto found = all.find(name); found != all.end()) return &found->second;
    const size_t dot = name.find('.');
    if (dot == std::string::npos) return nullptr;
    const auto prefixed = all.lower_bound(name.substr(0, dot + 1));
    if (prefixed != all.end() && prefixed->first.starts_with(name.substr(0, dot + 1))) return nullptr;
    const auto bare = all.find(name.substr(dot + 1));
    return bare == all.end() ? nullptr : &bare->second;
  }

  // Of int8 with its scales, which stand beside it.
  TensorView int8_matrix(const TensorView& found, const std::vector<size_t>& shape) {
    TensorView view = found;
    const bool fresh = use(view, true);
    const std::string name = found.name + "_scale";
    auto scales = files_.tensors().find(name);
    if (scales == files_.tensors().end()) fail(str_cat("tensor ", name, " is missing"));
    if (!status_.ok()) return view;
    if (scales->second.shape != std::vector<size_t>{shape[0], 1} || scales->second.dtype == DType::kI8)
      fail(str_cat("tensor ", name, ": its shape is not [", shape[0], ",1]"));
    if (!status_.ok()) return view;
    used_names_.insert(name);
    view.scales = std::make_shared<const std::vector<float>>(scales->second.floats());
    if (fresh) used_.back().view = view;
    quantized_ = true;
    return view;
  }

  // Of 4 bits, whose scales stand beside it, one for each group of inputs.
  TensorView int4_matrix(const TensorView& found, const std::vector<size_t>& shape) {
    TensorView view = found;
    for (const char* end : {"_zero_point", "_g_idx"}) {
      if (files_.tensors().contains(found.name + end) || files_.others().contains(found.name + end))
        fail(str_cat("tensor ", found.name, end, ": weights with zero points or an order of their own are not read"));
    }
    const auto scales = files_.tensors().find(found.name + "_scale");
    if (scales == files_.tensors().end()) fail(str_cat("tensor ", found.name, "_scale is missing"));
    if (!status_.ok()) return view;
    const auto& size = scales->second.shape;
    if (size.size() != 2 || size[0] != shape[0] || size[1] == 0 || shape[1] % size[1] != 0 ||
        block_size(scales->second.dtype).elements != 1 || scales->second.dtype == DType::kI8)
      fail(str_cat("tensor ", found.name, "_scale: its shape is not [", shape[0], ",groups]"));
    if (!status_.ok()) return view;
    used_names_.insert(scales->first);
    view.group_scales = std::make_shared<const TensorView>(scales->second);
    if (use(view, true)) int4_ = true;
    return view;
  }

  TensorView note_wanted(const std::string& name, std::vector<size_t> shape, bool block_matrix) {
    TensorView view;
    view.name = name;
    view.shape = shape;
    if (used_names_.insert(name).second) wanted_->push_back({name, std::move(shape), layer_, block_matrix});
    return view;
  }

  bool use(const TensorView& view, bool block_matrix) {
    if (!used_names_.insert(view.name).second) return false;
    used_.push_back({view, layer_, block_matrix});
    return true;
  }
  void fail(std::string_view what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(str_cat(files_.origin(), ": ", what));
  }

  const TensorFiles& files_;
  const Architecture& a_;
  std::set<std::string> used_names_;
  std::vector<UsedTensor> used_;
  size_t layer_ = SIZE_MAX, width_ = 0;
  bool quantized_ = false, int4_ = false;
  Status status_;
  std::vector<WantedTensor>* wanted_ = nullptr;  // null: tensors are taken
};

}  // namespace

std::vector<float> Linear::bias_floats() const { return bias ? bias->floats() : std::vector<float>(out()); }
std::vector<float> Norm::beta_floats() const { return beta ? beta->floats() : std::vector<float>(gamma.elements()); }

std::vector<float> Weights::convolution_matrix() const {
  const std::vector<float> values = convolution->floats();
  const size_t out = convolution->shape[0], in = convolution->shape[1], width = convolution->shape[2];
  std::vector<float> matrix(values.size());
  for (size_t o = 0; o < out; ++o) {
    for (size_t c = 0; c < in; ++c) {
      for (size_t k = 0; k < width; ++k) matrix[(o * width + k) * in + c] = values[(o * in + c) * width + k];
    }
  }
  return matrix;
}

size_t Weights::first_with_tensors_of(size_t layer) const {
  const auto same = [&](const LayerWeights& other) {
    return other.query.weight.bytes.data() == layers[layer].query.weight.bytes.data() &&
           other.down.weight.bytes.data() == layers[layer].down.weight.bytes.data();
  };
  return static_cast<size_t>(std::ranges::find_if(layers, same) - layers.begin());
}

uint64_t Weights::parameters() const {
  uint64_t total = 0;
  if (files == nullptr) return 0;
  for (const auto& [name, view] : files->tensors()) total += view.elements();
  return total;
}

// The table of relative positions, and a convolution.
static void bind_relative(const TensorNames& names, const Architecture& a, Binder& bind, Weights& weights) {
  const Attention& attention = a.blocks[0].attention;
  if (attention.position == PositionKind::kDisentangled || attention.position == PositionKind::kBuckets) {
    const size_t width = attention.position == PositionKind::kBuckets ? attention.heads : a.hidden;
    weights.relative = bind.tensor(names.relative, {attention.relative.rows, width});
  }
  if (a.relative_norm) weights.relative_norm = bind.norm(names.relative_norm, true);
  if (!a.convolution) return;
  weights.convolution = bind.tensor(names.convolution.name + ".weight", {a.hidden, a.hidden, a.convolution->width});
  weights.convolution_bias = bind.tensor(names.convolution.name + ".bias", {a.hidden});
  weights.convolution_norm = bind.norm(names.convolution_norm, true);
}

// All that the architecture has, in the order of computing.
static Weights bind_all(const Architecture& a, const TensorNames& names, Binder& bind) {
  Weights weights;
  const Embedding& e = a.embedding;
  bind.width(e.width);
  weights.words = bind.tensor(names.words, {e.vocabulary, e.width});
  weights.words.factor = e.scale;
  if (e.position_rows > 0) weights.positions = bind.tensor(names.positions, {e.position_rows, e.width});
  if (e.segment_rows > 0) weights.segments = bind.tensor(names.segments, {e.segment_rows, e.width});
  if (e.norm) weights.embedding_norm = bind.norm(names.embedding_norm, a.norm_bias);
  if (e.width != a.hidden || e.projected)
    weights.embedding_projection = bind.linear(names.embedding_projection, a.hidden, e.width, true);
  bind.width(a.hidden);
  bind_relative(names, a, bind, weights);
  for (size_t i = 0; i < a.layers() && bind.status().ok(); ++i)
    weights.layers.push_back(bind.layer(i, names.layers[i]));
  if (a.final_norm) weights.final_norm = bind.block_norm(names.final_norm);
  const Scoring& scoring = a.scoring;
  const size_t dense = scoring.dense_width != 0 ? scoring.dense_width : a.hidden;
  if (scoring.dense) weights.head_dense = bind.linear(names.head_dense, dense, a.hidden, scoring.dense_bias);
  if (scoring.norm) weights.head_norm = bind.norm(names.head_norm, scoring.norm_bias);
  weights.head_output = scoring.answers ? bind.answers(names.head_output.name, weights.words, weights.answer_rows)
                                        : bind.linear(names.head_output, scoring.labels, dense, scoring.output_bias);
  weights.head_output = Binder::scaled(std::move(weights.head_output), scoring.scale);
  for (size_t layer = scoring.first_output; layer != 0 && layer <= a.layers(); ++layer) {
    const TensorSource name = {names.outputs(layer)};
    weights.outputs.push_back(bind.linear(name, scoring.labels, a.hidden, scoring.output_bias));
  }
  return weights;
}

std::vector<WantedTensor> wanted_tensors(const ModelConfig& config) {
  std::vector<WantedTensor> wanted;
  const TensorFiles none;
  Binder bind(none, config.architecture, &wanted);
  bind_all(config.architecture, config.family->names(config.architecture, none), bind);
  return wanted;
}

uint64_t WantedTensor::elements() const {
  uint64_t product = 1;
  for (const size_t side : shape) product *= side;
  return product;
}

Result<Weights> bind_weights(const ModelConfig& config, std::shared_ptr<const TensorFiles> files) {
  const Architecture& a = config.architecture;
  TensorNames names = config.family->names(a, *files);
  take_names_of_files(*files, names);
  Binder bind(*files, a);
  Weights weights = bind_all(a, names, bind);
  bind.note_unused();
  RETURN_IF_ERROR(bind.status());
  weights.used = bind.take_used();
  weights.quantized = bind.quantized();
  weights.int4 = bind.int4();
  weights.files = std::move(files);
  return weights;
}

// The rows of the head's last layer are its labels.
static void read_labels_of(const TensorFiles& files, ModelConfig& config) {
  const TensorNames names = config.family->names(config.architecture, files);
  const auto found = files.tensors().find(names.head_output.name + ".weight");
  if (found == files.tensors().end() || found->second.shape.size() != 2) return;  // binding says so
  const size_t rows = found->second.shape[0];
  if (rows != 1 && rows != 2) return;
  config.architecture.scoring.labels = rows;
  config.label = rows == 2 ? "LABEL_1" : "LABEL_0";
}

// Of a head that makes vectors: its widths are said by the tensors alone.
static Status read_widths_of(const TensorFiles& files, ModelConfig& config) {
  const TensorNames names = config.family->names(config.architecture, files);
  const auto rows_of_matrix = [&](const TensorSource& source, size_t& rows) {
    const auto found = files.tensors().find(source.name + ".weight");
    if (found == files.tensors().end() || found->second.shape.size() != 2) return ok_status();  // binding says so
    rows = found->second.shape[0];
    if (rows != 0 && rows <= kMaxVectorWidth) return ok_status();
    return absl::InvalidArgumentError(str_cat(files.origin(), ": tensor ", source.name, ".weight makes vectors of ",
                                              rows, " numbers; 1 to ", kMaxVectorWidth, " are read"));
  };
  Scoring& scoring = config.architecture.scoring;
  RETURN_IF_ERROR(rows_of_matrix(names.head_dense, scoring.dense_width));
  return rows_of_matrix(names.head_output, scoring.labels);
}

Result<std::shared_ptr<const Model>> load_model(const std::string& folder, bool graph_named) {
  const bool graph = graph_named || !onnx_files(folder).empty() || !torchscript_files(folder).empty();
  const auto with_graph = [&](const Status& why) -> Result<std::shared_ptr<const Model>> {
    ASSIGN_OR_RETURN(auto config, read_graph_config(folder));
    return std::make_shared<const Model>(Model{folder, std::move(config), {}, why});
  };
  auto config = read_model_config(folder);
  if (!config.ok()) {
    return graph && absl::IsUnimplemented(config.status()) ? with_graph(config.status()) : config.status();
  }
  auto files = TensorFiles::open_folder(folder);
  if (!files.ok()) return graph && absl::IsNotFound(files.status()) ? with_graph(files.status()) : files.status();
  if (config->architecture.scoring.answers) {
    RETURN_IF_ERROR(find_answers(folder, config->architecture.scoring));
  } else if (config->architecture.scoring.marks) {
    RETURN_IF_ERROR(find_marks(folder, config->architecture));
    RETURN_IF_ERROR(read_widths_of(**files, *config));
  } else if (!config->labels_said) {
    read_labels_of(**files, *config);
  }
  ASSIGN_OR_RETURN(auto weights, bind_weights(*config, std::move(*files)));
  return std::make_shared<const Model>(Model{folder, std::move(*config), std::move(weights), {}});
}

}  // namespace rerank::model
