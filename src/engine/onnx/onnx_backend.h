// The ONNX engine: a cross-encoder's graph on ONNX Runtime. Pads inside.
#pragma once

#include <memory>
#include <string>

#include "engine/backend.h"

namespace rerank::engine {

// Loads ONNX Runtime and the model's graph: BackendOptions::onnx_file, else the one of model.onnx, onnx/model.onnx,
// onnx/model_quantized.onnx, ... that has the precision asked for. Errors say what is missing, or what in the file does
// not fit; Unimplemented where this program was built without the engine.
Result<std::unique_ptr<Backend>> make_onnx_backend(std::shared_ptr<const model::Model> model,
                                                   const BackendOptions& options);

// The file and library it would use, or the refusal. Loads the library, no weights.
Result<std::string> describe_onnx_backend(const model::Model& model, const BackendOptions& options);

}  // namespace rerank::engine
