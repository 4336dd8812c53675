#include "engine/pjrt/client.h"

#include <cmath>
#include <map>
#include <mutex>

#include "base/status_macros.h"

namespace rerank::engine::pjrt {
namespace {

// Clients that live, by plugin and options.
struct Living {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<Client>> clients;
};

Living& living() {
  static Living* const all = new Living;
  return *all;
}

void add_varint(std::string& to, uint64_t number) {
  for (; number >= 0x80; number >>= 7) to += static_cast<char>(number | 0x80);
  to += static_cast<char>(number);
}

// A field of a protobuf message: a number, or a message inside.
void add_field(std::string& to, uint32_t field, uint64_t number) {
  add_varint(to, field << 3);
  add_varint(to, number);
}
void add_field(std::string& to, uint32_t field, const std::string& message) {
  add_varint(to, field << 3 | 2);
  add_varint(to, message.size());
  to += message;
}

// The executable that a loaded one was made of, for as long as this lives.
class ExecutableOf {
 public:
  ExecutableOf(const Plugin& plugin, const LoadedProgram& loaded) : plugin_(plugin) {
    LoadedExecutableGet get{.loaded = loaded.raw()};
    status_ = plugin.call(get);
    raw_ = get.executable;
  }
  ~ExecutableOf() {
    ExecutableDestroy destroy{.executable = raw_};
    if (raw_ != nullptr) plugin_.call(destroy).IgnoreError();
  }
  ExecutableOf(const ExecutableOf&) = delete;
  ExecutableOf& operator=(const ExecutableOf&) = delete;
  const Status& status() const { return status_; }
  RawExecutable* raw() const { return raw_; }

 private:
  const Plugin& plugin_;
  RawExecutable* raw_ = nullptr;
  Status status_;
};

constexpr char kFormat[] = "mlir";

}  // namespace

std::string compile_options(Placement placement, int device_id) {
  std::string build, options;
  add_field(build, 1, ~uint64_t{0});  // device_ordinal: -1, none
  add_field(build, 4, 1);             // num_replicas
  add_field(build, 5, 1);             // num_partitions
  if (placement == Placement::kAssigned) {
    std::string devices, assignment;
    add_field(devices, 1, static_cast<uint64_t>(device_id));  // replica_device_ids
    add_field(assignment, 1, 1);                              // replica_count
    add_field(assignment, 2, 1);                              // computation_count
    add_field(assignment, 3, devices);                        // computation_devices
    add_field(build, 9, assignment);                          // device_assignment
  }
  add_field(options, 3, build);                                     // executable_build_options
  if (placement == Placement::kPortable) add_field(options, 4, 1);  // compile_portable_executable
  return options;
}

DeviceBuffer::~DeviceBuffer() {
  BufferDestroy destroy{.buffer = raw_};
  if (raw_ != nullptr) plugin_->call(destroy).IgnoreError();
}
DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : plugin_(other.plugin_), raw_(std::exchange(other.raw_, nullptr)) {}
DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(plugin_, other.plugin_);
  std::swap(raw_, other.raw_);
  return *this;
}

LoadedProgram::~LoadedProgram() {
  LoadedExecutableDestroy destroy{.executable = raw_};
  plugin_->call(destroy).IgnoreError();
}

Result<std::shared_ptr<Client>> Client::open(const Plugin* plugin, const std::string& options) {
  ASSIGN_OR_RETURN(const NamedValues values, NamedValues::parse(options, "--pjrt-options"));
  const std::vector<NamedValue> view = values.view();
  Living& all = living();
  const std::lock_guard lock(all.mutex);
  std::weak_ptr<Client>& there = all.clients[str_cat(plugin->path(), "\n", options)];
  if (std::shared_ptr<Client> client = there.lock()) return client;
  const KeptSignals signals;
  ClientCreate create{.options = view.data(), .option_count = view.size()};
  if (Status status = plugin->call(create); !status.ok()) return with_context(status, plugin->path());
  const std::shared_ptr<Client> client(new Client(plugin, create.client));
  RETURN_IF_ERROR(client->describe());
  there = client;
  return client;
}

Client::~Client() {
  ClientDestroy destroy{.client = raw_};
  plugin_->call(destroy).IgnoreError();
}

Status Client::describe() {
  ClientPlatformName name{.client = raw_};
  RETURN_IF_ERROR(plugin_->call(name));
  platform_ = text_of(name.text, name.text_size);
  ClientPlatformVersion version{.client = raw_};
  RETURN_IF_ERROR(plugin_->call(version));
  platform_version_ = text_of(version.text, version.text_size);
  ClientAddressableDevices all{.client = raw_};
  RETURN_IF_ERROR(plugin_->call(all));
  for (size_t i = 0; i < all.count; ++i) {
    DeviceGetDescription get{.device = all.devices[i]};
    RETURN_IF_ERROR(plugin_->call(get));
    DeviceDescriptionId id{.description = get.description};
    RETURN_IF_ERROR(plugin_->call(id));
    DeviceDescriptionKind kind{.description = get.description};
    RETURN_IF_ERROR(plugin_->call(kind));
    devices_.push_back({all.devices[i], id.id, text_of(kind.text, kind.text_size)});
  }
  if (devices_.empty()) return absl::UnavailableError(str_cat("pjrt engine: ", plugin_->path(), " has no device here"));
  return ok_status();
}

std::optional<Client::Memory> Client::memory(size_t device) const {
  DeviceMemoryStats stats{.device = devices_[device].raw};
  if (!plugin_->call(stats).ok() || !stats.bytes_limit.is_set) return std::nullopt;
  return Memory{static_cast<uint64_t>(stats.bytes_in_use), static_cast<uint64_t>(stats.bytes_limit.value)};
}

Result<DeviceBuffer> Client::upload(size_t device, std::span<const std::byte> data, BufferType type,
                                    std::span<const int64_t> dims) const {
  constexpr size_t kSmall = 1 << 20;  // is copied at once, without waiting for the device
  BufferFromHost from{
      .client = raw_,
      .data = data.data(),
      .type = type,
      .dims = dims.data(),
      .dim_count = dims.size(),
      .semantics = data.size() <= kSmall ? HostSemantics::kOnlyDuringCall : HostSemantics::kUntilTransferCompletes,
      .device = devices_[device].raw};
  RETURN_IF_ERROR(plugin_->call(from));
  DeviceBuffer buffer(plugin_, from.buffer);
  if (from.semantics == HostSemantics::kUntilTransferCompletes) {
    RETURN_IF_ERROR(plugin_->await(from.done_with_host));
  } else if (from.done_with_host != nullptr) {
    EventDestroy destroy{.event = from.done_with_host};
    RETURN_IF_ERROR(plugin_->call(destroy));
  }
  return buffer;
}

Result<std::unique_ptr<LoadedProgram>> Client::compile(std::string_view text, const std::string& options) const {
  Program program{.code = text.data(), .code_size = text.size(), .format = kFormat, .format_size = sizeof kFormat - 1};
  program.head.size = sizeof program;
  ClientCompile compile{.client = raw_, .program = &program, .options = options.data(), .options_size = options.size()};
  RETURN_IF_ERROR(plugin_->call(compile));
  return std::make_unique<LoadedProgram>(plugin_, compile.executable);
}

Result<std::string> serialized(const Plugin& plugin, const RawExecutable* executable) {
  ExecutableSerialize serialize{.executable = executable};
  RETURN_IF_ERROR(plugin.call(serialize));
  std::string bytes(serialize.bytes, serialize.byte_count);
  if (serialize.destroy != nullptr) serialize.destroy(serialize.owner);
  return bytes;
}

Result<std::string> Client::serialize(const LoadedProgram& program) const {
  const ExecutableOf executable(*plugin_, program);
  RETURN_IF_ERROR(executable.status());
  return serialized(*plugin_, executable.raw());
}

Result<std::unique_ptr<LoadedProgram>> Client::load(std::string_view bytes) const {
  DeserializeAndLoad load{.client = raw_, .bytes = bytes.data(), .byte_count = bytes.size()};
  RETURN_IF_ERROR(plugin_->call(load));
  return std::make_unique<LoadedProgram>(plugin_, load.loaded);
}

// libtpu counts its own rearrangements of operands as -1 s each on v4 and v5e; what is left is less than a second.
ProgramCost cost_of(const Plugin& plugin, RawExecutable* executable) {
  ProgramCost cost;
  ExecutableMemoryStats stats{.executable = executable};
  if (plugin.call(stats).ok()) {
    cost.argument_bytes = static_cast<uint64_t>(stats.arguments);
    cost.code_bytes = static_cast<uint64_t>(stats.code);
    cost.temporary_bytes = static_cast<uint64_t>(stats.temporary);
    cost.peak_bytes = static_cast<uint64_t>(stats.peak);
  }
  ExecutableCostAnalysis analysis{.executable = executable};
  if (!plugin.call(analysis).ok()) return cost;
  for (size_t i = 0; i < analysis.count; ++i) {
    const NamedValue& value = analysis.properties[i];
    if (value.type != ValueType::kFloat) continue;
    const std::string name = text_of(value.name, value.name_size);
    const double number = static_cast<double>(value.float_value);
    if (name == "flops") cost.flops = number;
    if (name == "bytes accessed") cost.bytes_accessed = number;
    if (name == "optimal_seconds") cost.seconds = number < 0 ? number + std::ceil(-number) : number;
  }
  return cost;
}

ProgramCost Client::cost(const LoadedProgram& program) const {
  const ExecutableOf executable(*plugin_, program);
  return executable.status().ok() ? cost_of(*plugin_, executable.raw()) : ProgramCost{};
}

Client::Run Client::start(const LoadedProgram& program, const Device* device, std::span<RawBuffer* const> arguments,
                          std::span<float> result) const {
  Run run;
  ExecuteOptions options;
  options.head.size = sizeof options;
  RawBuffer* const* lists[] = {arguments.data()};
  RawBuffer* outputs[] = {nullptr};
  RawBuffer** const output_lists[] = {outputs};
  Execute execute{.executable = program.raw(),
                  .options = &options,
                  .arguments = lists,
                  .device_count = 1,
                  .argument_count = arguments.size(),
                  .outputs = output_lists,
                  .execute_device = device == nullptr ? nullptr : device->raw};
  run.status = plugin_->call(execute);
  if (!run.status.ok()) return run;
  run.output.emplace(plugin_, outputs[0]);
  BufferToHost copy{.source = outputs[0], .to = result.data(), .to_size = result.size_bytes()};
  run.status = plugin_->call(copy);
  if (run.status.ok()) run.event = copy.event;
  return run;
}

Status Client::wait(Run& run) const {
  if (run.status.ok()) run.status = plugin_->await(std::exchange(run.event, nullptr));
  run.output.reset();
  return run.status;
}

}  // namespace rerank::engine::pjrt
