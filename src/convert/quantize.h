// int8 weights: which matrices lose by it, found on a short calibration.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/batch.h"
#include "model/weights.h"
#include "rerank/status.h"

namespace rerank::convert {

// W [out, in] in whole numbers of -127..127, each row in units of its scale.
struct Int8Matrix {
  std::vector<int8_t> values;
  std::vector<float> scales;
};
Int8Matrix quantize_rows(const model::TensorView& weight);

// W [out, in], in a multiple of kInt4Inputs: numbers 0..15, two a byte, the first lowest; each group of a row's inputs
// is in units of its scale in bf16, 8 less than its number. The weight of largest magnitude is number 0, or -8 units,
// as the cpu engine quantizes.
struct Int4Matrix {
  std::vector<uint8_t> numbers;
  std::vector<uint16_t> scales;
};
inline constexpr size_t kInt4Inputs = 32;
Int4Matrix quantize_groups(const model::TensorView& weight);

struct MatrixError {
  std::string name;   // of the tensor
  double error = 0;   // |y_int8 - y| / |y| of its outputs on the calibration's activations, as norms
  bool kept = false;  // from quantization
};

// |logit - exact logit| over the calibration's pairs.
struct LogitError {
  double largest = 0, mean = 0;
};

struct Int8Report {
  size_t pairs = 0, tokens = 0;
  double limit = 0;                   // errors above it are kept
  std::vector<MatrixError> matrices;  // in the order of computing
  LogitError all, chosen;             // with all matrices quantized, and with those that were chosen
  double spread = 0;                  // of the exact logits
};

struct CalibrationOptions {
  // A matrix is kept when its error is above this many times the median of all. Always kept is what only the first rows
  // of the last layer go through: engines compute that exactly anyway.
  double sensitivity = 1.5;
  std::function<bool(const std::string& name)> excluded;        // may be empty
  std::function<void(uint64_t done, uint64_t total)> progress;  // pairs, over three passes; may be empty
};

// Runs the reference engine three times over the batch: exact, with all matrices of the layers in int8 (weights for
// each output, activations for each token) except those that are always kept, and with those chosen.
Result<Int8Report> calibrate_int8(std::shared_ptr<const model::Model> model, const engine::Batch& batch,
                                  const CalibrationOptions& options);

// The report as JSON.
std::string report_json(const Int8Report& report);

}  // namespace rerank::convert
