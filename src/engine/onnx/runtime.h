// ONNX Runtime, loaded at run time: a program that does not use it does not need it. One library per process.
#pragma once

#include <string>
#include <vector>

#include "rerank/status.h"

namespace rerank::engine::onnx {

struct Runtime {
  std::string path;
  std::string version;                 // "1.31.1"
  std::vector<std::string> providers;  // as ONNX Runtime names them: "CPUExecutionProvider", ...
};

// Loads `library`, or where that is empty the first found: beside the program (../lib/rerankd), where setup put it,
// where the system has it. Later calls get the same. Thread-safe. Errors: NotFound; InvalidArgument for a file that is
// not an ONNX Runtime, or for another one than this process uses already; Unimplemented for one that is too old.
Result<const Runtime*> load_runtime(const std::string& library);

// "CUDAExecutionProvider" -> "cuda"
std::string provider_name(std::string_view full_name);

}  // namespace rerank::engine::onnx
