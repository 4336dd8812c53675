// A PJRT plugin for tests: versions, refusals and devices as its client's options and its compile definitions say. Its
// programs add up what they are given: the logit of a row is the sum of its ids inside the sequence, over 1000.
//   FAKE_MAJOR, FAKE_MINOR   its version
//   FAKE_FUNCTIONS           how many functions its table has
//   FAKE_WITHOUT             the place of one that it lacks
//   FAKE_NOTHING             GetPjrtApi gives nothing
//   FAKE_INITIALIZE          Plugin_Initialize is refused
// Options of a client:
//   devices=N, platform=NAME, limit=BYTES (of each device's memory), no_portable=true (compiles for one device),
//   refuse_rows=N (programs of N rows are refused by the compiler), full_rows=N (they need too much memory),
//   fail_after=N, fail_code=C, fail_device=D (executions after the Nth on that device), slow=MS (of each execution)
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/pjrt/c_api.h"

#ifndef FAKE_MAJOR
#define FAKE_MAJOR 0
#endif
#ifndef FAKE_MINOR
#define FAKE_MINOR 81
#endif
#ifndef FAKE_FUNCTIONS
#define FAKE_FUNCTIONS 118
#endif

namespace rerank::engine::pjrt {

struct Error {
  int32_t code;
  std::string message;
};
struct Event {
  Error* error = nullptr;
};
struct DeviceDescription {
  int32_t id = 0;
  std::string kind = "Fake Device";
};
struct RawDevice {
  DeviceDescription description;
  std::atomic<int64_t> used = 0, executed = 0;
};
struct RawClient {
  std::map<std::string, int64_t> numbers;
  std::string platform = "fake", version = "fake 1";
  std::vector<RawDevice*> devices;
  int64_t number(const std::string& name, int64_t otherwise = 0) const {
    const auto found = numbers.find(name);
    return found == numbers.end() ? otherwise : found->second;
  }
};
struct RawBuffer {
  std::string bytes;
  RawDevice* device;
  ~RawBuffer() { device->used -= static_cast<int64_t>(bytes.size()); }
};
struct RawLoadedExecutable {
  RawClient* client;
  int64_t rows = 0, length = 0;
};
struct RawExecutable {
  RawLoadedExecutable loaded;
};

namespace {

// Read by tests: fake_pjrt_counts().
std::atomic<int64_t> compiled = 0, deserialized = 0, executed = 0, buffers = 0;

Error* error(int32_t code, std::string message) { return new Error{code, std::move(message)}; }

template <class Args>
Error* check_size(const Args* args) {
  if (args->head.size >= size_of<Args>()) return nullptr;
  return error(3, std::string("struct of ") + Args::kName + " is too short");
}

Error* destroy_error(ErrorDestroy* args) {
  delete args->error;
  return nullptr;
}
Error* error_message(ErrorMessage* args) {
  args->message = args->error->message.data();
  args->message_size = args->error->message.size();
  return nullptr;
}
Error* error_code(ErrorCode* args) {
  args->code = args->error->code;
  return nullptr;
}

Error* initialize(PluginInitialize*) {
#ifdef FAKE_INITIALIZE
  return error(9, "no driver");
#endif
  std::signal(SIGTERM, SIG_IGN);  // as libtpu does, and worse
  std::signal(SIGSEGV, SIG_IGN);
  return nullptr;
}

Error* attributes(PluginAttributes* args) {
  static const int64_t kVersion[] = {1, 2, 3};
  static NamedValue value;
  value.name = "stablehlo_current_version";
  value.name_size = std::strlen(value.name);
  value.type = ValueType::kInt64List;
  value.int64_list = kVersion;
  value.value_size = 3;
  args->attributes = &value;
  args->count = 1;
  return nullptr;
}

Error* await(EventAwait* args) { return std::exchange(args->event->error, nullptr); }
Error* destroy_event(EventDestroy* args) {
  if (args->event != nullptr) delete args->event->error;
  delete args->event;
  return nullptr;
}

Error* create_client(ClientCreate* args) {
  if (Error* wrong = check_size(args)) return wrong;
  auto client = std::make_unique<RawClient>();
  for (size_t i = 0; i < args->option_count; ++i) {
    const NamedValue& value = args->options[i];
    const std::string name(value.name, value.name_size);
    if (value.type == ValueType::kInt64) client->numbers[name] = value.int64_value;
    if (value.type == ValueType::kBool) client->numbers[name] = value.bool_value ? 1 : 0;
    if (name == "platform") client->platform = std::string(value.string_value, value.value_size);
    if (name == "unknown") return error(3, "unknown option: unknown");
  }
  for (int64_t i = 0; i < client->number("devices", 1); ++i) {
    client->devices.push_back(new RawDevice);
    client->devices.back()->description.id = static_cast<int32_t>(i);
  }
  args->client = client.release();
  return nullptr;
}
Error* destroy_client(ClientDestroy* args) {
  for (RawDevice* device : args->client->devices) delete device;
  delete args->client;
  return nullptr;
}
Error* platform_name(ClientPlatformName* args) {
  args->text = args->client->platform.data();
  args->text_size = args->client->platform.size();
  return nullptr;
}
Error* platform_version(ClientPlatformVersion* args) {
  args->text = args->client->version.data();
  args->text_size = args->client->version.size();
  return nullptr;
}
Error* devices(ClientAddressableDevices* args) {
  args->devices = args->client->devices.data();
  args->count = args->client->devices.size();
  return nullptr;
}
Error* description_of(DeviceGetDescription* args) {
  args->description = &args->device->description;
  return nullptr;
}
Error* device_id(DeviceDescriptionId* args) {
  args->id = args->description->id;
  return nullptr;
}
Error* device_kind(DeviceDescriptionKind* args) {
  args->text = args->description->kind.data();
  args->text_size = args->description->kind.size();
  return nullptr;
}

// The shape of a program is in its name: "module @reranker_8x128_fp32".
Error* compile(ClientCompile* args) {
  if (args->options_size == 0) return error(3, "empty options");
  const std::string text(args->program->code, args->program->code_size);
  auto made = std::make_unique<RawLoadedExecutable>(RawLoadedExecutable{args->client, 0, 0});
  long long rows = 0, length = 0;
  if (std::sscanf(text.c_str(), "module @reranker_%lldx%lld_", &rows, &length) != 2) return error(3, "no program");
  made->rows = rows;
  made->length = length;
  const RawClient& client = *args->client;
  const std::string options(args->options, args->options_size);
  const bool portable = options.ends_with(std::string("\x20\x01", 2)) && options.find('\x4a') == std::string::npos;
  if (portable && client.number("no_portable") != 0) return error(12, "portable executables: not implemented");
  if (client.number("refuse_rows") == rows) return error(13, "the compiler gives up");
  if (client.number("full_rows") == rows) return error(8, "Ran out of memory: 29.80G exceeds 15.75G");
  ++compiled;
  args->executable = made.release();
  return nullptr;
}

Error* upload(BufferFromHost* args) {
  if (Error* wrong = check_size(args)) return wrong;
  size_t bytes = args->type == BufferType::kBF16 ? 2 : 4;
  for (size_t i = 0; i < args->dim_count; ++i) bytes *= static_cast<size_t>(args->dims[i]);
  if (args->device->used + static_cast<int64_t>(bytes) > args->client->number("limit", INT64_MAX))
    return error(8, "Ran out of memory on the device");
  args->device->used += static_cast<int64_t>(bytes);
  args->buffer = new RawBuffer{std::string(static_cast<const char*>(args->data), bytes), args->device};
  args->done_with_host = new Event;
  ++buffers;
  return nullptr;
}

Error* memory(DeviceMemoryStats* args) {
  args->bytes_in_use = args->device->used;
  args->bytes_limit.value = int64_t{1} << 30;
  args->bytes_limit.is_set = true;
  return nullptr;
}

Error* destroy_buffer(BufferDestroy* args) {
  delete args->buffer;
  --buffers;
  return nullptr;
}

Error* executable_of(LoadedExecutableGet* args) {
  args->executable = new RawExecutable{*args->loaded};
  return nullptr;
}
Error* destroy_executable(ExecutableDestroy* args) {
  delete args->executable;
  return nullptr;
}
Error* destroy_loaded(LoadedExecutableDestroy* args) {
  delete args->executable;
  return nullptr;
}

Error* serialize(ExecutableSerialize* args) {
  auto* bytes = new std::string("fake " + std::to_string(args->executable->loaded.rows) + " " +
                                std::to_string(args->executable->loaded.length));
  args->bytes = bytes->data();
  args->byte_count = bytes->size();
  args->owner = bytes;
  args->destroy = [](void* owner) { delete static_cast<std::string*>(owner); };
  return nullptr;
}
Error* deserialize(DeserializeAndLoad* args) {
  long long rows = 0, length = 0;
  if (std::sscanf(std::string(args->bytes, args->byte_count).c_str(), "fake %lld %lld", &rows, &length) != 2)
    return error(3, "not an executable of this version");
  args->loaded = new RawLoadedExecutable{args->client, rows, length};
  ++deserialized;
  return nullptr;
}

Error* execute(Execute* args) {
  if (Error* wrong = check_size(args)) return wrong;
  const RawLoadedExecutable& program = *args->executable;
  const RawClient& client = *program.client;
  RawBuffer* const* inputs = args->arguments[0];
  RawDevice* device = args->execute_device == nullptr ? inputs[0]->device : args->execute_device;
  for (size_t i = 0; i < args->argument_count; ++i)
    if (inputs[i]->device != device) return error(3, "a buffer lies on another device");
  ++executed;
  if (const int64_t slow = client.number("slow"); slow != 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(slow));
  const bool fails = client.number("fail_device") == device->description.id;
  if (fails && client.number("fail_after", -1) >= 0 && device->executed++ >= client.number("fail_after"))
    return error(static_cast<int32_t>(client.number("fail_code", 13)), "the device is lost");
  std::vector<float> logits(static_cast<size_t>(program.rows));
  const auto* ids = reinterpret_cast<const int32_t*>(inputs[0]->bytes.data());
  const auto* lengths = reinterpret_cast<const int32_t*>(inputs[1]->bytes.data());
  for (int64_t row = 0; row < program.rows; ++row) {
    for (int32_t i = 0; i < lengths[row]; ++i)
      logits[static_cast<size_t>(row)] += static_cast<float>(ids[row * program.length + i]) / 1000;
  }
  const std::string bytes(reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float));
  args->outputs[0][0] = new RawBuffer{bytes, device};
  device->used += static_cast<int64_t>(bytes.size());
  ++buffers;
  return nullptr;
}

Error* to_host(BufferToHost* args) {
  if (args->to_size != args->source->bytes.size()) return error(3, "another size");
  std::memcpy(args->to, args->source->bytes.data(), args->to_size);
  args->event = new Event;
  return nullptr;
}

template <class Args>
void put(Api::Function* functions, Error* (*function)(Args*)) {
  functions[Args::kFunction] = reinterpret_cast<Api::Function>(function);
}

struct Table {
  Head head;
  ApiVersion version;
  Api::Function functions[118] = {};

  Table() {
    head.size = offsetof(Api, functions) + FAKE_FUNCTIONS * sizeof(Api::Function);
    version.major = FAKE_MAJOR;
    version.minor = FAKE_MINOR;
    put(functions, destroy_error);
    put(functions, error_message);
    put(functions, error_code);
    put(functions, initialize);
    put(functions, attributes);
    put(functions, await);
    put(functions, destroy_event);
    put(functions, create_client);
    put(functions, destroy_client);
    put(functions, platform_name);
    put(functions, platform_version);
    put(functions, devices);
    put(functions, description_of);
    put(functions, device_id);
    put(functions, device_kind);
    put(functions, compile);
    put(functions, upload);
    put(functions, memory);
    put(functions, destroy_buffer);
    put(functions, executable_of);
    put(functions, destroy_executable);
    put(functions, destroy_loaded);
    put(functions, serialize);
    put(functions, deserialize);
    put(functions, execute);
    put(functions, to_host);
#ifdef FAKE_WITHOUT
    functions[FAKE_WITHOUT] = nullptr;
#endif
  }
};

}  // namespace
}  // namespace rerank::engine::pjrt

extern "C" const void* GetPjrtApi() {
#ifdef FAKE_NOTHING
  return nullptr;
#else
  static const rerank::engine::pjrt::Table table;
  return &table;
#endif
}

// Compiled, deserialized and executed so far, and buffers that live.
extern "C" void fake_pjrt_counts(int64_t counts[4]) {
  using namespace rerank::engine::pjrt;
  counts[0] = compiled;
  counts[1] = deserialized;
  counts[2] = executed;
  counts[3] = buffers;
}
