#include "engine/reference/reference_backend.h"

#include <cmath>
#include <vector>

#include "base/status_macros.h"
#include "engine/attention_pattern.h"
#include "engine/encoder.h"
#include "engine/experts.h"

namespace rerank::engine {
namespace {

struct DenseMatrix {
  size_t rows = 0, columns = 0;
  std::vector<float> values;

  DenseMatrix() = default;
  DenseMatrix(size_t r, size_t c) : rows(r), columns(c), values(r * c) {}
  float* row(size_t i) { return values.data() + i * columns; }
  const float* row(size_t i) const { return values.data() + i * columns; }
};

// sum + a b. Nobody writes what it reads meanwhile: ThreadSanitizer, with calls at each step, would take an hour over
// the tests.
[[gnu::no_sanitize_thread]] double add_dot(double sum, const float* a, const float* b, size_t n) {
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

struct DenseLinear {
  size_t out = 0, in = 0;
  std::vector<float> weight, bias;
  const model::Linear* source = nullptr;

  DenseLinear() = default;
  explicit DenseLinear(const model::Linear& w)
      : out(w.out()), in(w.in()), weight(w.weight.floats()), bias(w.bias_floats()), source(&w) {}

  void apply(const float* x, float* y) const {
    for (size_t o = 0; o < out; ++o) y[o] = static_cast<float>(add_dot(bias[o], weight.data() + o * in, x, in));
  }
  DenseMatrix apply(const DenseMatrix& x, const LinearHook* hook = nullptr) const {
    DenseMatrix y(x.rows, out);
    for (size_t r = 0; r < x.rows; ++r) apply(x.row(r), y.row(r));
    if (hook != nullptr && *hook) (*hook)(*source, x.values, y.values);
    return y;
  }
};

struct DenseNorm {
  std::vector<float> gamma, beta;
  model::NormKind kind = model::NormKind::kLayer;

  DenseNorm() = default;
  DenseNorm(const model::Norm& w, model::NormKind k) : gamma(w.gamma.floats()), beta(w.beta_floats()), kind(k) {}
  DenseNorm(const std::optional<model::Norm>& w, model::NormKind k) {
    if (w) *this = DenseNorm(*w, k);
  }

  void apply(float* x, float epsilon) const {
    const size_t n = gamma.size();
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n && kind == model::NormKind::kLayer; ++i) mean += x[i];
    mean /= static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
    const double scale = 1 / std::sqrt(variance / static_cast<double>(n) + epsilon);
    for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>((x[i] - mean) * scale * gamma[i] + beta[i]);
  }
  DenseMatrix of(DenseMatrix x, float epsilon) const {
    for (size_t r = 0; r < x.rows; ++r) apply(x.row(r), epsilon);
    return x;
  }
};

float activate(model::Activation activation, float value) {
  const double x = value;
  switch (activation) {
    case model::Activation::kGelu:
      return static_cast<float>(0.5 * x * (1 + std::erf(x / std::sqrt(2.0))));
    case model::Activation::kGeluTanh:
      return static_cast<float>(0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))));
    case model::Activation::kRelu:
      return value > 0 ? value : 0;
    case model::Activation::kSilu:
      return static_cast<float>(x / (1 + std::exp(-x)));
    case model::Activation::kTanh:
      return static_cast<float>(std::tanh(x));
  }
  return value;
}

struct DenseExpert {
  DenseLinear gate, up, down;

  explicit DenseExpert(const model::ExpertWeights& w)
      : gate(w.gate ? DenseLinear(*w.gate) : DenseLinear()), up(w.up), down(w.down) {}
};

struct DenseLayer {
  DenseLinear query, key, value, attention_output, gate, up, down;  // gate.out 0: not gated
  DenseNorm attention_norm, output_norm, query_norm, key_norm, attention_sum_norm, output_sum_norm;
  std::vector<float> position_keys, position_queries;  // of disentangled attention, [relative.rows, hidden]
  DenseLinear router = {};
  std::vector<DenseExpert> experts = {};
  std::vector<float> experts_bias = {};                               // empty: none
  DenseLinear global_query = {}, global_key = {}, global_value = {};  // out 0: the first token is as the others
};

class ReferenceOps {
 public:
  ReferenceOps(std::shared_ptr<const model::Model> model, LinearHook hook)
      : model_(std::move(model)), hook_(std::move(hook)) {
    const model::Weights& w = model_->weights;
    words_ = w.words.floats();
    if (w.positions) positions_ = w.positions->floats();
    if (w.segments) segments_ = w.segments->floats();
    const model::NormKind kind = architecture().norm;
    if (w.embedding_norm) embedding_norm_ = DenseNorm(*w.embedding_norm, kind);
    if (w.embedding_projection) projection_ = DenseLinear(*w.embedding_projection);
    if (w.relative) relative_ = relative_table(w, architecture());
    if (w.convolution) {
      convolution_ = w.convolution->floats();
      convolution_bias_ = w.convolution_bias->floats();
      convolution_norm_ = DenseNorm(*w.convolution_norm, kind);
    }
    for (const model::LayerWeights& l : w.layers) {
      layers_.push_back({.query = DenseLinear(l.query),
                         .key = DenseLinear(l.key),
                         .value = DenseLinear(l.value),
                         .attention_output = DenseLinear(l.attention_output),
                         .gate = l.gate ? DenseLinear(*l.gate) : DenseLinear(),
                         .up = l.router ? DenseLinear() : DenseLinear(l.up),
                         .down = l.router ? DenseLinear() : DenseLinear(l.down),
                         .attention_norm = DenseNorm(l.attention_norm, kind),
                         .output_norm = DenseNorm(l.output_norm, kind),
                         .query_norm = DenseNorm(l.query_norm, kind),
                         .key_norm = DenseNorm(l.key_norm, kind),
                         .attention_sum_norm = DenseNorm(l.attention_sum_norm, kind),
                         .output_sum_norm = DenseNorm(l.output_sum_norm, kind)});
      DenseLayer& layer = layers_.back();
      if (l.router) layer.router = DenseLinear(*l.router);
      for (const model::ExpertWeights& expert : l.experts) layer.experts.emplace_back(expert);
      if (l.experts_bias) layer.experts_bias = l.experts_bias->floats();
      if (l.global_query) layer.global_query = DenseLinear(*l.global_query);
      if (l.global_key) layer.global_key = DenseLinear(*l.global_key);
      if (l.global_value) layer.global_value = DenseLinear(*l.global_value);
      if (l.position_key) layers_.back().position_keys = projected_positions(relative_, *l.position_key);
      if (l.position_query) layers_.back().position_queries = projected_positions(relative_, *l.position_query);
    }
    if (w.final_norm) final_norm_ = DenseNorm(*w.final_norm, kind);
    if (w.head_dense) head_dense_ = DenseLinear(*w.head_dense);
    if (w.head_norm) head_norm_ = DenseNorm(*w.head_norm, kind);
    head_output_ = DenseLinear(w.head_output);
    for (const model::Linear& output : w.outputs) outputs_.emplace_back(output);
  }

  const model::Architecture& architecture() const { return model_->config.architecture; }

  BlockOrder order(size_t layer) const {
    const model::Block& block = architecture().blocks[layer];
    return {block.placement == model::NormPlacement::kPre, block.attention_norm,
            layer == 0 && architecture().convolution.has_value()};
  }

  void embed(const Batch& batch) {
    const size_t width = architecture().embedding.width;
    stream_ = DenseMatrix(batch.tokens(), width);
    for (size_t s = 0; s < batch.size(); ++s) {
      for (size_t i = 0; i < batch.length(s); ++i) {
        const size_t t = batch.offsets[s] + i;
        float* row = stream_.row(t);
        std::copy_n(&words_[static_cast<size_t>(batch.ids[t]) * width], width, row);
        if (!positions_.empty()) add(&positions_[(architecture().embedding.position_offset + i) * width], width, row);
        if (!segments_.empty()) add(&segments_[static_cast<size_t>(batch.segments[t]) * width], width, row);
      }
    }
    if (architecture().embedding.norm) stream_ = norm(embedding_norm_, std::move(stream_));
    if (projection_.out != 0) stream_ = projection_.apply(stream_);
    if (architecture().convolution) embedded_ = stream_;
    input_ = stream_;
  }

  void norm_attention(size_t layer) { input_ = norm(layers_[layer].attention_norm, stream_); }

  void project(size_t layer, const Batch& batch, Rows) {  // computes all rows always: plain before fast
    attention_ = &architecture().blocks[layer].attention;
    layer_ = &layers_[layer];
    query_ = layers_[layer].query.apply(input_, &hook_);
    key_ = layers_[layer].key.apply(input_, &hook_);
    value_ = layers_[layer].value.apply(input_, &hook_);
    if (layer_->global_query.out != 0) {
      global_query_ = layer_->global_query.apply(input_, &hook_);
      global_key_ = layer_->global_key.apply(input_, &hook_);
      global_value_ = layer_->global_value.apply(input_, &hook_);
    }
    if (attention_->query_key_norm) {
      norm_heads(layers_[layer].query_norm, query_);
      norm_heads(layers_[layer].key_norm, key_);
    }
    if (attention_->position != model::PositionKind::kRope) return;
    const std::vector<float> table = rope_table(attention_->rope, attention_->head_size, architecture().max_length);
    apply_rope(batch, table, query_);
    apply_rope(batch, table, key_);
  }

  void attend(const Batch& batch, Rows) {
    context_ = DenseMatrix(batch.tokens(), attention_->heads * attention_->head_size);
    for (size_t s = 0; s < batch.size(); ++s) {
      for (size_t h = 0; h < attention_->heads; ++h) {
        for (size_t i = 0; i < batch.length(s); ++i) attend_row(batch.offsets[s], batch.length(s), i, h);
      }
    }
  }

  void select_rows(const Batch& batch, Rows rows) {
    if (rows == Rows::kAll) return;
    for (DenseMatrix* matrix : {&stream_, &input_, &context_}) *matrix = scored_rows(batch, *matrix);
  }

  void add_attention(size_t layer) {
    add_sum(layers_[layer].attention_output.apply(context_, &hook_), layers_[layer].attention_sum_norm);
    if (!order(layer).pre_norm) stream_ = norm(layers_[layer].attention_norm, std::move(stream_));
    input_ = stream_;
  }

  void norm_feed_forward(size_t layer) { input_ = norm(layers_[layer].output_norm, stream_); }

  void add_feed_forward(size_t layer) {
    const DenseLayer& w = layers_[layer];
    const model::FeedForward& ff = architecture().blocks[layer].feed_forward;
    add_sum(ff.experts ? mixed(ff, w) : fed_forward(ff, input_, w.gate, w.up, w.down), w.output_sum_norm);
    if (!order(layer).pre_norm) stream_ = norm(w.output_norm, std::move(stream_));
    input_ = stream_;
  }

  // stream = norm(stream + activation(convolution(the embedding's rows))).
  void add_convolution(const Batch& batch, Rows rows) {
    const size_t hidden = architecture().hidden, width = architecture().convolution->width;
    for (size_t s = 0; s < batch.size(); ++s) {
      const size_t scored = scored_row(architecture(), batch, s) - batch.offsets[s];
      for (size_t i = 0; i < batch.length(s); ++i) {
        if (rows == Rows::kScored && i != scored) continue;
        float* to = stream_.row(rows == Rows::kScored ? s : batch.offsets[s] + i);
        for (size_t o = 0; o < hidden; ++o) {
          double sum = convolution_bias_[o];
          for (size_t k = 0; k < width; ++k) {
            const size_t from = i + k;  // of the row before the first, plus half the width
            if (from < width / 2 || from - width / 2 >= batch.length(s)) continue;
            const float* x = embedded_.row(batch.offsets[s] + from - width / 2);
            for (size_t c = 0; c < hidden; ++c)
              sum += static_cast<double>(convolution_[(o * hidden + c) * width + k]) * x[c];
          }
          to[o] += activate(architecture().convolution->activation, static_cast<float>(sum));
        }
      }
    }
    stream_ = norm(convolution_norm_, std::move(stream_));
    input_ = stream_;
  }

  void choose_output(size_t layers) {
    const size_t first = architecture().scoring.first_output;
    output_ = first != 0 && layers >= first ? &outputs_[layers - first] : &head_output_;
  }

  void norm_final() { stream_ = norm(final_norm_, std::move(stream_)); }

  void score(const Batch& batch, std::span<float> logits) {
    const model::Scoring& scoring = architecture().scoring;
    if (scoring.rows == model::ScoredRows::kMean) stream_ = mean_rows(batch, stream_);
    if (scoring.rows == model::ScoredRows::kMarked) stream_ = rows_at(marked_rows(architecture(), batch), stream_);
    DenseMatrix dense = stream_;
    if (scoring.dense) {
      dense = head_dense_.apply(stream_);
      for (float& v : dense.values) v = activate(scoring.activation, v);
    }
    if (scoring.norm) dense = head_norm_.of(std::move(dense), scoring.norm_epsilon);
    DenseMatrix z = output_->apply(dense);
    if (scoring.rows == model::ScoredRows::kMeanOfLogits) z = mean_rows(batch, z);
    for (float& v : z.values) v = capped(v, scoring.softcap);
    if (scoring.rows == model::ScoredRows::kMarked) return void(std::ranges::copy(z.values, logits.begin()));
    for (size_t s = 0; s < z.rows; ++s) logits[s] = z.columns == 1 ? z.row(s)[0] : z.row(s)[1] - z.row(s)[0];
  }

  void save_state(const Batch&, std::span<float> out) {
    std::copy(stream_.values.begin(), stream_.values.end(), out.begin());
  }

 private:
  DenseMatrix fed_forward(const model::FeedForward& ff, const DenseMatrix& x, const DenseLinear& gate,
                          const DenseLinear& up, const DenseLinear& down) const {
    DenseMatrix inner = up.apply(x, &hook_);
    if (ff.gate == model::GateHalf::kNone) {
      for (float& v : inner.values) v = activate(ff.activation, v);
    } else {
      const DenseMatrix gates = gate.apply(x, &hook_);
      for (size_t i = 0; i < inner.values.size(); ++i) inner.values[i] *= activate(ff.activation, gates.values[i]);
    }
    return down.apply(inner, &hook_);
  }

  // What the chosen experts of each row give, by their weights.
  DenseMatrix mixed(const model::FeedForward& ff, const DenseLayer& w) const {
    DenseMatrix sum(input_.rows, architecture().hidden);
    const DenseMatrix scores = w.router.apply(input_);
    std::vector<ExpertShare> chosen;
    for (size_t r = 0; r < input_.rows; ++r) {
      DenseMatrix row(1, input_.columns);
      std::copy_n(input_.row(r), input_.columns, row.row(0));
      choose_experts(*ff.experts, {scores.row(r), scores.columns}, chosen);
      for (const auto& [number, weight] : chosen) {
        const DenseExpert& expert = w.experts[number];
        const DenseMatrix given = fed_forward(ff, row, expert.gate, expert.up, expert.down);
        for (size_t c = 0; c < sum.columns; ++c) sum.row(r)[c] += weight * given.values[c];
      }
      for (size_t c = 0; c < w.experts_bias.size(); ++c) sum.row(r)[c] += w.experts_bias[c];
    }
    return sum;
  }

  void apply_rope(const Batch& batch, const std::vector<float>& table, DenseMatrix& rows) const {
    const size_t d = attention_->head_size, half = d / 2;
    for (size_t s = 0; s < batch.size(); ++s) {
      for (size_t i = 0; i < batch.length(s); ++i) {
        for (size_t h = 0; h < rows.columns / d; ++h) {
          float* x = rows.row(batch.offsets[s] + i) + h * d;
          for (size_t c = 0; c < half; ++c) {
            const double a = x[c], b = x[c + half], cosine = table[i * d + c], sine = table[i * d + half + c];
            x[c] = static_cast<float>(a * cosine - b * sine);
            x[c + half] = static_cast<float>(b * cosine + a * sine);
          }
        }
      }
    }
  }

  static float capped(double value, float cap) {
    return static_cast<float>(cap == 0 ? value : cap * std::tanh(value / cap));
  }

  // Whether the token at position i sees the one at j.
  bool attends(size_t i, size_t j) const {
    const size_t window = attention_->window, distance = i > j ? i - j : j - i;
    if (attention_->mask == model::MaskKind::kWindow) return distance <= window;
    if (attention_->mask == model::MaskKind::kWindowAndFirst) return i == 0 || j == 0 || distance <= window;
    if (attention_->mask == model::MaskKind::kCausal) return j <= i && (window == 0 || distance < window);
    return true;
  }

  void attend_row(size_t first, size_t length, size_t i, size_t head) {
    const size_t d = attention_->head_size, column = head * d;
    const size_t kv_column = head / (attention_->heads / attention_->kv_heads) * d;
    const double scale = attention_->score_scale != 0 ? attention_->score_scale : 1 / std::sqrt(static_cast<double>(d));
    const bool alibi = attention_->position == model::PositionKind::kAlibi;
    const double slope = alibi ? alibi_slope(attention_->heads, head) : 0;
    std::vector<double> weights(length);
    double largest = -INFINITY, sum = 0;
    const bool global = attention_->mask == model::MaskKind::kWindowAndFirst && i == 0;
    const DenseMatrix &keys = global ? global_key_ : key_, &values = global ? global_value_ : value_;
    const float* q = (global ? global_query_ : query_).row(first + i) + column;
    for (size_t j = 0; j < length; ++j) {
      const float* k = keys.row(first + j) + kv_column;
      weights[j] = add_dot(0, q, k, d);
      if (attention_->position == model::PositionKind::kDisentangled) {
        const auto row = relative_row(*attention_, static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(j));
        const size_t at = row * architecture().hidden + column;
        for (size_t c = 0; c < d && !layer_->position_keys.empty(); ++c)
          weights[j] += static_cast<double>(q[c]) * layer_->position_keys[at + c];
        for (size_t c = 0; c < d && !layer_->position_queries.empty(); ++c)
          weights[j] += static_cast<double>(k[c]) * layer_->position_queries[at + c];
      }
      weights[j] *= scale;
      if (attention_->softcap != 0) weights[j] = attention_->softcap * std::tanh(weights[j] / attention_->softcap);
      if (attention_->position == model::PositionKind::kBuckets) {
        const auto row = relative_row(*attention_, static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(j));
        weights[j] += relative_[row * attention_->heads + head];
      }
      const size_t distance = i > j ? i - j : j - i;
      weights[j] -= slope * static_cast<double>(distance);
      if (!attends(i, j)) weights[j] = -INFINITY;
      largest = std::max(largest, weights[j]);
    }
    for (double& w : weights) sum += w = std::exp(w - largest);
    float* out = context_.row(first + i) + column;
    for (size_t c = 0; c < d; ++c) {
      double value = 0;
      for (size_t j = 0; j < length; ++j) value += weights[j] / sum * values.row(first + j)[kv_column + c];
      out[c] = static_cast<float>(value);
    }
  }

  DenseMatrix scored_rows(const Batch& batch, const DenseMatrix& all) const {
    DenseMatrix rows(batch.size(), all.columns);
    for (size_t s = 0; s < batch.size(); ++s)
      std::copy_n(all.row(scored_row(architecture(), batch, s)), all.columns, rows.row(s));
    return rows;
  }
  static DenseMatrix rows_at(const std::vector<uint32_t>& numbers, const DenseMatrix& all) {
    DenseMatrix rows(numbers.size(), all.columns);
    for (size_t i = 0; i < numbers.size(); ++i) std::copy_n(all.row(numbers[i]), all.columns, rows.row(i));
    return rows;
  }
  static DenseMatrix mean_rows(const Batch& batch, const DenseMatrix& all) {
    DenseMatrix rows(batch.size(), all.columns);
    for (size_t s = 0; s < batch.size(); ++s) {
      for (size_t c = 0; c < all.columns; ++c) {
        double sum = 0;
        for (size_t i = 0; i < batch.length(s); ++i) sum += all.row(batch.offsets[s] + i)[c];
        rows.row(s)[c] = static_cast<float>(sum / static_cast<double>(batch.length(s)));
      }
    }
    return rows;
  }
  static void add(const float* values, size_t count, float* to) {
    for (size_t c = 0; c < count; ++c) to[c] += values[c];
  }
  // A norm of each head's part of the rows.
  void norm_heads(const DenseNorm& weights, DenseMatrix& rows) const {
    for (size_t at = 0; at < rows.values.size(); at += attention_->head_size)
      weights.apply(&rows.values[at], architecture().norm_epsilon);
  }
  // What a part of a block adds, after its norm where there is one.
  void add_sum(DenseMatrix sum, const DenseNorm& weights) {
    add(weights.gamma.empty() ? sum : norm(weights, std::move(sum)));
  }
  void add(const DenseMatrix& other) { add(other.values.data(), other.values.size(), stream_.values.data()); }
  DenseMatrix norm(const DenseNorm& weights, DenseMatrix x) const {
    return weights.of(std::move(x), architecture().norm_epsilon);
  }

  std::shared_ptr<const model::Model> model_;
  LinearHook hook_;
  std::vector<float> words_, positions_, segments_;  // empty: no such table
  DenseNorm embedding_norm_, final_norm_, head_norm_;
  DenseLinear projection_, head_dense_, head_output_;
  std::vector<DenseLinear> outputs_;
  const DenseLinear* output_ = &head_output_;  // of the pass that is being computed
  std::vector<DenseLayer> layers_;
  std::vector<float> relative_, convolution_, convolution_bias_;
  DenseNorm convolution_norm_;
  DenseMatrix embedded_;  // of a convolution: the embedding's rows
  DenseMatrix stream_, input_, query_, key_, value_, context_;
  DenseMatrix global_query_, global_key_, global_value_;
  const model::Attention* attention_ = nullptr;  // of the block that is being computed
  const DenseLayer* layer_ = nullptr;
};

class ReferenceBackend : public Backend {
 public:
  ReferenceBackend(std::shared_ptr<const model::Model> model, std::shared_ptr<const model::Exits> exits,
                   LinearHook hook)
      : ops_(std::move(model), std::move(hook)), exits_(std::move(exits)) {
    info_ = {.engines = {EngineKind::kReference},
             .precisions = {Precision::kFp32},
             .kernel = "plain",
             .threads = 1,
             .max_length = ops_.architecture().max_length};
  }
  const BackendInfo& info() const override { return info_; }
  Status forward(const Batch& batch, std::span<float> logits) override {
    RETURN_IF_ERROR(check_batch(ops_.architecture(), batch));
    for (size_t s = 0, at = 0; s < batch.size(); ++s) {  // one by one: each may have its own depth
      const Depth depth = depth_of(ops_.architecture(), batch, s, exits_.get());
      const uint32_t offsets[] = {0, static_cast<uint32_t>(batch.length(s))};
      const Batch one = alone(batch, s, offsets);
      const size_t results = result_count(ops_.architecture(), one);
      encode_to(ops_.architecture(), one, ops_, depth, logits.subspan(at, results));
      at += results;
    }
    return ok_status();
  }
  Status forward_with_states(const Batch& batch, std::span<float> logits, std::span<float> states) override {
    RETURN_IF_ERROR(check_batch(ops_.architecture(), batch));
    encode_with_states(ops_.architecture(), batch, ops_, logits, states);
    return ok_status();
  }

 private:
  static Batch alone(const Batch& batch, size_t s, std::span<const uint32_t> offsets) {
    return {batch.ids.subspan(batch.offsets[s], batch.length(s)),
            batch.segments.subspan(batch.offsets[s], batch.length(s)), offsets};
  }

  ReferenceOps ops_;
  std::shared_ptr<const model::Exits> exits_;
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend(std::shared_ptr<const model::Model> model,
                                                std::shared_ptr<const model::Exits> exits, LinearHook hook) {
  return std::make_unique<ReferenceBackend>(std::move(model), std::move(exits), std::move(hook));
}

}  // namespace rerank::engine
