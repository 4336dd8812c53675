#include "engine/onnx/providers.h"

#include <unordered_map>

#include "absl/strings/str_split.h"
#include "base/strings.h"

namespace rerank::engine::onnx {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Texts {
  std::vector<const char*> keys, values;
  explicit Texts(const Pairs& pairs) {
    for (const auto& [key, value] : pairs) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
  }
};

void append_cuda(OrtSessionOptions* session, const Texts& texts) {
  const OrtApi& api = Ort::GetApi();
  OrtCUDAProviderOptionsV2* cuda = nullptr;
  Ort::ThrowOnError(api.CreateCUDAProviderOptions(&cuda));
  const auto owner = std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(api.ReleaseCUDAProviderOptions)>(
      cuda, api.ReleaseCUDAProviderOptions);
  Ort::ThrowOnError(api.UpdateCUDAProviderOptions(cuda, texts.keys.data(), texts.values.data(), texts.keys.size()));
  Ort::ThrowOnError(api.SessionOptionsAppendExecutionProvider_CUDA_V2(session, cuda));
}

void append_tensorrt(OrtSessionOptions* session, const Texts& texts) {
  const OrtApi& api = Ort::GetApi();
  OrtTensorRTProviderOptionsV2* tensorrt = nullptr;
  Ort::ThrowOnError(api.CreateTensorRTProviderOptions(&tensorrt));
  const auto owner = std::unique_ptr<OrtTensorRTProviderOptionsV2, decltype(api.ReleaseTensorRTProviderOptions)>(
      tensorrt, api.ReleaseTensorRTProviderOptions);
  Ort::ThrowOnError(
      api.UpdateTensorRTProviderOptions(tensorrt, texts.keys.data(), texts.values.data(), texts.keys.size()));
  Ort::ThrowOnError(api.SessionOptionsAppendExecutionProvider_TensorRT_V2(session, tensorrt));
}

void append_dnnl(OrtSessionOptions* session, const Texts& texts) {
  const OrtApi& api = Ort::GetApi();
  OrtDnnlProviderOptions* dnnl = nullptr;
  Ort::ThrowOnError(api.CreateDnnlProviderOptions(&dnnl));
  const auto owner = std::unique_ptr<OrtDnnlProviderOptions, decltype(api.ReleaseDnnlProviderOptions)>(
      dnnl, api.ReleaseDnnlProviderOptions);
  Ort::ThrowOnError(api.UpdateDnnlProviderOptions(dnnl, texts.keys.data(), texts.values.data(), texts.keys.size()));
  Ort::ThrowOnError(api.SessionOptionsAppendExecutionProvider_Dnnl(session, dnnl));
}

// The name that the generic call wants where it is not the full one without its ending.
std::string generic_name(const ProviderChoice& choice) {
  return choice.full_name.substr(0, choice.full_name.find("ExecutionProvider"));
}

}  // namespace

Result<std::vector<ProviderChoice>> parse_providers(const std::string& text, const Runtime& runtime) {
  std::vector<ProviderChoice> choices;
  std::string there;
  for (const std::string& full : runtime.providers) there += str_cat(there.empty() ? "" : ", ", provider_name(full));
  const std::vector<std::string> parts = absl::StrSplit(text.empty() ? "cpu" : text, ',');
  for (const std::string& part : parts) {
    const size_t colon = part.find(':');
    ProviderChoice choice{provider_name(part.substr(0, colon)), "", {}};
    for (const std::string& full : runtime.providers) {
      if (provider_name(full) == choice.name) choice.full_name = full;
    }
    if (choice.full_name.empty()) {
      return absl::InvalidArgumentError(str_cat("--onnx-provider ", choice.name, ": ONNX Runtime ", runtime.version,
                                                " at ", runtime.path, " does not have it; it has ", there));
    }
    const std::string rest = colon == std::string::npos ? "" : part.substr(colon + 1);
    const std::vector<std::string> pairs = absl::StrSplit(rest, ';', absl::SkipEmpty());
    for (const std::string& pair : pairs) {
      const size_t equals = pair.find('=');
      if (equals == std::string::npos || equals == 0)
        return absl::InvalidArgumentError(str_cat("--onnx-provider ", choice.name, ": ", pair, ": not KEY=VALUE"));
      choice.options.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    }
    if (choice.name == "cpu" && !choice.options.empty())
      return absl::InvalidArgumentError("--onnx-provider cpu: it has no options; see --threads");
    choices.push_back(std::move(choice));
  }
  return choices;
}

void append_providers(Ort::SessionOptions& options, const std::vector<ProviderChoice>& choices) {
  for (const ProviderChoice& choice : choices) {
    const Texts texts(choice.options);
    if (choice.name == "cpu") continue;  // always there, after all others
    if (choice.name == "cuda") {
      append_cuda(options, texts);
    } else if (choice.name == "tensorrt") {
      append_tensorrt(options, texts);
    } else if (choice.name == "dnnl") {
      append_dnnl(options, texts);
    } else {
      const std::unordered_map<std::string, std::string> pairs(choice.options.begin(), choice.options.end());
      options.AppendExecutionProvider(generic_name(choice), pairs);
    }
  }
}

}  // namespace rerank::engine::onnx
