// The part of PJRT's C interface that this engine calls: facts of the published binary interface, version 0.81, written
// down anew (docs/decisions/0033-pjrt-interface.md). A plugin is a shared object that exports `GetPjrtApi`, which gives
// a table of functions. A function takes one struct, which begins with its own size; results are fields of the same
// struct. Versions grow by fields at the ends of structs and functions at the end of the table: a plugin passes over
// what it does not know, and what it lacks is beyond the size that it states. c_api_test.cc holds this file against the
// published header where that is at hand.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rerank::engine::pjrt {

// Owned by the plugin; only pointers to them exist here.
struct Error;
struct Event;
struct RawClient;
struct RawDevice;
struct DeviceDescription;
struct RawBuffer;
struct RawExecutable;        // what was compiled
struct RawLoadedExecutable;  // ... and loaded into a client
struct Topology;

struct Head {
  size_t size = 0;  // of the whole struct, set by Plugin::call()
  void* extensions = nullptr;
};

struct ApiVersion {
  Head head;
  int32_t major = 0, minor = 0;
};

// Functions of the table, by their place in it.
struct Api {
  Head head;  // its size: as far as this plugin's table reaches
  ApiVersion version;
  using Function = Error* (*)(void*);
  Function functions[1];  // in truth as many as fit into `head.size`

  bool has(size_t function) const {
    return offsetof(Api, functions) + (function + 1) * sizeof(Function) <= head.size && functions[function] != nullptr;
  }
};
constexpr int32_t kMajor = 0;
constexpr int32_t kOldestMinor = 70;  // tried from 0.81 on

// Elements of buffers, by their numbers.
enum class BufferType : int32_t { kS32 = 4, kF32 = 11, kBF16 = 13 };

enum class HostSemantics : int32_t { kOnlyDuringCall = 0, kUntilTransferCompletes = 1 };

enum class ValueType : int32_t { kString = 0, kInt64 = 1, kInt64List = 2, kFloat = 3, kBool = 4 };

struct NamedValue {
  Head head;
  const char* name = nullptr;
  size_t name_size = 0;
  ValueType type = ValueType::kString;
  union {
    const char* string_value = nullptr;
    int64_t int64_value;
    const int64_t* int64_list;
    float float_value;
    bool bool_value;
  };
  size_t value_size = 1;  // elements of a string or list
};

struct Program {
  Head head;
  const char* code = nullptr;
  size_t code_size = 0;
  const char* format = nullptr;  // "mlir"
  size_t format_size = 0;
};

struct ExecuteOptions {
  Head head;
  void *send_callbacks = nullptr, *receive_callbacks = nullptr;
  size_t send_count = 0, receive_count = 0;
  int32_t launch_id = 0;
  const int64_t* kept_inputs = nullptr;  // that are not donated to outputs
  size_t kept_input_count = 0;
  void* context = nullptr;
  const char* call_location = nullptr;
  size_t task_count = 0;
  int32_t* task_ids = nullptr;
  int64_t* incarnation_ids = nullptr;
};

// The structs of calls: kFunction is the place in the table, kName what it is called in messages. Fields after "->"
// are results. kSize: where the last field does not end at a multiple of 8.
struct ErrorDestroy {
  static constexpr size_t kFunction = 0;
  static constexpr const char* kName = "Error_Destroy";
  Head head;
  Error* error = nullptr;
};
struct ErrorMessage {
  static constexpr size_t kFunction = 1;
  static constexpr const char* kName = "Error_Message";
  Head head;
  const Error* error = nullptr;
  const char* message = nullptr;  // ->
  size_t message_size = 0;
};
struct ErrorCode {
  static constexpr size_t kFunction = 2, kSize = 28;
  static constexpr const char* kName = "Error_GetCode";
  Head head;
  const Error* error = nullptr;
  int32_t code = 0;  // -> absl's numbers
};
struct PluginInitialize {
  static constexpr size_t kFunction = 3;
  static constexpr const char* kName = "Plugin_Initialize";
  Head head;
};
struct PluginAttributes {
  static constexpr size_t kFunction = 4;
  static constexpr const char* kName = "Plugin_Attributes";
  Head head;
  const NamedValue* attributes = nullptr;  // -> for the life of the process
  size_t count = 0;
};
struct EventDestroy {
  static constexpr size_t kFunction = 5;
  static constexpr const char* kName = "Event_Destroy";
  Head head;
  Event* event = nullptr;
};
struct EventAwait {
  static constexpr size_t kFunction = 8;
  static constexpr const char* kName = "Event_Await";
  Head head;
  Event* event = nullptr;
};
struct ClientCreate {
  static constexpr size_t kFunction = 10;
  static constexpr const char* kName = "Client_Create";
  Head head;
  const NamedValue* options = nullptr;
  size_t option_count = 0;
  void *get_callback = nullptr, *get_argument = nullptr, *put_callback = nullptr, *put_argument = nullptr;
  RawClient* client = nullptr;  // ->
  void *try_get_callback = nullptr, *try_get_argument = nullptr;
};
struct ClientDestroy {
  static constexpr size_t kFunction = 11;
  static constexpr const char* kName = "Client_Destroy";
  Head head;
  RawClient* client = nullptr;
};
struct ClientPlatformName {
  static constexpr size_t kFunction = 12;
  static constexpr const char* kName = "Client_PlatformName";
  Head head;
  RawClient* client = nullptr;
  const char* text = nullptr;  // ->
  size_t text_size = 0;
};
struct ClientPlatformVersion {
  static constexpr size_t kFunction = 14;
  static constexpr const char* kName = "Client_PlatformVersion";
  Head head;
  RawClient* client = nullptr;
  const char* text = nullptr;  // ->
  size_t text_size = 0;
};
struct ClientAddressableDevices {
  static constexpr size_t kFunction = 16;
  static constexpr const char* kName = "Client_AddressableDevices";
  Head head;
  RawClient* client = nullptr;
  RawDevice* const* devices = nullptr;  // ->
  size_t count = 0;
};
struct ClientCompile {
  static constexpr size_t kFunction = 20;
  static constexpr const char* kName = "Client_Compile";
  Head head;
  RawClient* client = nullptr;
  const Program* program = nullptr;
  const char* options = nullptr;  // a serialized CompileOptionsProto
  size_t options_size = 0;
  RawLoadedExecutable* executable = nullptr;  // ->
};
struct BufferFromHost {
  static constexpr size_t kFunction = 22;
  static constexpr const char* kName = "Client_BufferFromHostBuffer";
  Head head;
  RawClient* client = nullptr;
  const void* data = nullptr;
  BufferType type = BufferType::kF32;
  const int64_t* dims = nullptr;
  size_t dim_count = 0;
  const int64_t* byte_strides = nullptr;  // null: dense, row-major
  size_t byte_stride_count = 0;
  HostSemantics semantics = HostSemantics::kOnlyDuringCall;
  RawDevice* device = nullptr;
  void *memory = nullptr, *layout = nullptr;
  Event* done_with_host = nullptr;  // ->
  RawBuffer* buffer = nullptr;
};
struct DeviceDescriptionId {
  static constexpr size_t kFunction = 23, kSize = 28;
  static constexpr const char* kName = "DeviceDescription_Id";
  Head head;
  DeviceDescription* description = nullptr;
  int32_t id = 0;  // ->
};
struct DeviceDescriptionKind {
  static constexpr size_t kFunction = 26;
  static constexpr const char* kName = "DeviceDescription_Kind";
  Head head;
  DeviceDescription* description = nullptr;
  const char* text = nullptr;  // ->
  size_t text_size = 0;
};
struct DeviceGetDescription {
  static constexpr size_t kFunction = 29;
  static constexpr const char* kName = "Device_GetDescription";
  Head head;
  RawDevice* device = nullptr;
  DeviceDescription* description = nullptr;  // ->
};
struct DeviceMemoryStats {
  static constexpr size_t kFunction = 34, kSize = 185;
  static constexpr const char* kName = "Device_MemoryStats";
  struct Optional {
    int64_t value = 0;
    bool is_set = false;
  };
  Head head;
  RawDevice* device = nullptr;
  int64_t bytes_in_use = 0;  // ->
  Optional peak_bytes_in_use, allocations, largest_allocation, bytes_limit, bytes_reserved, peak_bytes_reserved,
      reservable_limit, largest_free_block, pool_bytes, peak_pool_bytes;
};
struct ExecutableDestroy {
  static constexpr size_t kFunction = 40;
  static constexpr const char* kName = "Executable_Destroy";
  Head head;
  RawExecutable* executable = nullptr;
};
struct ExecutableCostAnalysis {
  static constexpr size_t kFunction = 46;
  static constexpr const char* kName = "Executable_GetCostAnalysis";
  Head head;
  RawExecutable* executable = nullptr;
  size_t count = 0;  // ->
  const NamedValue* properties = nullptr;
};
struct ExecutableOptimizedProgram {
  static constexpr size_t kFunction = 48;
  static constexpr const char* kName = "Executable_OptimizedProgram";
  Head head;
  RawExecutable* executable = nullptr;
  Program* program = nullptr;  // filled in: sizes first, then `code`
};
struct ExecutableSerialize {
  static constexpr size_t kFunction = 49;
  static constexpr const char* kName = "Executable_Serialize";
  Head head;
  const RawExecutable* executable = nullptr;
  const char* bytes = nullptr;  // ->
  size_t byte_count = 0;
  void* owner = nullptr;
  void (*destroy)(void* owner) = nullptr;
};
struct LoadedExecutableDestroy {
  static constexpr size_t kFunction = 50;
  static constexpr const char* kName = "LoadedExecutable_Destroy";
  Head head;
  RawLoadedExecutable* executable = nullptr;
};
struct LoadedExecutableGet {
  static constexpr size_t kFunction = 51;
  static constexpr const char* kName = "LoadedExecutable_GetExecutable";
  Head head;
  RawLoadedExecutable* loaded = nullptr;
  RawExecutable* executable = nullptr;  // ->
};
struct Execute {
  static constexpr size_t kFunction = 55;
  static constexpr const char* kName = "LoadedExecutable_Execute";
  Head head;
  RawLoadedExecutable* executable = nullptr;
  ExecuteOptions* options = nullptr;
  RawBuffer* const* const* arguments = nullptr;  // [devices][argument_count]
  size_t device_count = 0, argument_count = 0;
  RawBuffer** const* outputs = nullptr;  // [devices][outputs], filled in
  Event** complete_events = nullptr;     // null: not wanted
  RawDevice* execute_device = nullptr;   // of a portable executable
};
struct DeserializeAndLoad {
  static constexpr size_t kFunction = 56;
  static constexpr const char* kName = "Executable_DeserializeAndLoad";
  Head head;
  RawClient* client = nullptr;
  const char* bytes = nullptr;
  size_t byte_count = 0;
  RawLoadedExecutable* loaded = nullptr;  // ->
  const char* other_options = nullptr;
  size_t other_options_size = 0;
};
struct BufferDestroy {
  static constexpr size_t kFunction = 58;
  static constexpr const char* kName = "Buffer_Destroy";
  Head head;
  RawBuffer* buffer = nullptr;
};
struct BufferToHost {
  static constexpr size_t kFunction = 70;
  static constexpr const char* kName = "Buffer_ToHostBuffer";
  Head head;
  RawBuffer* source = nullptr;
  void* layout = nullptr;
  void* to = nullptr;
  size_t to_size = 0;
  Event* event = nullptr;  // ->
};
struct TopologyCreate {
  static constexpr size_t kFunction = 82;
  static constexpr const char* kName = "TopologyDescription_Create";
  Head head;
  const char* name = nullptr;
  size_t name_size = 0;
  const NamedValue* options = nullptr;
  size_t option_count = 0;
  Topology* topology = nullptr;  // ->
};
struct TopologyDestroy {
  static constexpr size_t kFunction = 83;
  static constexpr const char* kName = "TopologyDescription_Destroy";
  Head head;
  Topology* topology = nullptr;
};
struct TopologyPlatformName {
  static constexpr size_t kFunction = 84;
  static constexpr const char* kName = "TopologyDescription_PlatformName";
  Head head;
  const Topology* topology = nullptr;
  const char* text = nullptr;  // ->
  size_t text_size = 0;
};
struct TopologyPlatformVersion {
  static constexpr size_t kFunction = 85;
  static constexpr const char* kName = "TopologyDescription_PlatformVersion";
  Head head;
  Topology* topology = nullptr;
  const char* text = nullptr;  // ->
  size_t text_size = 0;
};
struct TopologyDevices {
  static constexpr size_t kFunction = 86;
  static constexpr const char* kName = "TopologyDescription_GetDeviceDescriptions";
  Head head;
  const Topology* topology = nullptr;
  DeviceDescription* const* descriptions = nullptr;  // ->
  size_t count = 0;
};
struct Compile {
  static constexpr size_t kFunction = 89;
  static constexpr const char* kName = "Compile";
  Head head;
  const Topology* topology = nullptr;
  const Program* program = nullptr;
  const char* options = nullptr;
  size_t options_size = 0;
  RawClient* client = nullptr;          // may be null
  RawExecutable* executable = nullptr;  // ->
};
struct ExecutableMemoryStats {
  static constexpr size_t kFunction = 96;
  static constexpr const char* kName = "Executable_GetCompiledMemoryStats";
  Head head;
  RawExecutable* executable = nullptr;
  int64_t code = 0, arguments = 0, outputs = 0, aliased = 0, temporary = 0;  // -> bytes on the device
  int64_t host_code = 0, host_arguments = 0, host_outputs = 0, host_aliased = 0, host_temporary = 0;
  int64_t peak = 0;
};

template <class Args>
constexpr size_t size_of() {
  if constexpr (requires { Args::kSize; }) {
    return Args::kSize;
  } else {
    return sizeof(Args);
  }
}

}  // namespace rerank::engine::pjrt
