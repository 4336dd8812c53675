// A PJRT client: its devices, buffers on them, and executables. All methods may be called by several threads at once.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pjrt/plugin.h"

namespace rerank::engine::pjrt {

// Memory on a device, given back when it dies.
class DeviceBuffer {
 public:
  DeviceBuffer(const Plugin* plugin, RawBuffer* raw) : plugin_(plugin), raw_(raw) {}
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  RawBuffer* raw() const { return raw_; }

 private:
  const Plugin* plugin_;
  RawBuffer* raw_;
};

// A compiled program in a client.
class LoadedProgram {
 public:
  LoadedProgram(const Plugin* plugin, RawLoadedExecutable* raw) : plugin_(plugin), raw_(raw) {}
  ~LoadedProgram();
  LoadedProgram(const LoadedProgram&) = delete;
  LoadedProgram& operator=(const LoadedProgram&) = delete;
  RawLoadedExecutable* raw() const { return raw_; }

 private:
  const Plugin* plugin_;
  RawLoadedExecutable* raw_;
};

// What a compiled program takes of a device, and the compiler's estimates; 0: the plugin does not say.
struct ProgramCost {
  uint64_t argument_bytes = 0, code_bytes = 0, temporary_bytes = 0, peak_bytes = 0;
  double flops = 0, bytes_accessed = 0, seconds = 0;
};

// A serialized CompileOptionsProto: one replica, one partition, on the client's first device; on the device that is
// named when it is executed; or on the device with that number.
enum class Placement { kFirst, kPortable, kAssigned };
std::string compile_options(Placement placement, int device_id = 0);

class Client {
 public:
  struct Device {
    RawDevice* raw = nullptr;
    int id = 0;
    std::string kind;  // "TPU v5 lite"
  };
  struct Memory {
    uint64_t used = 0, limit = 0;
  };

  // The client of `plugin` with these options ("K=V;..."), which all that ask for the same share while one of them
  // lives: a TPU can be held once. Errors are the plugin's, or InvalidArgument for options.
  static Result<std::shared_ptr<Client>> open(const Plugin* plugin, const std::string& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const Plugin& plugin() const { return *plugin_; }
  const std::string& platform() const { return platform_; }  // "cpu", "tpu", "cuda"
  const std::string& platform_version() const { return platform_version_; }
  const std::vector<Device>& devices() const { return devices_; }
  bool offloads() const { return platform_ != "cpu"; }
  std::optional<Memory> memory(size_t device) const;  // nullopt: it does not say

  // Row-major. `data` may be freed when this returns.
  Result<DeviceBuffer> upload(size_t device, std::span<const std::byte> data, BufferType type,
                              std::span<const int64_t> dims) const;

  Result<std::unique_ptr<LoadedProgram>> compile(std::string_view text, const std::string& options) const;
  Result<std::string> serialize(const LoadedProgram& program) const;
  Result<std::unique_ptr<LoadedProgram>> load(std::string_view serialized) const;
  ProgramCost cost(const LoadedProgram& program) const;

  // A run under way: what it reads must live until wait() has returned, which must be called once.
  struct Run {
    std::optional<DeviceBuffer> output;
    Event* event = nullptr;
    Status status;  // of the start
  };
  // Of one output, whose elements come to `result`. `device`: of a portable program; else null.
  Run start(const LoadedProgram& program, const Device* device, std::span<RawBuffer* const> arguments,
            std::span<float> result) const;
  Status wait(Run& run) const;

 private:
  Client(const Plugin* plugin, RawClient* raw) : plugin_(plugin), raw_(raw) {}
  Status describe();

  const Plugin* plugin_;
  RawClient* raw_;
  std::string platform_, platform_version_;
  std::vector<Device> devices_;
};

// Of an executable that is loaded nowhere; the same calls serve both.
ProgramCost cost_of(const Plugin& plugin, RawExecutable* executable);
Result<std::string> serialized(const Plugin& plugin, const RawExecutable* executable);

}  // namespace rerank::engine::pjrt
