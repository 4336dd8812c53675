// Execution providers: what ONNX Runtime computes on.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/onnx/ort.h"
#include "engine/onnx/runtime.h"

namespace rerank::engine::onnx {

struct ProviderChoice {
  std::string name;       // "cuda", as provider_name() has it
  std::string full_name;  // "CUDAExecutionProvider"
  std::vector<std::pair<std::string, std::string>> options;
};

// NAME[:KEY=VALUE[;KEY=VALUE...]][,NAME...], first preferred; empty: the CPU. InvalidArgument for what is not of that
// form, or not in this library: the message lists what is.
Result<std::vector<ProviderChoice>> parse_providers(const std::string& text, const Runtime& runtime);

// Adds them to the options of a session; throws Ort::Exception.
void append_providers(Ort::SessionOptions& options, const std::vector<ProviderChoice>& choices);

}  // namespace rerank::engine::onnx
