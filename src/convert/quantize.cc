#include "convert/quantize.h"
#include "base/json/writer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "base/half.h"
#include "base/status_macros.h"
#include "engine/encoder.h"
#include "engine/reference/reference_backend.h"

namespace rerank::convert {
namespace {

float largest_magnitude(const float* x, size_t n) {
  float largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

// What an int8 engine computes of a linear layer.
class Int8Linear {
 public:
  explicit Int8Linear(const model::Linear& linear)
      : in_(linear.in()), out_(linear.out()), matrix_(quantize_rows(linear.weight)), bias_(linear.bias_floats()) {}

  // y [rows, out] of x [rows, in].
  void apply(std::span<const float> x, std::span<float> y) const {
    std::vector<uint8_t> row(in_);
    for (size_t r = 0; r < x.size() / in_; ++r) {
      const auto [lowest, highest] = std::minmax_element(&x[r * in_], &x[r * in_] + in_);
      const float scale = std::max(*highest - *lowest, 1e-30f) / 255;
      for (size_t i = 0; i < in_; ++i)
        row[i] = static_cast<uint8_t>(std::nearbyint((x[r * in_ + i] - *lowest) / scale));
      for (size_t o = 0; o < out_; ++o) {
        int32_t sum = 0, sum_of_weights = 0;
        const int8_t* weights = &matrix_.values[o * in_];
        for (size_t i = 0; i < in_; ++i) {
          sum += weights[i] * row[i];
          sum_of_weights += weights[i];
        }
        const float whole = static_cast<float>(sum) * scale + static_cast<float>(sum_of_weights) * *lowest;
        y[r * out_ + o] = whole * matrix_.scales[o] + bias_[o];
      }
    }
  }

 private:
  size_t in_, out_;
  Int8Matrix matrix_;
  std::vector<float> bias_;
};

class Calibration {
 public:
  Calibration(std::shared_ptr<const model::Model> model, const engine::Batch& batch, const CalibrationOptions& options)
      : model_(std::move(model)), batch_(batch), options_(options) {
    const std::vector<model::LayerWeights>& layers = model_->weights.layers;
    for (const model::LayerWeights& layer : layers) {
      const bool last = &layer == &layers.back() && engine::last_rows(model_->architecture()) == engine::Rows::kScored;
      for (const model::Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.attention_output,
                                          layer.gate ? &*layer.gate : nullptr, &layer.up, &layer.down}) {
        if (linear == nullptr) continue;
        const bool all_rows = !last || linear == &layer.key || linear == &layer.value;
        order_.push_back(linear);
        sites_.emplace(linear, Site{Int8Linear(*linear), !all_rows});
      }
    }
  }

  Result<Int8Report> run() {
    std::vector<float> exact, all, chosen;
    RETURN_IF_ERROR(pass(exact, [&](Site& site, auto x, auto y) { measure(site, x, y); }));
    choose();
    const auto whole = [](Site& site, auto x, auto y) {
      if (!site.first_rows) site.int8.apply(x, y);
    };
    RETURN_IF_ERROR(pass(all, whole));
    const auto mixed = [](Site& site, auto x, auto y) {
      if (!site.kept) site.int8.apply(x, y);
    };
    RETURN_IF_ERROR(pass(chosen, mixed));
    report_.pairs = batch_.size();
    report_.tokens = batch_.tokens();
    report_.all = difference(all, exact);
    report_.chosen = difference(chosen, exact);
    const auto [low, high] = std::minmax_element(exact.begin(), exact.end());
    report_.spread = *high - *low;
    return report_;
  }

 private:
  struct Site {
    Int8Linear int8;
    bool first_rows = false;     // only these go through it: exact costs nothing
    double error = 0, size = 0;  // squared
    bool kept = false;
  };

  template <class Body>
  Status pass(std::vector<float>& logits, const Body& body) {
    const auto backend = engine::make_reference_backend(
        model_, nullptr, [&](const model::Linear& linear, std::span<const float> x, std::span<float> y) {
          body(sites_.at(&linear), x, y);
        });
    logits.clear();
    for (size_t s = 0; s < batch_.size(); ++s) {
      const size_t begin = batch_.offsets[s], length = batch_.length(s);
      const uint32_t offsets[] = {0, static_cast<uint32_t>(length)};
      const engine::Batch one = {batch_.ids.subspan(begin, length), batch_.segments.subspan(begin, length), offsets};
      // Of marked tokens there may be none in these texts.
      std::vector<float> results(std::max<size_t>(1, engine::result_count(model_->architecture(), one)));
      RETURN_IF_ERROR(backend->forward(one, results));
      logits.insert(logits.end(), results.begin(), results.end());
      if (options_.progress) options_.progress(++done_, 3 * batch_.size());
    }
    return ok_status();
  }

  void measure(Site& site, std::span<const float> x, std::span<const float> y) {
    other_.resize(y.size());
    site.int8.apply(x, other_);
    for (size_t i = 0; i < y.size(); ++i) {
      const double error = static_cast<double>(other_[i]) - y[i];
      site.error += error * error;
      site.size += static_cast<double>(y[i]) * y[i];
    }
  }

  void choose() {
    std::vector<double> errors;
    for (const model::Linear* linear : order_) {
      const Site& site = sites_.at(linear);
      errors.push_back(std::sqrt(site.error / std::max(site.size, 1e-30)));
    }
    std::vector<double> sorted = errors;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(sorted.size() / 2), sorted.end());
    report_.limit = options_.sensitivity * sorted[sorted.size() / 2];
    for (size_t i = 0; i < order_.size(); ++i) {
      const std::string& name = order_[i]->weight.name;
      Site& site = sites_.at(order_[i]);
      site.kept = site.first_rows || errors[i] > report_.limit || (options_.excluded && options_.excluded(name));
      report_.matrices.push_back({name, errors[i], site.kept});
    }
  }

  static LogitError difference(const std::vector<float>& logits, const std::vector<float>& exact) {
    LogitError result;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double d = std::abs(static_cast<double>(logits[i]) - exact[i]);
      result.largest = std::max(result.largest, d);
      result.mean += d / static_cast<double>(exact.size());
    }
    return result;
  }

  std::shared_ptr<const model::Model> model_;
  const engine::Batch& batch_;
  const CalibrationOptions& options_;
  std::vector<const model::Linear*> order_;
  std::map<const model::Linear*, Site> sites_;
  std::vector<float> other_;
  Int8Report report_;
  uint64_t done_ = 0;
};

}  // namespace

Int8Matrix quantize_rows(const model::TensorView& weight) {
  const size_t out = weight.shape[0], in = weight.shape[1];
  Int8Matrix matrix{std::vector<int8_t>(out * in), std::vector<float>(out)};
  std::vector<float> row(in);
  for (size_t o = 0; o < out; ++o) {
    weight.read_floats(o * in, row);
    const float largest = largest_magnitude(row.data(), in);
    const float scale = largest > 0 ? largest / 127 : 1;
    matrix.scales[o] = scale;
    for (size_t i = 0; i < in; ++i) matrix.values[o * in + i] = static_cast<int8_t>(std::nearbyint(row[i] / scale));
  }
  return matrix;
}

Int4Matrix quantize_groups(const model::TensorView& weight) {
  const size_t out = weight.shape[0], in = weight.shape[1], groups = in / kInt4Inputs;
  Int4Matrix matrix{std::vector<uint8_t>(out * in / 2), std::vector<uint16_t>(out * groups)};
  std::vector<float> row(in);
  for (size_t o = 0; o < out; ++o) {
    weight.read_floats(o * in, row);
    for (size_t g = 0; g < groups; ++g) {
      float largest = 0;
      for (size_t i = g * kInt4Inputs; i < (g + 1) * kInt4Inputs; ++i)
        if (std::abs(row[i]) > std::abs(largest)) largest = row[i];
      const uint16_t scale = matrix.scales[o * groups + g] = to_bf16(largest / -8);
      const float unit = std::bit_cast<float>(static_cast<uint32_t>(scale) << 16);
      const float inverse = unit != 0 && std::isfinite(1 / unit) ? 1 / unit : 0;
      for (size_t i = g * kInt4Inputs; i < (g + 1) * kInt4Inputs; ++i) {
        const auto number = static_cast<int>(std::clamp(std::lrint(row[i] * inverse) + 8, 0L, 15L));
        matrix.numbers[(o * in + i) / 2] |= static_cast<uint8_t>(number << (i % 2 * 4));
      }
    }
  }
  return matrix;
}

Result<Int8Report> calibrate_int8(std::shared_ptr<const model::Model> model, const engine::Batch& batch,
                                  const CalibrationOptions& options) {
  if (!model->has_weights()) return model->no_weights;
  for (const model::LayerWeights& layer : model->weights.layers) {
    if (layer.router || layer.global_query)
      return absl::UnimplementedError(
          "int8 weights of a model with experts, or a global first token, are not made; --precision int8 of the cpu "
          "engine computes it");
  }
  if (batch.size() == 0) return absl::InvalidArgumentError("calibration: no pairs");
  RETURN_IF_ERROR(engine::check_batch(model->architecture(), batch));
  return Calibration(std::move(model), batch, options).run();
}

std::string report_json(const Int8Report& report) {
  JsonWriter json(JsonStyle::kIndented);
  const auto number = [&](const char* key, double value) {
    json.key(key);
    json.value(value);
  };
  const auto logits = [&](const char* key, const LogitError& error) {
    json.key(key);
    json.begin_object();
    number("largest", error.largest);
    number("mean", error.mean);
    json.end_object();
  };
  json.begin_object();
  json.key("calibration");
  json.begin_object();
  json.key("pairs");
  json.value(report.pairs);
  json.key("tokens");
  json.value(report.tokens);
  number("logits_span", report.spread);
  json.end_object();
  logits("logit_error_all_int8", report.all);
  logits("logit_error_as_written", report.chosen);
  number("kept_above", report.limit);
  json.key("matrices");
  json.begin_array();
  for (const MatrixError& matrix : report.matrices) {
    json.begin_object();
    json.key("name");
    json.value(matrix.name.c_str());
    number("relative_error", matrix.error);
    json.key("int8");
    json.value(!matrix.kept);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return json.take() + "\n";
}

}  // namespace rerank::convert
