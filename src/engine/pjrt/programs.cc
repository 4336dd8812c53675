#include "engine/pjrt/programs.h"

#include <chrono>

#include "base/hash.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace rerank::engine::pjrt {
namespace {

constexpr size_t kFirst = 2;  // compiled before the model is ready

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

Result<ProgramKey> key_of(const Client& client, size_t device, const std::string& text, const std::string& options) {
  ProgramKey key;
  ASSIGN_OR_RETURN(key.plugin, plugin_digest(client.plugin().path()));
  key.platform = client.platform();
  key.device = device_text(client.platform(), client.devices()[device].kind);
  key.program = hash128(text).hex();
  key.options = options;
  return key;
}

Result<std::shared_ptr<Programs>> Programs::open(ProgramSetup setup) {
  std::shared_ptr<Programs> programs(new Programs(std::move(setup)));
  const ProgramSetup& s = programs->setup_;
  if (s.cache) RETURN_IF_ERROR(s.cache->check());
  if (s.devices.size() > 1 || s.devices[0] != 0) programs->placement_ = Placement::kPortable;
  Status status = programs->add(s.shapes[0]);
  if (!status.ok() && !absl::IsResourceExhausted(status) && programs->placement_ == Placement::kPortable) {
    log_info(str_cat("pjrt engine: programs are compiled for each device: ", message_of(status)));
    programs->placement_ = Placement::kAssigned;
    status = programs->add(s.shapes[0]);
  }
  RETURN_IF_ERROR(status);
  for (size_t i = 1; i < std::min(kFirst, s.shapes.size()); ++i) {
    if (Status refused = programs->add(s.shapes[i]); !refused.ok())
      log_warning(str_cat("pjrt engine: no blocks of ", shape_text(s.shapes[i]), ": ", message_of(refused)));
  }
  programs->thread_ = std::thread([p = programs.get()] { p->compile_rest(kFirst); });
  return programs;
}

Programs::~Programs() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void Programs::compile_rest(size_t first) {
  for (size_t i = first; i < setup_.shapes.size(); ++i) {
    {
      const std::lock_guard lock(mutex_);
      if (stop_) break;
    }
    if (Status status = add(setup_.shapes[i]); !status.ok())
      log_warning(str_cat("pjrt engine: no blocks of ", shape_text(setup_.shapes[i]), ": ", message_of(status)));
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  changed_.notify_all();
}

std::vector<std::shared_ptr<const ReadyProgram>> Programs::ready() const {
  const std::lock_guard lock(mutex_);
  return ready_;
}

void Programs::wait_for_all() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_; });
}

Status Programs::add(const Rectangle& shape) {
  const ForwardProgram program = write_forward(setup_.model->architecture(), shape, setup_.matrices);
  auto ready = std::make_shared<ReadyProgram>();
  ready->shape = shape;
  ready->arguments = program.arguments;
  ready->inputs = program.inputs;
  ready->portable = placement_ == Placement::kPortable;
  const size_t count = placement_ == Placement::kAssigned ? setup_.devices.size() : 1;
  for (size_t i = 0; i < count; ++i) {
    const size_t device = setup_.devices[i];
    const std::string options = compile_options(placement_, setup_.client->devices()[device].id);
    ASSIGN_OR_RETURN(auto loaded, get(program, options, device, *ready));
    ready->loaded.push_back(std::move(loaded));
  }
  log_info(str_cat("pjrt engine: blocks of ", shape_text(shape), " are ready, ",
                   ready->cached ? "from --pjrt-cache" : str_cat("compiled in ", ready->seconds, " s")));
  const std::lock_guard lock(mutex_);
  ready_.push_back(std::move(ready));
  return ok_status();
}

Result<std::unique_ptr<LoadedProgram>> Programs::get(const ForwardProgram& program, const std::string& options,
                                                     size_t device, ReadyProgram& ready) {
  const Client& client = *setup_.client;
  ProgramKey key;
  if (setup_.cache) {
    ASSIGN_OR_RETURN(key, key_of(client, device, program.text, options));
    if (const auto found = setup_.cache->find(key)) {
      auto loaded = client.load(found->bytes);
      ready.cached = loaded.ok();
      ready.seconds += found->compile_seconds;
      if (loaded.ok()) return loaded;
      log_warning(str_cat(setup_.cache->path(key), ": is compiled anew: ", message_of(loaded.status())));
    }
  }
  const auto start = Clock::now();
  ASSIGN_OR_RETURN(auto loaded, client.compile(program.text, options));
  const double seconds = seconds_since(start);
  ready.seconds += seconds;
  if (!setup_.cache) return loaded;
  auto bytes = client.serialize(*loaded);
  const Status kept = bytes.ok() ? setup_.cache->keep(key, {*std::move(bytes), seconds}) : bytes.status();
  if (!kept.ok()) log_warning(str_cat("pjrt engine: a compiled program is not kept: ", message_of(kept)));
  return loaded;
}

}  // namespace rerank::engine::pjrt
