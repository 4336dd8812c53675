#include "engine/registry.h"

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cuda/cuda_backend.h"
#include "engine/devices/devices.h"
#include "engine/onnx/onnx_backend.h"
#include "engine/pjrt/pjrt_backend.h"
#include "engine/reference/reference_backend.h"
#include "engine/supported.h"
#include "engine/torchscript/torchscript_backend.h"

namespace rerank::engine {
namespace {

using Open = Result<std::unique_ptr<Backend>> (*)(std::shared_ptr<const model::Model>, const BackendOptions&);
using Describe = Result<std::string> (*)(const model::Model&, const BackendOptions&);

struct Entry {
  EngineKind engine;
  bool automatic;
  Open open;
  Describe describe;
};

Status check_reference(const model::Model& model) {
  if (!model.has_weights()) return model.no_weights;
  const std::string parts = uncomputed_parts(model.architecture(), kAllFeatures);
  return parts.empty() ? ok_status() : absl::UnimplementedError(str_cat("reference engine: does not compute ", parts));
}

Result<std::unique_ptr<Backend>> open_reference(std::shared_ptr<const model::Model> model,
                                                const BackendOptions& options) {
  RETURN_IF_ERROR(check_reference(*model));
  return make_reference_backend(std::move(model), options.exits);
}
Result<std::string> describe_reference(const model::Model& model, const BackendOptions&) {
  RETURN_IF_ERROR(check_reference(model));
  return std::string("fp32, plain loops; for checking only");
}

// Best first, the judge last. A TorchScript file is a program, which may do more than compute: nobody runs one who has
// not asked for it. A plugin of PJRT is named by the operator, or there is none.
constexpr Entry kEngines[] = {
    {EngineKind::kCuda, true, make_cuda_backend, describe_cuda_backend},
    {EngineKind::kCpu, true, make_cpu_backend, describe_cpu_backend},
    {EngineKind::kOnnx, true, make_onnx_backend, describe_onnx_backend},
    {EngineKind::kTorchscript, false, make_torchscript_backend, describe_torchscript_backend},
    {EngineKind::kPjrt, false, make_pjrt_backend, describe_pjrt_backend},
    {EngineKind::kReference, false, open_reference, describe_reference},
};

// The first that runs, and in the log why no other does.
Result<std::unique_ptr<Backend>> open_first(const std::shared_ptr<const model::Model>& model,
                                            const BackendOptions& options) {
  std::unique_ptr<Backend> picked;
  std::string others;
  const auto add = [&](const Entry& entry, std::string_view why) {
    others += str_cat(others.empty() ? "" : "; ", "not ", word_of(entry.engine), ": ", why);
  };
  for (const Entry& entry : kEngines) {
    if (!entry.automatic) {
      add(entry, str_cat("only where it is asked for, by --engine ", word_of(entry.engine)));
    } else if (picked) {
      const auto detail = entry.describe(*model, options);
      add(entry, detail.ok() ? "comes later" : message_of(detail.status()));
    } else if (auto backend = entry.open(model, options); backend.ok()) {
      picked = std::move(*backend);
    } else {
      add(entry, message_of(backend.status()));
    }
  }
  if (!picked) return absl::UnimplementedError(str_cat("no engine runs here: ", others));
  log_debug(str_cat("engine ", picked->info().engine_text(), " picked; ", others));
  return picked;
}

// Devices of one plugin's client, and the CPU where it is named.
Status add_pjrt_devices(const std::shared_ptr<const model::Model>& model, const std::vector<std::string>& names,
                        const BackendOptions& options, std::vector<Device>& devices) {
  std::vector<size_t> numbers;
  for (const std::string& name : names)
    if (name != "cpu") numbers.push_back(std::stoul(name));
  if (numbers.empty()) return absl::InvalidArgumentError("--devices cpu: there is --engine cpu");
  ASSIGN_OR_RETURN(auto backends, make_pjrt_backends(model, options, numbers));
  for (size_t i = 0; i < numbers.size(); ++i) devices.push_back({str_cat(numbers[i]), std::move(backends[i])});
  if (numbers.size() == names.size()) return ok_status();
  ASSIGN_OR_RETURN(auto cpu, make_cpu_backend(model, options));
  devices.push_back({"cpu", std::move(cpu)});
  return ok_status();
}

// --devices: one engine for each, behind one face where there are several.
Result<std::unique_ptr<Backend>> open_devices(std::shared_ptr<const model::Model> model, EngineKind engine,
                                              BackendOptions options) {
  if (engine != EngineKind::kAuto && engine != EngineKind::kCuda && engine != EngineKind::kPjrt)
    return absl::InvalidArgumentError(
        str_cat("--devices goes with --engine auto, cuda or pjrt, not with ", word_of(engine)));
  ASSIGN_OR_RETURN(auto names, parse_devices(options.devices));
  std::vector<Device> devices;
  if (engine == EngineKind::kPjrt) {
    RETURN_IF_ERROR(add_pjrt_devices(model, names, options, devices));
    names.clear();
  }
  for (const std::string& name : names) {
    if (name != "cpu") options.device = std::stoul(name);
    auto backend = name == "cpu" ? make_cpu_backend(model, options) : make_cuda_backend(model, options);
    if (!backend.ok()) {
      return Status(backend.status().code(), str_cat("--devices: device ", name, ": ", message_of(backend.status())));
    }
    devices.push_back({name, std::move(*backend)});
  }
  if (devices.size() == 1) return std::move(devices[0].backend);
  return join_devices(std::move(model), std::move(devices));
}

}  // namespace

std::vector<EngineChoice> list_engines(const model::Model& model, const BackendOptions& options) {
  std::vector<EngineChoice> choices;
  for (const Entry& entry : kEngines) {
    auto detail = entry.describe(model, options);
    choices.push_back({.engine = entry.engine,
                       .detail = detail.ok() ? *detail : std::string(message_of(detail.status())),
                       .runs = detail.ok(),
                       .automatic = entry.automatic});
  }
  return choices;
}

BackendOptions backend_options(const Options& options, std::shared_ptr<const model::Exits> exits) {
  const EngineOptions& engine = options.model.engine;
  const HostOptions& host = options.host;
  return {.precision = engine.precision,
          .kernel = engine.kernel,
          .threads = host.threads,
          .exits = std::move(exits),
          .onnx_file = engine.onnx_file,
          .onnxruntime_library = engine.onnxruntime_library,
          .onnx_provider = engine.onnx_provider,
          .torchscript_file = engine.torchscript_file,
          .onnx_split = engine.onnx_split,
          .pin_threads = host.pin_threads,
          .weight_cache = host.weight_cache,
          .weight_cache_bytes = host.weight_cache_bytes,
          .prefix_bytes = host.prefix_bytes,
          .tuning_cache = host.tuning_cache == "none" ? "" : host.tuning_cache,
          .cuda_graphs = engine.cuda_graphs,
          .cuda_overlap = engine.cuda_overlap,
          .cuda_candidates = engine.cuda_candidates,
          .cuda_wgmma = engine.cuda_wgmma,
          .fp8_fast_accumulation = engine.fp8_fast_accumulation,
          .pjrt_plugin = engine.pjrt_plugin,
          .pjrt_options = engine.pjrt_options,
          .pjrt_shapes = engine.pjrt_shapes,
          .pjrt_cache = host.pjrt_cache,
          .pjrt_cache_bytes = host.pjrt_cache_bytes,
          .max_length = options.model.texts.max_length,
          .devices = engine.devices};
}

Result<std::unique_ptr<Backend>> open_backend(std::shared_ptr<const model::Model> model, EngineKind engine,
                                              const BackendOptions& options) {
  if (engine == EngineKind::kAuto && !options.pjrt_plugin.empty()) engine = EngineKind::kPjrt;
  if (!options.devices.empty()) return open_devices(std::move(model), engine, options);
  for (const Entry& entry : kEngines)
    if (engine == entry.engine) return entry.open(std::move(model), options);
  return open_first(model, options);
}

}  // namespace rerank::engine
