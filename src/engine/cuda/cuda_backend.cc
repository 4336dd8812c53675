#include "engine/cuda/cuda_backend.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "engine/cuda/plugin.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibrary = "librerank_cuda.so";

// Beside the program, where it is installed, where it was built.
std::vector<std::string> places() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::string> found = {(program / kLibrary).string(),
                                    (program / "../lib/rerankd" / kLibrary).lexically_normal().string()};
  if (std::string(RERANKD_CUDA_LIBRARY) != "") found.push_back(RERANKD_CUDA_LIBRARY);
  return found;
}

Result<const cuda::Plugin*> load_library() {
  std::string looked;
  for (const std::string& place : places()) {
    std::error_code error;
    looked += str_cat(looked.empty() ? "" : ", ", place);
    if (!fs::exists(place, error)) continue;
    void* handle = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: the driver has threads of its own
    if (handle == nullptr) {
      const char* why = ::dlerror();
      return absl::UnimplementedError(str_cat(place, ": ", why == nullptr ? "cannot be loaded" : why));
    }
    const auto get = reinterpret_cast<const cuda::Plugin* (*)()>(::dlsym(handle, "rerank_cuda_plugin"));
    if (get == nullptr || get()->version != cuda::kPluginVersion)
      return absl::UnimplementedError(str_cat(place, ": belongs to another version of rerankd"));
    return get();
  }
  return absl::UnimplementedError(str_cat(kLibrary, " is not there (looked for ", looked,
                                          "): build where CUDA's nvcc is, or install it beside the program"));
}

// One library per process; a failure is remembered too, for a machine does not grow a driver while it runs.
const Result<const cuda::Plugin*>& library() {
  static const Result<const cuda::Plugin*> loaded = load_library();
  return loaded;
}

Status status_of(cuda::Code code, const char* message) {
  switch (code) {
    case cuda::Code::kOk:
      return ok_status();
    case cuda::Code::kOutOfMemory:
      return absl::ResourceExhaustedError(str_cat("cuda engine: ", message));
    case cuda::Code::kUnavailable:
    case cuda::Code::kUnsupported:
      return absl::UnimplementedError(str_cat("cuda engine: ", message));
    case cuda::Code::kFailed:
      break;
  }
  return absl::InternalError(str_cat("cuda engine: ", message));
}

struct Choice {
  const cuda::Plugin* plugin = nullptr;
  cuda::Type type = cuda::Type::kBf16;
  std::string precision, device;  // "bf16", "NVIDIA H100, sm_90, 78 GiB"
};

Result<Choice> choose(const Model& model, const BackendOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  if (options.exits != nullptr) return absl::UnimplementedError("cuda engine: --exits: computes all layers");
  if (options.kernel != "auto") return absl::InvalidArgumentError("cuda engine: --kernel: there is one, auto");
  Choice choice;
  choice.precision = options.precision == "auto" ? "bf16" : options.precision;
  if (choice.precision == "fp32") choice.type = cuda::Type::kF32;
  if (choice.precision == "fp16") choice.type = cuda::Type::kF16;
  if (choice.precision != "fp32" && choice.precision != "fp16" && choice.precision != "bf16") {
    return absl::InvalidArgumentError(
        str_cat("cuda engine: --precision ", options.precision, ": there are auto (bf16), fp16, bf16, fp32"));
  }
  const ModelConfig& c = model.config;
  if (c.hidden % 8 != 0 || c.embedding % 8 != 0 || c.intermediate % 8 != 0 || c.head_size() % 8 != 0)
    return absl::UnimplementedError("cuda engine: widths that are not multiples of 8");
  if (!library().ok()) return library().status();
  choice.plugin = *library();
  char error[512] = "", text[256] = "";
  int count = 0;
  cuda::Code code = choice.plugin->devices(&count, error, sizeof error);
  if (code == cuda::Code::kOk) code = choice.plugin->describe(0, text, sizeof text, error, sizeof error);
  if (Status status = status_of(code, error); !status.ok()) return status;
  choice.device = text;
  return choice;
}

cuda::Tensor tensor_of(const TensorView& view) {
  const cuda::Type type = view.dtype == DType::kF16    ? cuda::Type::kF16
                          : view.dtype == DType::kBF16 ? cuda::Type::kBf16
                                                       : cuda::Type::kF32;
  return {view.bytes.data(), type, view.elements()};
}
cuda::LinearSpec linear_of(const Linear& linear) {
  return {tensor_of(linear.weight), tensor_of(linear.bias), static_cast<uint32_t>(linear.out()),
          static_cast<uint32_t>(linear.in())};
}
cuda::NormSpec norm_of(const Norm& norm) { return {tensor_of(norm.gamma), tensor_of(norm.beta)}; }

// `layers` is what the result points to.
cuda::ModelSpec spec_of(const Model& model, std::vector<cuda::LayerSpec>& layers) {
  const ModelConfig& c = model.config;
  const Weights& w = model.weights;
  for (const LayerWeights& l : w.layers) {
    layers.push_back({linear_of(l.query), linear_of(l.key), linear_of(l.value), linear_of(l.attention_output),
                      linear_of(l.up), linear_of(l.down), norm_of(l.attention_norm), norm_of(l.output_norm)});
  }
  const auto narrow = [](size_t n) { return static_cast<uint32_t>(n); };
  cuda::ModelSpec spec;
  spec.layers = narrow(c.layers);
  spec.hidden = narrow(c.hidden);
  spec.heads = narrow(c.heads);
  spec.intermediate = narrow(c.intermediate);
  spec.embedding = narrow(c.embedding);
  spec.labels = narrow(c.labels);
  spec.position_offset = narrow(c.position_offset);
  spec.epsilon = c.layer_norm_epsilon;
  spec.activation = static_cast<cuda::Act>(c.activation);
  spec.head_activation = static_cast<cuda::Act>(c.head_activation);
  spec.words = tensor_of(w.words);
  spec.positions = tensor_of(w.positions);
  if (w.segments) spec.segments = tensor_of(*w.segments);
  spec.embedding_norm = norm_of(w.embedding_norm);
  if (w.embedding_projection) spec.projection = linear_of(*w.embedding_projection);
  spec.head_dense = linear_of(w.head_dense);
  spec.head_output = linear_of(w.head_output);
  spec.layer = layers.data();
  return spec;
}
static_assert(static_cast<int>(cuda::Act::kTanh) == static_cast<int>(Activation::kTanh) &&
              static_cast<int>(cuda::Act::kGelu) == static_cast<int>(Activation::kGelu));

class CudaBackend : public Backend {
 public:
  CudaBackend(std::shared_ptr<const Model> model, const Choice& choice, cuda::Engine* engine)
      : model_(std::move(model)), plugin_(choice.plugin), engine_(engine) {
    const size_t sm = choice.device.find("sm_");
    info_ = {"cuda", choice.precision, choice.device.substr(sm, choice.device.find(',', sm) - sm), 1,
             model_->config.max_length()};
    info_.depth = false;
  }
  ~CudaBackend() override { plugin_->close(engine_); }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  const BackendInfo& info() const override { return info_; }

  Status forward(const Batch& batch, std::span<float> logits) override {
    if (Status status = check_batch(model_->config, batch); !status.ok()) return status;
    if (Status status = check_full_depth(model_->config, batch, "cuda"); !status.ok()) return status;
    return compute(batch, 0, batch.size(), logits);
  }

 private:
  // Sequences [first, last), in as few pieces as the device's memory has room for. What did not fit once is not tried
  // again in one piece.
  Status compute(const Batch& batch, size_t first, size_t last, std::span<float> logits) {
    if (first == last) return ok_status();
    const size_t tokens = batch.offsets[last] - batch.offsets[first];
    if (tokens <= most_tokens_ || last - first == 1) {
      Status status = run(batch, first, last, logits);
      if (!absl::IsResourceExhausted(status) || last - first == 1) return status;
      most_tokens_ = tokens / 2;
      log_warning(str_cat(message_of(status), "; batches of ", tokens, " tokens do not fit: ", most_tokens_, " from now on"));
    }
    size_t middle = first + 1;
    while (middle + 1 < last && batch.offsets[middle + 1] - batch.offsets[first] <= tokens / 2) ++middle;
    if (Status status = compute(batch, first, middle, logits); !status.ok()) return status;
    return compute(batch, middle, last, logits);
  }

  Status run(const Batch& batch, size_t first, size_t last, std::span<float> logits) {
    const uint32_t begin = batch.offsets[first];
    offsets_.assign(batch.offsets.begin() + first, batch.offsets.begin() + last + 1);
    for (uint32_t& offset : offsets_) offset -= begin;
    const cuda::BatchSpec spec{batch.ids.data() + begin, batch.segments.data() + begin, offsets_.data(),
                               static_cast<uint32_t>(last - first)};
    char error[512] = "";
    return status_of(plugin_->forward(engine_, spec, &logits[first], error, sizeof error), error);
  }

  std::shared_ptr<const Model> model_;
  const cuda::Plugin* plugin_;
  cuda::Engine* engine_;
  size_t most_tokens_ = SIZE_MAX;
  std::vector<uint32_t> offsets_;
  BackendInfo info_;
};

}  // namespace

Result<std::string> describe_cuda_backend(const Model& model, const BackendOptions& options) {
  auto choice = choose(model, options);
  if (!choice.ok()) return choice.status();
  return str_cat(choice->precision, " on ", choice->device);
}

Result<std::unique_ptr<Backend>> make_cuda_backend(std::shared_ptr<const Model> model, const BackendOptions& options) {
  auto choice = choose(*model, options);
  if (!choice.ok()) return choice.status();
  std::vector<cuda::LayerSpec> layers;
  const cuda::ModelSpec spec = spec_of(*model, layers);
  cuda::Engine* engine = nullptr;
  char error[512] = "";
  const cuda::Code code = choice->plugin->open(spec, choice->type, 0, &engine, error, sizeof error);
  if (Status status = status_of(code, error); !status.ok()) return status;
  return std::make_unique<CudaBackend>(std::move(model), *choice, engine);
}

}  // namespace rerank
