// The library's border: engines behind plain functions, exceptions turned into codes.
#include <dlfcn.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "engine/cuda/device.h"
#include "engine/cuda/engine.h"
#include "engine/cuda/kernels/fp8.h"

// Set by CMake: "sm_80, sm_89, sm_90a, PTX of 9.0 for later ones".
#ifndef RERANKD_CUDA_BUILT_FOR
#define RERANKD_CUDA_BUILT_FOR "an emulation"
#endif

namespace rerank::engine::cuda {
namespace {

constexpr size_t kBuiltCublas = CUBLAS_VERSION;

void say(char* to, size_t size, const std::string& text) {
  if (to != nullptr && size > 0) std::snprintf(to, size, "%s", text.c_str());
}

// Everything that is thrown ends here.
template <class Body>
Code guarded(char* error, size_t error_size, const Body& body) {
  try {
    body();
    return Code::kOk;
  } catch (const Failure& failure) {
    say(error, error_size, failure.message);
    return failure.code;
  } catch (const std::bad_alloc&) {
    say(error, error_size, "out of host memory");
    return Code::kOutOfMemory;
  } catch (const std::exception& other) {
    say(error, error_size, other.what());
    return Code::kFailed;
  }
}

std::string version_of(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

std::string cublas_version(size_t number) {
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
}

Code about(char* text, size_t text_size, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    Dl_info from = {};
    const bool found = dladdr(reinterpret_cast<const void*>(&cublasLtGetVersion), &from) != 0;
    const size_t version = cublasLtGetVersion();
    std::string all = "CUDA " + version_of(CUDART_VERSION) + " for " + RERANKD_CUDA_BUILT_FOR + "; cuBLASLt " +
                      cublas_version(version) + " (" +
                      (found && from.dli_fname != nullptr ? from.dli_fname : "place unknown") + ")";
    if (version < kBuiltCublas) all += ", older than " + cublas_version(kBuiltCublas) + ", which it was built with";
    say(text, text_size, all);
  });
}

// Why there is no device. A driver serves all libraries of its major version of CUDA.
std::string no_device(cudaError_t status) {
  int driver = 0;
  (void)cudaDriverGetVersion(&driver);
  const std::string needed = "CUDA " + std::to_string(CUDART_VERSION / 1000) + " needs driver 580 or later";
  if (driver == 0)
    return "no NVIDIA driver (libcuda.so.1) here; " + needed + "; a container gets its host's by --gpus all";
  if (driver / 1000 < CUDART_VERSION / 1000)
    return "the NVIDIA driver is too old: it serves CUDA " + version_of(driver) + ", and " + needed;
  if (status == cudaSuccess || status == cudaErrorNoDevice)
    return "there is an NVIDIA driver (CUDA " + version_of(driver) +
           "), but no GPU that this process may use: see nvidia-smi, CUDA_VISIBLE_DEVICES, a container's --gpus";
  return std::string("the driver (CUDA ") + version_of(driver) + ") does not start: " + cudaGetErrorString(status);
}

Code devices(int* count, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    const cudaError_t status = cudaGetDeviceCount(count);
    if (status == cudaSuccess && *count > 0) return;
    (void)cudaGetLastError();
    throw Failure{Code::kUnavailable, no_device(status)};
  });
}

Code describe(int device, Type precision, char* text, size_t text_size, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device), "the device");
    if (properties.major < 8) {
      throw Failure{Code::kUnavailable,
                    std::string(properties.name) + ": too old (compute capability 8.0 is the least)"};
    }
    const int capability = 10 * properties.major + properties.minor;
    const std::string named = std::string(properties.name) + ", sm_" + std::to_string(capability);
    if (precision == Type::kFp8 && capability < kFp8Capability) {
      throw Failure{Code::kUnavailable,
                    named + ": --precision fp8 needs compute capability 8.9 (Ada, Hopper or later); take bf16 or fp16"};
    }
    say(text, text_size, named + ", " + std::to_string(properties.totalGlobalMem >> 30) + " GiB");
  });
}

Code open(const ModelSpec& model, Type precision, int device, Engine** engine, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { *engine = make_engine(model, precision, device).release(); });
}

Code start(Engine* engine, uint32_t slot, const BatchSpec& batch, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->start(slot, batch); });
}

Code step(Engine* engine, float* pooled, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->step(pooled); });
}

Code keep(Engine* engine, const uint32_t* sequences, uint32_t count, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->keep({sequences, count}); });
}

Code launch_rest(Engine* engine, uint32_t layers, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->launch(layers); });
}

Code finish(Engine* engine, uint32_t slot, float* logits, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->finish(slot, logits); });
}

Code batch_tokens(Engine* engine, uint64_t* tokens, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { *tokens = engine->batch_tokens(); });
}

Code identity(int device, char* text, size_t text_size, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    cudaDeviceProp properties;
    int driver = 0, runtime = 0;
    check(cudaGetDeviceProperties(&properties, device), "the device");
    check(cudaDriverGetVersion(&driver), "the driver's version");
    check(cudaRuntimeGetVersion(&runtime), "the runtime's version");
    say(text, text_size,
        std::string(properties.name) + ", " + std::to_string(properties.major) + "." +
            std::to_string(properties.minor) + ", driver " + std::to_string(driver) + ", runtime " +
            std::to_string(runtime) + ", cuBLASLt " + std::to_string(cublasLtGetVersion()));
  });
}

Code use_graphs(Engine* engine, int on, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->use_graphs(on != 0); });
}

Code use_wgmma(Engine* engine, int on, char* text, size_t text_size, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { say(text, text_size, engine->use_wgmma(on != 0)); });
}

Code keep_prefixes(Engine* engine, uint64_t bytes, uint32_t* slots, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { *slots = engine->keep_prefixes(bytes); });
}

Code limit_tuning(Engine* engine, uint32_t candidates, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->tuning().limit(candidates); });
}

Code recall(Engine* engine, const TunedProduct* products, uint32_t count, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->tuning().recall({products, count}); });
}

Code learned(Engine* engine, const TunedProduct** products, uint32_t* count, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    const std::span<const TunedProduct> all = engine->tuning().learned();
    *products = all.data();
    *count = static_cast<uint32_t>(all.size());
  });
}

void close(Engine* engine) { delete engine; }

}  // namespace
}  // namespace rerank::engine::cuda

extern "C" __attribute__((visibility("default"))) const rerank::engine::cuda::Plugin* rerank_cuda_plugin() {
  using namespace rerank::engine::cuda;
  static const Plugin plugin{.about = about,
                             .devices = devices,
                             .describe = describe,
                             .open = open,
                             .start = start,
                             .step = step,
                             .keep = keep,
                             .launch = launch_rest,
                             .finish = finish,
                             .batch_tokens = batch_tokens,
                             .identity = identity,
                             .recall = recall,
                             .learned = learned,
                             .limit_tuning = limit_tuning,
                             .use_graphs = use_graphs,
                             .use_wgmma = use_wgmma,
                             .close = close,
                             .keep_prefixes = keep_prefixes};
  return &plugin;
}
