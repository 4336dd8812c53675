// Exported graphs in a model folder: files that hold the whole computation, not only weights.
#pragma once

#include <string>
#include <vector>

#include "rerank/choice.h"

namespace rerank::model {

// `folder`/*.onnx and `folder`/onnx/*.onnx by path; model.onnx first, then the others by name.
std::vector<std::string> onnx_files(const std::string& folder);

// Names under which a repository may keep the graph of a precision (kAuto: of none), the likeliest first.
struct GraphNames {
  std::vector<std::string> wanted;
  std::vector<std::string> instead;  // where none of those is there and no precision was asked for
};
GraphNames usual_graph_names(Precision precision);

// TorchScript files: `folder`/*.torchscript, and *.pt and *.pth of which the name says what they are (model.pt,
// traced_model.pt, ...): other .pt files are checkpoints.
std::vector<std::string> torchscript_files(const std::string& folder);

}  // namespace rerank::model
