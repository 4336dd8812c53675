// A model folder -> another one that serves as it is: an ONNX graph, or weights in another precision. Without Python.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/weights.h"
#include "rerank/choice.h"
#include "rerank/status.h"

namespace rerank::convert {

// Told of bytes written, some ten times a second; may be empty.
using ConvertProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

struct ConvertOptions {
  Precision precision = Precision::kFp32;  // onnx: fp32, fp16, int8; safetensors: fp32, fp16, bf16, int8, int4
  size_t keep_layers = 0;                  // the first N; 0: all
  std::vector<std::string> exclude;        // int8: matrices whose name contains one of these stay as they are
  bool reduce_range = false;               // int8: weights of 7 bits, which do not saturate on CPUs without VNNI
  // int8 graphs: one scale for the activations of each token, or one for all of a batch as DynamicQuantizeLinear has
  // it.
  bool scale_per_token = true;
  uint64_t inline_bytes =
      1800000000;  // above this the weights go into a file next to the graph: a protobuf ends at 2 GiB
  // int8 and int4 weights: config.json says so, and which modules are not quantized.
  bool quantization_in_config = false;
  std::vector<std::string> ignored_modules;
  ConvertProgress progress;
};

// Names of the files in an ONNX folder.
inline constexpr char kOnnxFile[] = "model.onnx";
inline constexpr char kOnnxDataFile[] = "model.onnx_data";

// Writes `out`/model.onnx (opset 12). InvalidArgument for options that do not fit the model; Unavailable when the
// disk does not take it: then nothing is left under the final names.
Status write_onnx(const model::Model& model, const std::string& out, const ConvertOptions& options);

// Whether a matrix of that name is one of options.exclude.
bool is_excluded(const ConvertOptions& options, const std::string& name);

// Writes `out`/model.safetensors. int8: matrices of linear layers as `compressed-tensors` has them (int8 with a scale
// for each output, activations quantized for each token as they come); all else as it was. int4:
// numbers of 4 bits with a bf16 scale for each 32 inputs, of matrices whose inputs are a multiple of 32.
Status write_safetensors(const model::Model& model, const std::string& out, const ConvertOptions& options);

// Writes `out`/model-ROWSxLENGTH.mlir for each shape, StableHLO text (engine/pjrt/stablehlo/forward.h), and what its
// arguments are: `out`/weights.safetensors, by the arguments' names. options.precision: fp32 or bf16. Errors as of
// write_onnx().
struct ProgramShape {
  size_t rows = 0, length = 0;
};
Status write_stablehlo(const model::Model& model, const std::string& out, const std::vector<ProgramShape>& shapes,
                       const ConvertOptions& options);

// What a model folder has besides weights: config.json, with the new number of layers and precision, and the
// tokenizer's files.
Status copy_companions(const model::Model& model, const std::string& out, const ConvertOptions& options);

}  // namespace rerank::convert
