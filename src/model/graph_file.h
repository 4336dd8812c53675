// What an .onnx file says about itself, read from its protobuf wire format without loading weights: enough to refuse a
// wrong file at start with a message that says why. Source of the format: onnx.proto of onnx 1.12
// (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "rerank/choice.h"
#include "rerank/status.h"

namespace rerank::model {

struct GraphFile {
  std::string path;
  std::string producer;                     // "pytorch 2.15.0"
  int64_t opset = 0;                        // of the standard operators
  Precision precision = Precision::kFp32;   // of the weights that are multiplied: fp32, fp16, bf16 or int8
  std::vector<std::string> external;        // files of weights beside it, by their paths
  std::map<std::string, size_t> operators;  // how often each occurs
};

// InvalidArgument: not an ONNX model, or one that names files outside its folder; NotFound: it, or a file of weights,
// is not there; Unimplemented: an opset that ONNX Runtime does not run. `whole`: its files of weights must be there.
Result<GraphFile> read_graph_file(const std::string& path, bool whole = true);

// Oldest opset that ONNX Runtime promises to run.
inline constexpr int64_t kOldestOpset = 7;

}  // namespace rerank::model
