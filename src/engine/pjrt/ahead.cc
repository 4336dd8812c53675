#include "engine/pjrt/ahead.h"

#include <chrono>

#include "base/hash.h"
#include "base/json/writer.h"
#include "base/status_macros.h"

namespace rerank::engine::pjrt {
namespace {

using Clock = std::chrono::steady_clock;

// A device that is described, not there.
class Described {
 public:
  static Result<Described> create(const Plugin* plugin, const std::string& name, const std::string& options) {
    ASSIGN_OR_RETURN(const NamedValues values, NamedValues::parse(options, "--pjrt-options"));
    const std::vector<NamedValue> view = values.view();
    const KeptSignals signals;
    TopologyCreate create{
        .name = name.data(), .name_size = name.size(), .options = view.data(), .option_count = view.size()};
    if (Status status = plugin->call(create); !status.ok())
      return with_context(status, str_cat("--pjrt-topology ", name));
    return Described(plugin, create.topology);
  }
  ~Described() {
    TopologyDestroy destroy{.topology = raw_};
    if (raw_ != nullptr) plugin_->call(destroy).IgnoreError();
  }
  Described(Described&& other) noexcept : plugin_(other.plugin_), raw_(std::exchange(other.raw_, nullptr)) {}
  Described& operator=(Described&&) = delete;

  Topology* raw() const { return raw_; }

  Status describe(AheadReport& report) const {
    TopologyPlatformName name{.topology = raw_};
    RETURN_IF_ERROR(plugin_->call(name));
    report.platform = text_of(name.text, name.text_size);
    TopologyPlatformVersion version{.topology = raw_};
    if (plugin_->call(version).ok()) report.platform_version = text_of(version.text, version.text_size);
    TopologyDevices devices{.topology = raw_};
    RETURN_IF_ERROR(plugin_->call(devices));
    report.devices = devices.count;
    if (devices.count == 0) return absl::InternalError("pjrt engine: the topology has no device");
    DeviceDescriptionKind kind{.description = devices.descriptions[0]};
    RETURN_IF_ERROR(plugin_->call(kind));
    report.device = text_of(kind.text, kind.text_size);
    return ok_status();
  }

 private:
  Described(const Plugin* plugin, Topology* raw) : plugin_(plugin), raw_(raw) {}
  const Plugin* plugin_;
  Topology* raw_;
};

// Whether the compiled program has operations between devices.
void look_for_collectives(const Plugin& plugin, RawExecutable* executable, AheadProgram& found) {
  Program program;
  program.head.size = sizeof program;
  ExecutableOptimizedProgram get{.executable = executable, .program = &program};
  if (!plugin.call(get).ok() || program.code_size == 0) return;
  std::string code(program.code_size, '\0');
  program.code = code.data();
  if (!plugin.call(get).ok()) return;
  found.optimized_bytes = code.size();
  for (const char* operation : {"all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter"})
    found.collectives = found.collectives || code.find(operation) != std::string::npos;
}

struct Compiled {
  std::string bytes;
  AheadProgram program;
};

Result<Compiled> compile_for(const Plugin& plugin, const Described& device, const std::string& text,
                             const std::string& options) {
  Program source{.code = text.data(), .code_size = text.size(), .format = "mlir", .format_size = 4};
  source.head.size = sizeof source;
  Compile compile{
      .topology = device.raw(), .program = &source, .options = options.data(), .options_size = options.size()};
  const auto start = Clock::now();
  RETURN_IF_ERROR(plugin.call(compile));
  Compiled made;
  made.program.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  made.program.cost = cost_of(plugin, compile.executable);
  look_for_collectives(plugin, compile.executable, made.program);
  auto bytes = serialized(plugin, compile.executable);
  ExecutableDestroy destroy{.executable = compile.executable};
  RETURN_IF_ERROR(plugin.call(destroy));
  if (!bytes.ok()) return bytes.status();
  made.bytes = *std::move(bytes);
  return made;
}

Result<Compiled> compile_here(const Client& client, const std::string& text, const std::string& options) {
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(auto loaded, client.compile(text, options));
  Compiled made;
  made.program.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  made.program.cost = client.cost(*loaded);
  ASSIGN_OR_RETURN(made.bytes, client.serialize(*loaded));
  return made;
}

}  // namespace

Result<AheadReport> compile_ahead(const model::Architecture& architecture, const AheadOptions& options,
                                  const std::function<void(size_t, size_t)>& done) {
  const bool described = !options.topology.empty();
  ASSIGN_OR_RETURN(const Plugin* plugin, Plugin::load(options.plugin, {.ahead = described}));
  AheadReport report{.plugin = plugin->path(), .versions = plugin->versions()};
  std::optional<Described> device;
  std::shared_ptr<Client> client;
  if (described) {
    ASSIGN_OR_RETURN(auto created, Described::create(plugin, options.topology, options.options));
    device.emplace(std::move(created));
    RETURN_IF_ERROR(device->describe(report));
  } else {
    ASSIGN_OR_RETURN(client, Client::open(plugin, options.options));
    report.platform = client->platform();
    report.platform_version = client->platform_version();
    report.devices = client->devices().size();
    report.device = client->devices()[0].kind;
  }
  const ProgramCache cache(options.folder, options.max_bytes);
  RETURN_IF_ERROR(cache.check());
  const std::string how = compile_options(options.portable ? Placement::kPortable : Placement::kFirst);
  ProgramKey key;
  ASSIGN_OR_RETURN(key.plugin, plugin_digest(plugin->path()));
  key.platform = report.platform;
  key.device = device_text(report.platform, report.device);
  key.options = how;
  for (const Rectangle& shape : options.shapes) {
    const std::string text = write_forward(architecture, shape, options.matrices).text;
    auto compiled = described ? compile_for(*plugin, *device, text, how) : compile_here(*client, text, how);
    if (!compiled.ok()) return with_context(compiled.status(), str_cat("a block of ", shape_text(shape)));
    AheadProgram& program = report.programs.emplace_back(compiled->program);
    program.shape = shape;
    program.bytes = compiled->bytes.size();
    key.program = hash128(text).hex();
    RETURN_IF_ERROR(cache.keep(key, {std::move(compiled->bytes), program.seconds}));
    program.file = cache.path(key);
    if (done) done(report.programs.size(), options.shapes.size());
  }
  return report;
}

std::string report_json(const AheadReport& report) {
  JsonWriter json(JsonStyle::kIndented);
  json.begin_object();
  json.field("plugin", report.plugin).field("versions", report.versions);
  json.field("platform", report.platform).field("platform_version", report.platform_version);
  json.field("device", report.device).field("devices", uint64_t{report.devices});
  json.key("programs").begin_array();
  for (const AheadProgram& program : report.programs) {
    json.begin_object();
    json.field("rows", uint64_t{program.shape.rows}).field("length", uint64_t{program.shape.length});
    json.field("compile_seconds", program.seconds).field("bytes", program.bytes).field("file", program.file);
    json.field("argument_bytes", program.cost.argument_bytes).field("temporary_bytes", program.cost.temporary_bytes);
    json.field("code_bytes", program.cost.code_bytes).field("peak_bytes", program.cost.peak_bytes);
    json.field("flops", program.cost.flops).field("bytes_accessed", program.cost.bytes_accessed);
    json.field("modelled_seconds", program.cost.seconds).field("collectives", program.collectives);
    json.end_object();
  }
  json.end_array().end_object();
  return json.take() + "\n";
}

}  // namespace rerank::engine::pjrt
