// Devices, memory, copies and launches of the emulated runtime.
#include <sys/mman.h>

#include <cstring>
#include <utility>
#include <vector>

#include "world.h"

namespace emulation {
namespace {

constexpr size_t kPage = 4096, kSharedBytes = 48 << 10, kSharedBytesMost = 99 << 10;  // sm_89 has the least of all

thread_local cudaError_t last_error = cudaSuccess;

// Memory that ends where the next byte faults, full of NaN.
cudaError_t allocate(void** data, size_t bytes, int device) {
  World& w = world();
  const std::lock_guard lock(w.lock);
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  if (const cudaError_t error = outside_capture(); error != cudaSuccess) return error;
  int& left = w.settings.allocations_to_failure;
  if (left >= 0 && left-- == 0) return remember(cudaErrorMemoryAllocation);
  if (device >= 0 && w.used[device] + bytes > w.settings.memory) {
    ++w.refusals;
    return remember(cudaErrorMemoryAllocation);
  }
  const size_t rounded = (bytes + 15) / 16 * 16, pages = (rounded + kPage - 1) / kPage * kPage;
  void* mapped = mmap(nullptr, pages + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return remember(cudaErrorMemoryAllocation);
  mprotect(static_cast<char*>(mapped) + pages, kPage, PROT_NONE);
  *data = static_cast<char*>(mapped) + pages - rounded;
  std::memset(*data, 0xff, rounded);
  w.blocks[*data] = {bytes, device, mapped, pages + kPage};
  if (device >= 0) w.used[device] += bytes;
  return cudaSuccess;
}

// The null stream last: nothing but its own synchronisation promises more (streams here do not block on it).
void finish_device(int device) {
  for (CUstream_st* stream : world().streams) {
    if (stream->device == device) finish(*stream);
  }
  finish(world().null_streams[device]);
}

cudaError_t release(void* data, bool pinned) {
  if (data == nullptr) return cudaSuccess;
  if (const cudaError_t error = outside_capture(); error != cudaSuccess) return error;
  World& w = world();
  const std::lock_guard lock(w.lock);
  const auto found = w.blocks.find(data);
  if (found == w.blocks.end() || (found->second.device < 0) != pinned) misuse("memory freed that was not allocated");
  const Block block = found->second;
  for (int device = 0; device < w.settings.devices; ++device) {
    if (pinned || device == block.device) finish_device(device);
  }
  if (!pinned) w.used[block.device] -= block.bytes;
  w.blocks.erase(found);
  munmap(block.mapped, block.mapped_bytes);
  return cudaSuccess;
}

// The block that holds [data, data + bytes), null where it is the host's own memory.
const Block* block_of(const void* data, size_t bytes) {
  World& w = world();
  auto after = w.blocks.upper_bound(const_cast<void*>(data));
  if (after == w.blocks.begin()) return nullptr;
  --after;
  const auto begin = reinterpret_cast<uintptr_t>(after->first), at = reinterpret_cast<uintptr_t>(data);
  if (at >= begin + after->second.bytes) return nullptr;
  if (at + bytes > begin + after->second.bytes) misuse("a copy past the end of its memory");
  return &after->second;
}

}  // namespace

World& world() {
  static World* const all = new World;  // outlives everything that frees memory when the program ends
  return *all;
}

int& current_device() {
  thread_local int device = 0;
  return device;
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

Settings& settings() { return world().settings; }
size_t calls() { return world().calls; }
size_t refusals() { return world().refusals; }

Graphs& graphs() {
  static Graphs all;
  return all;
}

size_t allocated() {
  const std::lock_guard lock(world().lock);
  size_t bytes = 0;
  for (const auto& [device, used] : world().used) bytes += used;
  return bytes;
}

void take_time(double microseconds) { world().clock += microseconds; }

cudaError_t next_call() {
  World& w = world();
  const std::lock_guard lock(w.lock);
  ++w.calls;
  Settings& s = w.settings;
  if (s.failed_device == current_device()) return remember(cudaErrorLaunchFailure);
  if (s.calls_to_failure < 0 || s.calls_to_failure-- > 0) return cudaSuccess;
  if (s.failure_stays) s.failed_device = current_device();
  return remember(cudaErrorLaunchFailure);
}

cudaError_t allow_shared(const void* kernel, int bytes) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  if (static_cast<size_t>(bytes) > kSharedBytesMost) return remember(cudaErrorInvalidValue);
  const std::lock_guard lock(world().lock);
  world().shared[kernel] = static_cast<size_t>(bytes);
  return cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> body) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  World& w = world();
  const std::lock_guard lock(w.lock);
  const auto allowed = w.shared.find(kernel);
  const size_t most = allowed == w.shared.end() ? kSharedBytes : std::max(kSharedBytes, allowed->second);
  const dim3 g = config.gridDim, b = config.blockDim;
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 0x7fffffff || g.y > 65535 || g.z > 65535 || b.x * b.y * b.z > 1024 ||
      config.dynamicSmemBytes > most) {
    return remember(cudaErrorInvalidConfiguration);
  }
  enqueue(config.stream, [=] { run_grid(config.gridDim, config.blockDim, config.dynamicSmemBytes, body); });
  return cudaSuccess;
}

}  // namespace emulation

using namespace emulation;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorIllegalState:
      return "the operation cannot be performed in the present state";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    case cudaErrorCapturedEvent:
      return "operation not permitted on an event last recorded in a capturing stream";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
  }
  return "unknown error";
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (settings().driver_version / 1000 < CUDART_VERSION / 1000) return remember(cudaErrorInsufficientDriver);
  *count = settings().devices;
  return *count == 0 ? remember(cudaErrorNoDevice) : cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= settings().devices) return remember(cudaErrorInvalidDevice);
  *properties = {"Emulated", settings().compute_capability / 10, settings().compute_capability % 10, settings().memory,
                 settings().processors};
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= settings().devices) return remember(cudaErrorInvalidDevice);
  current_device() = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = current_device();
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard lock(world().lock);
  *total = settings().memory;
  *free = *total - std::min(*total, world().used[current_device()]);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) { return allocate(data, bytes, current_device()); }
cudaError_t cudaFree(void* data) { return release(data, false); }
cudaError_t cudaMallocHost(void** data, size_t bytes) { return allocate(data, bytes, -1); }
cudaError_t cudaFreeHost(void* data) { return release(data, true); }

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  const std::lock_guard lock(world().lock);
  if (const Block* block = block_of(data, bytes); bytes > 0 && (block == nullptr || block->device < 0))
    return remember(cudaErrorInvalidValue);
  enqueue(stream, [=] { std::memset(data, value, bytes); });
  return cudaSuccess;
}

// Pinned memory is read when the copy is done, other host memory before the call returns.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  const std::lock_guard lock(world().lock);
  if (bytes == 0) return cudaSuccess;
  const Block *target = block_of(to, bytes), *source = block_of(from, bytes);
  const bool to_device = target != nullptr && target->device >= 0,
             from_device = source != nullptr && source->device >= 0;
  const bool wants_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool wants_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device != wants_to || from_device != wants_from) return remember(cudaErrorInvalidValue);
  if ((source == nullptr || target == nullptr) && stream_of(stream).graph != nullptr) return outside_capture();
  if (source == nullptr) {
    const auto* begin = static_cast<const char*>(from);
    enqueue_copy(stream, [to, staged = std::vector<char>(begin, begin + bytes)] {
      std::memcpy(to, staged.data(), staged.size());
    });
    return cudaSuccess;
  }
  enqueue_copy(stream, [=] { std::memcpy(to, from, bytes); });
  if (target == nullptr) finish(stream_of(stream));
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = settings().driver_version;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
