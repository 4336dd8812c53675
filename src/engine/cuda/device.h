// CUDA's errors as one exception, which ends at the library's border (plugin.cu), and device memory that frees itself.
#pragma once

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <string>
#include <utility>

#include "engine/cuda/plugin.h"

namespace rerank::engine::cuda {

struct Failure {
  Code code;
  std::string message;
};

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // an error that is not sticky must not be reported by the next call too
  const Code code = error == cudaErrorMemoryAllocation ? Code::kOutOfMemory : Code::kFailed;
  throw Failure{code, std::string(what) + ": " + cudaGetErrorString(error)};
}

inline void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const Code code = status == CUBLAS_STATUS_ALLOC_FAILED ? Code::kOutOfMemory : Code::kFailed;
  throw Failure{code, std::string(what) + ": " + cublasLtGetStatusString(status)};
}

// Compute capability 9.0: wgmma, and FP8 products that scale their outputs by rows and columns.
inline bool is_hopper() {
  int device = 0;
  cudaDeviceProp properties;
  check(cudaGetDevice(&device), "the device");
  check(cudaGetDeviceProperties(&properties, device), "the device");
  return properties.major == 9 && properties.minor == 0;
}

inline uint32_t processors() {
  int device = 0;
  cudaDeviceProp properties;
  check(cudaGetDevice(&device), "the device");
  check(cudaGetDeviceProperties(&properties, device), "the device");
  return static_cast<uint32_t>(properties.multiProcessorCount);
}

// Device memory. Grows, never shrinks; what was in it is lost when it grows.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(size_t count) : DeviceBuffer() { resize(count); }  // so that what throws is destroyed
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~DeviceBuffer() { (void)cudaFree(data_); }

  void resize(size_t count) {
    if (count <= capacity_) return;
    check(cudaFree(std::exchange(data_, nullptr)), "freeing device memory");
    capacity_ = 0;
    check(cudaMalloc(&data_, count * sizeof(T)), "device memory");
    // Rows that only fill a product up to its tile are read: they must be numbers.
    check(cudaMemset(data_, 0, count * sizeof(T)), "clearing device memory");
    check(cudaStreamSynchronize(nullptr), "clearing device memory");  // the engine's stream does not wait for this one
    capacity_ = count;
  }
  T* data() const { return data_; }
  size_t capacity() const { return capacity_; }

 private:
  T* data_ = nullptr;
  size_t capacity_ = 0;
};

// Host memory that the device reads and writes while the host goes on.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;
  ~PinnedBuffer() { (void)cudaFreeHost(data_); }

  void resize(size_t bytes) {
    if (bytes <= capacity_) return;
    check(cudaFreeHost(std::exchange(data_, nullptr)), "freeing pinned memory");
    capacity_ = 0;
    check(cudaMallocHost(&data_, bytes), "pinned memory");
    capacity_ = bytes;
  }
  template <class T>
  T* as(size_t byte_offset = 0) const {
    return reinterpret_cast<T*>(static_cast<char*>(data_) + byte_offset);
  }

 private:
  void* data_ = nullptr;
  size_t capacity_ = 0;
};

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream"); }
  ~Stream() { (void)cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// What one stream waits for in another; it tells no time.
class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "an event"); }
  ~Event() { (void)cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

struct Launch {
  dim3 grid, block;
  size_t shared_bytes = 0;  // dynamic
  cudaStream_t stream = nullptr;
};

// Starts a kernel; returns at once.
template <class... Parameters, class... Arguments>
void launch(const char* what, void (*kernel)(Parameters...), const Launch& how, Arguments... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = how.grid;
  config.blockDim = how.block;
  config.dynamicSmemBytes = how.shared_bytes;
  config.stream = how.stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), what);
}

inline constexpr unsigned div_up(size_t n, size_t by) { return static_cast<unsigned>((n + by - 1) / by); }

template <class T>
inline constexpr Type type_of = Type::kF32;
template <>
inline constexpr Type type_of<__half> = Type::kF16;
template <>
inline constexpr Type type_of<__nv_bfloat16> = Type::kBf16;

}  // namespace rerank::engine::cuda
