#include "engine/pjrt/plugin.h"

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/system/shared_library.h"
#include "engine/pjrt/plugin_environment.h"

namespace rerank::engine::pjrt {
namespace {

namespace fs = std::filesystem;

// Of the functions that nothing is computed without; empty: all are there. Of the others callers ask.
template <class... Calls>
std::string first_missing(const Api& api) {
  std::string name;
  const auto look = [&](size_t function, const char* text) {
    if (name.empty() && !api.has(function)) name = text;
  };
  (look(Calls::kFunction, Calls::kName), ...);
  return name;
}

// Plugins that were loaded, or refused, by their path.
struct Loaded {
  std::mutex mutex;
  std::map<std::string, Result<const Plugin*>> plugins;
};

Loaded& loaded() {
  static Loaded* const all = new Loaded;  // never destroyed: plugins stay until the process ends
  return *all;
}

}  // namespace

Result<const Plugin*> Plugin::load(const std::string& plugin, const LoadOptions& options) {
  ASSIGN_OR_RETURN(std::string path, find_plugin(plugin));
  std::error_code error;
  if (const fs::path real = fs::canonical(path, error); !error) path = real.string();
  Loaded& all = loaded();
  const std::lock_guard lock(all.mutex);
  const auto found = all.plugins.find(path);
  if (found != all.plugins.end()) return found->second;
  return all.plugins.emplace(path, open(path, options)).first->second;
}

Result<const Plugin*> Plugin::open(const std::string& path, const LoadOptions& options) {
  set_plugin_environment(options);
  const KeptSignals signals;
  auto library = SharedLibrary::open(path);
  if (!library.ok()) return with_context(library.status(), str_cat("--pjrt-plugin ", path, ": cannot be loaded"));
  library->keep();
  const auto get_api = library->find<const Api*()>("GetPjrtApi");
  const Api* api = get_api == nullptr ? nullptr : get_api();
  if (api == nullptr)
    return absl::InvalidArgumentError(str_cat("--pjrt-plugin ", path, ": a library, but no PJRT plugin (",
                                              get_api == nullptr ? "it has no GetPjrtApi" : "GetPjrtApi gives nothing",
                                              ")"));
  std::unique_ptr<Plugin> plugin(new Plugin(path, api));
  RETURN_IF_ERROR(plugin->check());
  PluginInitialize initialize;
  RETURN_IF_ERROR(plugin->call(initialize));
  log_debug(str_cat("pjrt engine: ", path, ": ", plugin->versions()));
  return plugin.release();  // for the life of the process
}

Status Plugin::check() const {
  const auto refuse = [&](std::string_view why) {
    return absl::UnimplementedError(str_cat("--pjrt-plugin ", path_, ": ", why));
  };
  if (api_->head.size < offsetof(Api, functions)) return refuse("its table of functions is too short for any version");
  const ApiVersion& version = api_->version;
  const std::string has = str_cat("has version ", version.major, ".", version.minor, " of PJRT's interface, and ");
  if (version.major != kMajor) return refuse(str_cat(has, kMajor, ".", kOldestMinor, " or a later 0.x is needed"));
  if (version.minor < kOldestMinor)
    return refuse(str_cat(has, kMajor, ".", kOldestMinor, " or later is needed: install a newer one"));
  for (const size_t function : {ErrorDestroy::kFunction, ErrorMessage::kFunction, ErrorCode::kFunction})
    if (!api_->has(function)) return refuse("lacks the functions that read errors");
  const std::string lacking =
      first_missing<PluginInitialize, EventAwait, EventDestroy, ClientCreate, ClientDestroy, ClientPlatformName,
                    ClientPlatformVersion, ClientAddressableDevices, ClientCompile, BufferFromHost, BufferDestroy,
                    BufferToHost, DeviceGetDescription, DeviceDescriptionId, DeviceDescriptionKind, Execute,
                    LoadedExecutableGet, LoadedExecutableDestroy, ExecutableDestroy>(*api_);
  if (!lacking.empty()) return refuse(str_cat("lacks the function ", lacking));
  return ok_status();
}

std::string Plugin::versions() const {
  std::string text = str_cat("PJRT ", api_->version.major, ".", api_->version.minor);
  PluginAttributes attributes;
  if (!call(attributes).ok()) return text;
  for (size_t i = 0; i < attributes.count; ++i) {
    const NamedValue& value = attributes.attributes[i];
    if (text_of(value.name, value.name_size) != "stablehlo_current_version" || value.type != ValueType::kInt64List)
      continue;
    text += ", StableHLO ";
    for (size_t k = 0; k < value.value_size; ++k) text += str_cat(k == 0 ? "" : ".", value.int64_list[k]);
  }
  return text;
}

Status Plugin::missing(const char* function) const {
  return absl::UnimplementedError(str_cat("pjrt engine: ", path_, " lacks the function ", function));
}

Status Plugin::status_of(Error* error, const char* function) const {
  if (error == nullptr) return ok_status();
  ErrorCode code{.error = error};
  code.head.size = size_of<ErrorCode>();
  api_->functions[ErrorCode::kFunction](&code);
  ErrorMessage message{.error = error};
  message.head.size = size_of<ErrorMessage>();
  api_->functions[ErrorMessage::kFunction](&message);
  constexpr size_t kLongest = 2000;  // compilers print whole programs
  std::string text = text_of(message.message, std::min(message.message_size, kLongest));
  ErrorDestroy destroy{.error = error};
  destroy.head.size = size_of<ErrorDestroy>();
  api_->functions[ErrorDestroy::kFunction](&destroy);
  const auto known =
      code.code > 0 && code.code <= 16 ? static_cast<absl::StatusCode>(code.code) : absl::StatusCode::kUnknown;
  return Status(known, str_cat("pjrt engine: ", function, ": ", text));
}

Status Plugin::await(Event* event) const {
  if (event == nullptr) return ok_status();
  EventAwait wait{.event = event};
  const Status status = call(wait);
  EventDestroy destroy{.event = event};
  const Status destroyed = call(destroy);
  return status.ok() ? destroyed : status;
}

}  // namespace rerank::engine::pjrt
