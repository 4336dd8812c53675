#include "engine/reference/reference_backend.h"

#include <cmath>
#include <vector>

#include "engine/attention_pattern.h"
#include "engine/encoder.h"

namespace rerank {
namespace {

struct DenseMatrix {
  size_t rows = 0, columns = 0;
  std::vector<float> values;

  DenseMatrix() = default;
  DenseMatrix(size_t r, size_t c) : rows(r), columns(c), values(r * c) {}
  float* row(size_t i) { return values.data() + i * columns; }
  const float* row(size_t i) const { return values.data() + i * columns; }
};

struct DenseLinear {
  size_t out = 0, in = 0;
  std::vector<float> weight, bias;
  const Linear* source = nullptr;

  DenseLinear() = default;
  explicit DenseLinear(const Linear& w)
      : out(w.out()), in(w.in()), weight(w.weight.floats()), bias(w.bias.floats()), source(&w) {}

  void apply(const float* x, float* y) const {
    for (size_t o = 0; o < out; ++o) {
      double sum = bias[o];
      for (size_t i = 0; i < in; ++i) sum += static_cast<double>(weight[o * in + i]) * x[i];
      y[o] = static_cast<float>(sum);
    }
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

  DenseNorm() = default;
  explicit DenseNorm(const Norm& w) : gamma(w.gamma.floats()), beta(w.beta.floats()) {}

  void apply(float* x, float epsilon) const {
    const size_t n = gamma.size();
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; ++i) mean += x[i];
    mean /= static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
    const double scale = 1 / std::sqrt(variance / static_cast<double>(n) + epsilon);
    for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>((x[i] - mean) * scale * gamma[i] + beta[i]);
  }
};

float activate(Activation activation, float value) {
  const double x = value;
  switch (activation) {
    case Activation::kGelu:
      return static_cast<float>(0.5 * x * (1 + std::erf(x / std::sqrt(2.0))));
    case Activation::kGeluTanh:
      return static_cast<float>(0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))));
    case Activation::kRelu:
      return value > 0 ? value : 0;
    case Activation::kSilu:
      return static_cast<float>(x / (1 + std::exp(-x)));
    case Activation::kTanh:
      return static_cast<float>(std::tanh(x));
  }
  return value;
}

struct DenseLayer {
  DenseLinear query, key, value, attention_output, up, down;
  DenseNorm attention_norm, output_norm;
};

class ReferenceOps {
 public:
  ReferenceOps(std::shared_ptr<const Model> model, LinearHook hook) : model_(std::move(model)), hook_(std::move(hook)) {
    const Weights& w = model_->weights;
    words_ = w.words.floats();
    positions_ = w.positions.floats();
    if (w.segments) segments_ = w.segments->floats();
    embedding_norm_ = DenseNorm(w.embedding_norm);
    if (w.embedding_projection) projection_ = DenseLinear(*w.embedding_projection);
    for (const LayerWeights& l : w.layers) {
      layers_.push_back({DenseLinear(l.query), DenseLinear(l.key), DenseLinear(l.value),
                         DenseLinear(l.attention_output), DenseLinear(l.up), DenseLinear(l.down),
                         DenseNorm(l.attention_norm), DenseNorm(l.output_norm)});
    }
    head_dense_ = DenseLinear(w.head_dense);
    head_output_ = DenseLinear(w.head_output);
  }

  void embed(const Batch& batch) {
    const size_t width = config().embedding;
    hidden_ = DenseMatrix(batch.tokens(), width);
    for (size_t s = 0; s < batch.size(); ++s) {
      for (size_t i = 0; i < batch.length(s); ++i) {
        const size_t t = batch.offsets[s] + i;
        float* row = hidden_.row(t);
        const float* word = &words_[static_cast<size_t>(batch.ids[t]) * width];
        const float* position = &positions_[(config().position_offset + i) * width];
        for (size_t c = 0; c < width; ++c) row[c] = word[c] + position[c];
        if (segments_.empty()) continue;
        const float* segment = &segments_[static_cast<size_t>(batch.segments[t]) * width];
        for (size_t c = 0; c < width; ++c) row[c] += segment[c];
      }
    }
    norm_rows(embedding_norm_);
    if (projection_.out != 0) hidden_ = projection_.apply(hidden_);
  }

  void project(size_t layer, const Batch& batch, Rows) {  // computes all rows always: plain before fast
    pattern_ = config().pattern(layer);
    query_ = layers_[layer].query.apply(hidden_, &hook_);
    key_ = layers_[layer].key.apply(hidden_, &hook_);
    value_ = layers_[layer].value.apply(hidden_, &hook_);
    if (pattern_.rope_theta == 0) return;
    const std::vector<float> turns = rope_turns(pattern_.rope_theta, config().head_size(), config().max_length());
    turn(batch, turns, query_);
    turn(batch, turns, key_);
  }

  void attend(const Batch& batch, Rows) {
    const size_t heads = config().heads;
    context_ = DenseMatrix(batch.tokens(), config().hidden);
    for (size_t s = 0; s < batch.size(); ++s) {
      for (size_t h = 0; h < heads; ++h) {
        for (size_t i = 0; i < batch.length(s); ++i) attend_row(batch.offsets[s], batch.length(s), i, h);
      }
    }
  }

  void keep(const Batch& batch, Rows rows) {
    if (rows == Rows::kAll) return;
    hidden_ = first_rows(batch, hidden_);
    context_ = first_rows(batch, context_);
  }

  void attention_output(size_t layer) {
    add(layers_[layer].attention_output.apply(context_, &hook_));
    norm_rows(layers_[layer].attention_norm);
  }

  void feed_forward(size_t layer) {
    DenseMatrix inner = layers_[layer].up.apply(hidden_, &hook_);
    for (float& v : inner.values) v = activate(config().activation, v);
    add(layers_[layer].down.apply(inner, &hook_));
    norm_rows(layers_[layer].output_norm);
  }

  void head(std::span<float> logits) {
    DenseMatrix dense = head_dense_.apply(hidden_);
    for (float& v : dense.values) v = activate(config().head_activation, v);
    const DenseMatrix z = head_output_.apply(dense);
    for (size_t s = 0; s < z.rows; ++s) logits[s] = z.columns == 1 ? z.row(s)[0] : z.row(s)[1] - z.row(s)[0];
  }

  void suspend(const Batch&, std::span<float> out) {
    std::copy(hidden_.values.begin(), hidden_.values.end(), out.begin());
  }

  const ModelConfig& config() const { return model_->config; }

 private:
  void turn(const Batch& batch, const std::vector<float>& turns, DenseMatrix& rows) const {
    const size_t d = config().head_size(), half = d / 2;
    for (size_t s = 0; s < batch.size(); ++s) {
      for (size_t i = 0; i < batch.length(s); ++i) {
        for (size_t h = 0; h < config().heads; ++h) {
          float* x = rows.row(batch.offsets[s] + i) + h * d;
          for (size_t c = 0; c < half; ++c) {
            const double a = x[c], b = x[c + half], cosine = turns[i * d + c], sine = turns[i * d + half + c];
            x[c] = static_cast<float>(a * cosine - b * sine);
            x[c + half] = static_cast<float>(b * cosine + a * sine);
          }
        }
      }
    }
  }

  void attend_row(size_t first, size_t length, size_t i, size_t head) {
    const size_t d = config().head_size(), column = head * d;
    const double slope = pattern_.alibi ? alibi_slope(config().heads, head) : 0;
    std::vector<double> weights(length);
    double largest = -INFINITY, sum = 0;
    const float* q = query_.row(first + i) + column;
    for (size_t j = 0; j < length; ++j) {
      const float* k = key_.row(first + j) + column;
      for (size_t c = 0; c < d; ++c) weights[j] += static_cast<double>(q[c]) * k[c];
      weights[j] /= std::sqrt(static_cast<double>(d));
      const size_t distance = i > j ? i - j : j - i;
      weights[j] -= slope * static_cast<double>(distance);
      if (pattern_.window != 0 && distance > pattern_.window) weights[j] = -INFINITY;
      largest = std::max(largest, weights[j]);
    }
    for (double& w : weights) sum += w = std::exp(w - largest);
    float* out = context_.row(first + i) + column;
    for (size_t c = 0; c < d; ++c) {
      double value = 0;
      for (size_t j = 0; j < length; ++j) value += weights[j] / sum * value_.row(first + j)[column + c];
      out[c] = static_cast<float>(value);
    }
  }

  static DenseMatrix first_rows(const Batch& batch, const DenseMatrix& all) {
    DenseMatrix first(batch.size(), all.columns);
    for (size_t s = 0; s < batch.size(); ++s) {
      std::copy_n(all.row(batch.offsets[s]), all.columns, first.row(s));
    }
    return first;
  }
  void add(const DenseMatrix& other) {
    for (size_t i = 0; i < hidden_.values.size(); ++i) hidden_.values[i] += other.values[i];
  }
  void norm_rows(const DenseNorm& norm) {
    for (size_t r = 0; r < hidden_.rows; ++r) norm.apply(hidden_.row(r), config().layer_norm_epsilon);
  }

  std::shared_ptr<const Model> model_;
  LinearHook hook_;
  std::vector<float> words_, positions_, segments_;
  DenseNorm embedding_norm_;
  DenseLinear projection_, head_dense_, head_output_;
  std::vector<DenseLayer> layers_;
  DenseMatrix hidden_, query_, key_, value_, context_;
  AttentionPattern pattern_;  // of the layer that is being computed
};

class ReferenceBackend : public Backend {
 public:
  ReferenceBackend(std::shared_ptr<const Model> model, std::shared_ptr<const Exits> exits, LinearHook hook)
      : ops_(std::move(model), std::move(hook)), exits_(std::move(exits)) {
    info_ = {"reference", "fp32", "plain", 1, ops_.config().max_length()};
  }
  const BackendInfo& info() const override { return info_; }
  Status forward(const Batch& batch, std::span<float> logits) override {
    if (Status status = check_batch(ops_.config(), batch); !status.ok()) return status;
    for (size_t s = 0; s < batch.size(); ++s) {  // one by one: each may have its own depth
      const Depth depth = depth_of(ops_.config(), batch, s, exits_.get());
      const uint32_t offsets[] = {0, static_cast<uint32_t>(batch.length(s))};
      encode_to(ops_.config(), alone(batch, s, offsets), ops_, depth, logits.subspan(s, 1));
    }
    return ok_status();
  }
  Status forward_with_states(const Batch& batch, std::span<float> logits, std::span<float> states) override {
    if (Status status = check_batch(ops_.config(), batch); !status.ok()) return status;
    encode_with_states(ops_.config(), batch, ops_, logits, states);
    return ok_status();
  }

 private:
  static Batch alone(const Batch& batch, size_t s, std::span<const uint32_t> offsets) {
    return {batch.ids.subspan(batch.offsets[s], batch.length(s)),
            batch.segments.subspan(batch.offsets[s], batch.length(s)), offsets};
  }

  ReferenceOps ops_;
  std::shared_ptr<const Exits> exits_;
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend(std::shared_ptr<const Model> model, std::shared_ptr<const Exits> exits,
                                                LinearHook hook) {
  return std::make_unique<ReferenceBackend>(std::move(model), std::move(exits), std::move(hook));
}

}  // namespace rerank
