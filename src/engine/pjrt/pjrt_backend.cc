#include "engine/pjrt/pjrt_backend.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <deque>
#include <map>

#include "base/status_macros.h"
#include "base/strings.h"
#include "base/team.h"
#include "engine/pjrt/programs.h"
#include "engine/pjrt/stablehlo/weights.h"
#include "engine/supported.h"

namespace rerank::engine {
namespace pjrt {
namespace {

constexpr size_t kBlockCost = 64;       // what starting a block costs, in tokens
constexpr size_t kBatchesInFlight = 2;  // of a device of its own: the next is uploaded while one is computed
constexpr size_t kRunsInFlight = 2;     // of one batch's blocks, there

struct Plan {
  std::shared_ptr<Client> client;
  Precision precision = Precision::kFp32;
  Element matrices = Element::kF32;
  std::vector<Rectangle> shapes;
  size_t threads = 1;
};

Status check_options(const model::Model& model, const BackendOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  if (options.exits != nullptr) return absl::UnimplementedError("pjrt engine: --exits: a program computes all layers");
  if (options.kernel != KernelTier::kAuto)
    return absl::InvalidArgumentError("pjrt engine: --kernel: the plugin compiles its own");
  if (options.precision != Precision::kAuto && options.precision != Precision::kFp32 &&
      options.precision != Precision::kBf16)
    return absl::InvalidArgumentError(
        str_cat("pjrt engine: --precision ", word_of(options.precision), ": there are auto, fp32 and bf16"));
  const std::string parts = uncomputed_parts(model.architecture(), kPairFeatures);
  return parts.empty() ? ok_status() : absl::UnimplementedError(str_cat("pjrt engine: does not compute ", parts));
}

Result<Plan> plan(const model::Model& model, const BackendOptions& options, const std::vector<size_t>& devices) {
  RETURN_IF_ERROR(check_options(model, options));
  Plan plan;
  plan.threads = options.threads != 0 ? options.threads : available_threads();
  ASSIGN_OR_RETURN(const Plugin* plugin, Plugin::load(options.pjrt_plugin, {.threads = options.threads}));
  ASSIGN_OR_RETURN(plan.client, Client::open(plugin, options.pjrt_options));
  for (const size_t device : devices) {
    if (device < plan.client->devices().size()) continue;
    return absl::NotFoundError(str_cat("pjrt engine: there is no device ", device, ": ", plugin->path(), " has ",
                                       plan.client->devices().size()));
  }
  const bool bf16 =
      options.precision == Precision::kBf16 || (options.precision == Precision::kAuto && plan.client->offloads());
  plan.precision = bf16 ? Precision::kBf16 : Precision::kFp32;
  plan.matrices = bf16 ? Element::kBF16 : Element::kF32;
  const size_t limit = model.config.max_length();
  const size_t longest = options.max_length == 0 ? model.config.served_length() : std::min(limit, options.max_length);
  if (options.pjrt_shapes.empty()) {
    plan.shapes = default_shapes(longest, plan.client->offloads());
    return plan;
  }
  auto shapes = parse_shapes(options.pjrt_shapes, limit);
  if (!shapes.ok()) return with_context(shapes.status(), "--pjrt-shapes");
  plan.shapes = *std::move(shapes);
  return plan;
}

std::optional<ProgramCache> cache_of(const BackendOptions& options) {
  if (options.pjrt_cache.empty()) return std::nullopt;
  return ProgramCache(options.pjrt_cache, options.pjrt_cache_bytes);
}

// "TPU v5 lite" -> "tpu-v5-lite"
std::string kernel_name(const std::string& kind) {
  std::string name = kind;
  for (char& c : name) c = c == ' ' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

using WeightBuffers = std::map<std::string, DeviceBuffer>;

std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// On each of the devices; a tensor at a time, so that the host holds no second copy of the model.
Result<std::vector<WeightBuffers>> upload_weights(const Client& client, const NamedWeights& weights,
                                                  const ReadyProgram& program, const std::vector<size_t>& devices) {
  std::vector<WeightBuffers> all(devices.size());
  for (size_t i = program.inputs; i < program.arguments.size(); ++i) {
    const Value& argument = program.arguments[i];
    ASSIGN_OR_RETURN(const std::vector<float> values, weights.floats(argument));
    const std::string data = element_data(values, argument.type.element);
    const BufferType type = argument.type.element == Element::kF32 ? BufferType::kF32 : BufferType::kBF16;
    for (size_t d = 0; d < devices.size(); ++d) {
      auto buffer = client.upload(devices[d], bytes_of(data), type, argument.type.dims);
      if (!buffer.ok()) return with_context(buffer.status(), str_cat("weight ", argument.name));
      all[d].emplace(argument.name, *std::move(buffer));
    }
  }
  return all;
}

class PjrtBackend : public Backend {
 public:
  // `place`: of the device among those of the programs.
  PjrtBackend(std::shared_ptr<Programs> programs, const Plan& plan, size_t place, WeightBuffers weights)
      : programs_(std::move(programs)), client_(plan.client), place_(place), weights_(std::move(weights)) {
    device_ = programs_->setup().devices[place];
    info_ = {.engines = {EngineKind::kPjrt},
             .precisions = {plan.precision},
             .kernel = kernel_name(client_->devices()[device_].kind),
             .threads = client_->offloads() ? 1 : plan.threads,
             .max_length = plan.shapes[0].length};
    info_.pads = true;
    info_.length_step = std::min_element(plan.shapes.begin(), plan.shapes.end(), [](const auto& a, const auto& b) {
                          return a.length < b.length;
                        })->length;
    info_.depth = false;
    info_.offloads = client_->offloads();
    info_.batches_in_flight = client_->offloads() ? kBatchesInFlight : 1;
    for (const Rectangle& shape : plan.shapes) info_.batch_tokens = std::max(info_.batch_tokens, shape.tokens());
    pad_id_ = programs_->setup().model->config.pad_id;
  }

  const BackendInfo& info() const override { return info_; }

  Status forward(const Batch& batch, std::span<float> logits) override {
    const model::Architecture& a = programs_->setup().model->architecture();
    RETURN_IF_ERROR(check_batch(a, batch));
    RETURN_IF_ERROR(check_full_depth(a, batch, "pjrt"));
    for (size_t i = 0; i < batch.size(); ++i) {
      if (batch.length(i) > info_.max_length)
        return absl::InvalidArgumentError(str_cat("pjrt engine: a sequence of ", batch.length(i),
                                                  " tokens: no program holds more than ", info_.max_length));
    }
    const auto ready = programs_->ready();
    PaddingRule rule;
    rule.block_cost = kBlockCost;
    for (const auto& program : ready) rule.shapes.push_back(program->shape);
    const std::vector<PaddedBlock> blocks = share_out_padded(batch, rule);
    const size_t most = info_.offloads ? kRunsInFlight : 1;
    std::deque<Flight> flights;
    Status status;
    for (const PaddedBlock& block : blocks) {
      if (flights.size() == most) status = land(flights, logits);
      if (!status.ok()) break;
      const auto program = std::find_if(ready.begin(), ready.end(), [&](const auto& one) {
        return one->shape == Rectangle{block.rows, block.length};
      });
      flights.emplace_back();
      status = start(batch, block, **program, flights.back());
      if (!status.ok()) break;
    }
    while (!flights.empty()) {  // also after a failure: their memory is being written
      const Status landed = land(flights, logits);
      if (status.ok()) status = landed;
    }
    return as_batch_error(status);
  }

 private:
  // A block under way.
  struct Flight {
    const PaddedBlock* block = nullptr;
    std::vector<DeviceBuffer> inputs;
    std::vector<float> result;
    std::optional<Client::Run> run;
  };

  // What fails here fails a batch: memory may come back, all else is the device's.
  Status as_batch_error(const Status& status) const {
    if (status.ok() || absl::IsResourceExhausted(status)) return status;
    return absl::InternalError(str_cat(message_of(status)));
  }

  Status start(const Batch& batch, const PaddedBlock& block, const ReadyProgram& program, Flight& flight) {
    flight.block = &block;
    std::vector<int32_t> values(block.tokens()), lengths(block.rows, 1);
    for (size_t r = 0; r < block.sequences.size(); ++r)
      lengths[r] = static_cast<int32_t>(batch.length(block.sequences[r]));
    const PadValues pad{pad_id_, 0};
    fill_padded(batch, block, TokenInput::kIds, pad, values.data());
    RETURN_IF_ERROR(upload(values, program.arguments[0], flight));
    RETURN_IF_ERROR(upload(lengths, program.arguments[1], flight));
    if (program.inputs > 2) {
      fill_padded(batch, block, TokenInput::kSegments, pad, values.data());
      RETURN_IF_ERROR(upload(values, program.arguments[2], flight));
    }
    std::vector<RawBuffer*> arguments = arguments_of(program);
    for (size_t i = 0; i < program.inputs; ++i) arguments[i] = flight.inputs[i].raw();
    flight.result.resize(block.rows);
    const LoadedProgram& loaded = *program.loaded[program.loaded.size() == 1 ? 0 : place_];
    flight.run =
        client_->start(loaded, program.portable ? &client_->devices()[device_] : nullptr, arguments, flight.result);
    return ok_status();
  }

  Status upload(const std::vector<int32_t>& values, const Value& argument, Flight& flight) {
    ASSIGN_OR_RETURN(DeviceBuffer buffer,
                     client_->upload(device_, std::as_bytes(std::span(values)), BufferType::kS32, argument.type.dims));
    flight.inputs.push_back(std::move(buffer));
    return ok_status();
  }

  // Waits for the first.
  Status land(std::deque<Flight>& flights, std::span<float> logits) {
    Flight& flight = flights.front();
    Status status = flight.run ? client_->wait(*flight.run) : ok_status();
    for (size_t r = 0; status.ok() && flight.run && r < flight.block->sequences.size(); ++r)
      logits[flight.block->sequences[r]] = flight.result[r];
    flights.pop_front();
    return status;
  }

  // The program's, with places for its inputs.
  std::vector<RawBuffer*> arguments_of(const ReadyProgram& program) {
    const std::lock_guard lock(mutex_);
    std::vector<RawBuffer*>& found = arguments_[&program];
    if (found.empty()) {
      found.resize(program.inputs);
      for (size_t i = program.inputs; i < program.arguments.size(); ++i)
        found.push_back(weights_.at(program.arguments[i].name).raw());
    }
    return found;
  }

  std::shared_ptr<Programs> programs_;
  std::shared_ptr<Client> client_;
  size_t place_, device_ = 0;
  WeightBuffers weights_;
  int32_t pad_id_ = 0;
  std::mutex mutex_;
  std::map<const ReadyProgram*, std::vector<RawBuffer*>> arguments_;  // guarded by mutex_; programs stay
  BackendInfo info_;
};

double megabytes(uint64_t bytes) {
  const uint64_t tenths = bytes / 100000;
  return static_cast<double>(tenths) / 10;
}

// What the cache holds of the plan's programs.
std::string cache_text(const model::Model& model, const Plan& plan, const BackendOptions& options, size_t device) {
  const auto cache = cache_of(options);
  if (!cache) return "no --pjrt-cache: each start compiles";
  size_t there = 0;
  double seconds = 0;
  for (const Rectangle& shape : plan.shapes) {
    const std::string text = write_forward(model.architecture(), shape, plan.matrices).text;
    const auto key =
        key_of(*plan.client, device, text, compile_options(device == 0 ? Placement::kFirst : Placement::kPortable));
    const auto found = key.ok() && cache->has(*key) ? cache->find(*key) : std::nullopt;
    if (!found) continue;
    ++there;
    seconds += found->compile_seconds;
  }
  return str_cat(there, " of them in --pjrt-cache",
                 there == 0 ? "" : str_cat(", which took ", std::round(seconds * 10) / 10, " s to compile"));
}

}  // namespace
}  // namespace pjrt

Result<std::string> describe_pjrt_backend(const model::Model& model, const BackendOptions& options) {
  using namespace pjrt;
  ASSIGN_OR_RETURN(const Plan plan, pjrt::plan(model, options, {options.device}));
  const Client& client = *plan.client;
  const ForwardProgram program = write_forward(model.architecture(), plan.shapes[0], plan.matrices);
  uint64_t weights = 0;
  for (size_t i = program.inputs; i < program.arguments.size(); ++i)
    weights +=
        static_cast<uint64_t>(program.arguments[i].type.elements()) * element_bytes(program.arguments[i].type.element);
  const auto memory = client.memory(options.device);
  return str_cat(word_of(plan.precision), " on ", client.devices()[options.device].kind, ", ", client.devices().size(),
                 " device(s) of platform ", client.platform(), ", ",
                 memory ? str_cat(megabytes(memory->limit), " MB each") : "memory not told", "; plugin ",
                 client.plugin().path(), " (", client.plugin().versions(), "); ", plan.shapes.size(),
                 " programs, rows x length ", shapes_text(plan.shapes), ", ",
                 cache_text(model, plan, options, options.device), "; weights ", megabytes(weights), " MB");
}

Result<std::vector<std::unique_ptr<Backend>>> make_pjrt_backends(std::shared_ptr<const model::Model> model,
                                                                 const BackendOptions& options,
                                                                 const std::vector<size_t>& devices) {
  using namespace pjrt;
  ASSIGN_OR_RETURN(const Plan plan, pjrt::plan(*model, options, devices));
  const NamedWeights named(*model);  // of a model that the programs keep
  ASSIGN_OR_RETURN(auto programs, Programs::open({.model = std::move(model),
                                                  .client = plan.client,
                                                  .matrices = plan.matrices,
                                                  .shapes = plan.shapes,
                                                  .devices = devices,
                                                  .cache = cache_of(options)}));
  ASSIGN_OR_RETURN(auto weights, upload_weights(*plan.client, named, *programs->ready()[0], devices));
  std::vector<std::unique_ptr<Backend>> backends;
  for (size_t i = 0; i < devices.size(); ++i)
    backends.push_back(std::make_unique<PjrtBackend>(programs, plan, i, std::move(weights[i])));
  return backends;
}

Result<std::unique_ptr<Backend>> make_pjrt_backend(std::shared_ptr<const model::Model> model,
                                                   const BackendOptions& options) {
  ASSIGN_OR_RETURN(auto backends, make_pjrt_backends(std::move(model), options, {options.device}));
  return std::move(backends[0]);
}

}  // namespace rerank::engine
