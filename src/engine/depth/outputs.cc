#include "engine/depth/outputs.h"

#include <cmath>
#include <vector>

#include "model/exits.h"

namespace rerank::engine {
namespace {

// What a row is multiplied by to be of length 1 in the mean, or, of LayerNorm, less its mean.
struct NormOf {
  double mean = 0, scale = 1;

  NormOf(const float* row, size_t width, model::NormKind kind, double epsilon) {
    double variance = 0;
    for (size_t i = 0; kind == model::NormKind::kLayer && i < width; ++i) mean += row[i];
    mean /= static_cast<double>(width);
    for (size_t i = 0; i < width; ++i) variance += (row[i] - mean) * (row[i] - mean);
    scale = 1 / std::sqrt(variance / static_cast<double>(width) + epsilon);
  }
};

}  // namespace

void outputs_of_pooled(const model::Model& model, size_t layers, std::span<const float> pooled,
                       std::span<float> logits) {
  const model::Architecture& a = model.architecture();
  const model::Linear& output = model.weights.outputs[layers - a.scoring.first_output];
  const std::vector<float> weight = output.weight.floats(), bias = output.bias_floats();
  const bool normed = a.final_norm;
  const std::vector<float> gamma = normed ? model.weights.final_norm->gamma.floats() : std::vector<float>(a.hidden, 1);
  const std::vector<float> beta = normed ? model.weights.final_norm->beta_floats() : std::vector<float>(a.hidden);
  for (size_t s = 0; s < logits.size(); ++s) {
    const float* row = &pooled[s * model::exit_width(a)];  // the scored token's
    const NormOf norm(row, a.hidden, a.norm, a.norm_epsilon);
    double z[2] = {};
    for (size_t label = 0; label < a.scoring.labels; ++label) {
      double sum = bias[label];
      for (size_t i = 0; i < a.hidden; ++i) {
        const double x = normed ? (row[i] - norm.mean) * norm.scale * gamma[i] + beta[i] : row[i];
        sum += x * weight[label * a.hidden + i];
      }
      z[label] = a.scoring.softcap != 0 ? a.scoring.softcap * std::tanh(sum / a.scoring.softcap) : sum;
    }
    logits[s] = static_cast<float>(a.scoring.labels == 1 ? z[0] : z[1] - z[0]);
  }
}

}  // namespace rerank::engine
