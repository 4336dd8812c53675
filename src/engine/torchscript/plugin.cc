// The plugin: libtorch behind plugin.h. The only file that includes its headers.
#include "engine/torchscript/plugin.h"

#include <ATen/Parallel.h>
#include <torch/script.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

struct RerankdTorchModule {
  torch::jit::Module module;
  std::vector<int> inputs;  // of run(), in the order of forward()'s arguments
  size_t labels = 1;
};

namespace {

// The first line: what follows is a stack trace of the machine that exported the file.
void write_error(const std::exception& error, char* out, size_t bytes) {
  const std::string text = error.what();
  std::snprintf(out, bytes, "%s", text.substr(0, text.find('\n')).c_str());
}

int input_of(const std::string& name) {
  if (name == "input_ids") return kRerankdTorchIds;
  if (name == "attention_mask" || name == "input_mask") return kRerankdTorchMask;
  if (name == "token_type_ids" || name == "segment_ids") return kRerankdTorchSegments;
  if (name == "position_ids") return kRerankdTorchPositions;
  return -1;
}

// By the names of forward()'s arguments; a traced module that has lost them takes ids, mask and segments in that order.
std::vector<int> inputs_of(const torch::jit::Module& module) {
  std::vector<int> inputs;
  const auto& arguments = module.get_method("forward").function().getSchema().arguments();
  const bool named =
      std::any_of(arguments.begin(), arguments.end(), [](const auto& a) { return input_of(a.name()) >= 0; });
  for (size_t i = 1; i < arguments.size(); ++i) {
    const int input = input_of(arguments[i].name());
    if (input < 0 && named) {
      if (arguments[i].default_value()) break;
      throw std::runtime_error("argument " + arguments[i].name() +
                               " of forward(): not known; a cross-encoder's are input_ids, attention_mask, "
                               "token_type_ids and position_ids");
    }
    inputs.push_back(input >= 0 ? input : static_cast<int>(i) - 1);
  }
  if (inputs.empty() || inputs.size() > 4) throw std::runtime_error("forward() does not take token ids and a mask");
  return inputs;
}

torch::Tensor logits_of(const torch::IValue& value) {
  if (value.isTensor()) return value.toTensor();
  if (value.isTuple()) return logits_of(value.toTupleRef().elements().at(0));
  if (value.isGenericDict()) return logits_of(value.toGenericDict().at("logits"));
  throw std::runtime_error("forward() returns neither a tensor, nor a tuple, nor a dictionary with logits");
}

torch::Tensor compute(RerankdTorchModule& module, const int64_t* const inputs[4], int64_t rows, int64_t length) {
  const c10::InferenceMode guard;
  std::vector<torch::IValue> arguments;
  for (int input : module.inputs) {
    arguments.emplace_back(torch::from_blob(const_cast<int64_t*>(inputs[input]), {rows, length}, torch::kInt64));
  }
  return logits_of(module.module.forward(std::move(arguments))).to(torch::kFloat32).contiguous();
}

// Two short sequences, to see that it is a cross-encoder's.
void probe(RerankdTorchModule& module) {
  const std::vector<int64_t> zeros(16, 0), ones(16, 1);
  const int64_t* const inputs[4] = {zeros.data(), ones.data(), zeros.data(), ones.data()};
  const torch::Tensor out = compute(module, inputs, 2, 8);
  const bool fits = out.dim() > 0 && out.size(0) == 2 &&
                    (out.dim() == 1 || (out.dim() == 2 && (out.size(1) == 1 || out.size(1) == 2)));
  if (!fits) {
    std::string shape;
    for (int64_t size : out.sizes()) shape += (shape.empty() ? "" : ",") + std::to_string(size);
    throw std::runtime_error("its output has shape [" + shape +
                             "] for 2 sequences; a cross-encoder's is [N,1], [N] or [N,2]");
  }
  module.labels = out.dim() == 2 ? static_cast<size_t>(out.size(1)) : 1;
}

RerankdTorchModule* open(const char* path, int threads, RerankdTorchInfo* info, char* error, size_t error_bytes) {
  try {
    static std::once_flag once;
    std::call_once(once, [] { at::set_num_interop_threads(1); });
    at::set_num_threads(threads);
    auto module = std::make_unique<RerankdTorchModule>();
    module->module = torch::jit::load(path, torch::kCPU);
    module->module.eval();
    module->inputs = inputs_of(module->module);
    probe(*module);
    info->inputs = 0;
    for (int input : module->inputs) info->inputs |= 1u << input;
    info->labels = module->labels;
    return module.release();
  } catch (const std::exception& failure) {
    write_error(failure, error, error_bytes);
    return nullptr;
  }
}

bool run(RerankdTorchModule* module, const int64_t* const inputs[4], int64_t rows, int64_t length, float* logits,
         char* error, size_t error_bytes) {
  try {
    const torch::Tensor out = compute(*module, inputs, rows, length);
    if (out.numel() != rows * static_cast<int64_t>(module->labels))
      throw std::runtime_error("its output changed shape");
    std::copy_n(out.const_data_ptr<float>(), out.numel(), logits);
    return true;
  } catch (const std::exception& failure) {
    write_error(failure, error, error_bytes);
    return false;
  }
}

void close(RerankdTorchModule* module) { delete module; }

const RerankdTorchApi kApi = {kRerankdTorchInterface, TORCH_VERSION, open, run, close};

}  // namespace

extern "C" __attribute__((visibility("default"))) const RerankdTorchApi* rerankd_torch_api() { return &kApi; }
