// The library's border: engines behind plain functions, exceptions turned into codes.
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "engine/cuda/device.h"
#include "engine/cuda/engine.h"
#include "engine/cuda/kernels/fp8.h"

namespace rerank::engine::cuda {
namespace {

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

Code devices(int* count, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    const cudaError_t status = cudaGetDeviceCount(count);
    if (status != cudaSuccess || *count == 0) {
      (void)cudaGetLastError();
      throw Failure{Code::kUnavailable, status == cudaSuccess ? "no device" : cudaGetErrorString(status)};
    }
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
  static const Plugin plugin{.devices = devices,
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
                             .use_graphs = use_graphs,
                             .close = close};
  return &plugin;
}
