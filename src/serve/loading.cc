// The second half of the catalog: how models are loaded, come back, and are let go.
#include <algorithm>
#include <utility>

#include "base/guarded.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "rank/locate.h"
#include "rank/shadow/shadow.h"
#include "serve/cascade.h"
#include "serve/delegate.h"
#include "serve/entry.h"
#include "serve/model_catalog.h"

namespace rerank::serve {
namespace {

constexpr std::chrono::milliseconds kLookForDeadlines(100);
constexpr std::chrono::seconds kLookForIdle(1);

// Of a load: where each phase begins, in percent, and how much of the load it is. Estimates.
struct Phase {
  std::string_view name;
  int begin, length;
};
constexpr Phase kPhases[] = {
    {"downloading", 0, 70}, {"reading weights", 70, 10}, {"preparing the engine", 80, 15}, {"warming up", 95, 5}};

}  // namespace

// Under the lock.
void ModelCatalog::begin_load(Entry& entry, const ModelSpec& spec) {
  entry.loading = true;
  entry.phase.clear();
  entry.percent = 0;
  ++loads_;
  loader_->post([this, kept = entry.shared_from_this(), spec] { load_now(*kept, spec); });
}

void ModelCatalog::note_progress(Entry& entry, const LoadProgress& progress) {
  const std::lock_guard lock(mutex_);
  for (const Phase& phase : kPhases) {
    if (phase.name != progress.phase) continue;
    const double part =
        progress.total > 0 ? static_cast<double>(progress.done) / static_cast<double>(progress.total) : 0;
    entry.percent = std::max(entry.percent, phase.begin + static_cast<int>(part * phase.length));
  }
  entry.phase = std::string(progress.phase);
}

// On the loader's thread.
void ModelCatalog::load_now(Entry& entry, const ModelSpec& spec) {
  Result<std::shared_ptr<Reranker>> loaded = absl::UnavailableError("stopping");
  bool stopping = false;
  {
    const std::lock_guard lock(mutex_);
    stopping = stopping_;
  }
  if (!stopping) {
    const Status status = guarded([&] {
      // One of its own: what the load makes goes with the model.
      const std::shared_ptr<Metrics> metrics = metrics_ ? metrics_->with({{"model", entry.name}}) : nullptr;
      auto opened =
          open_(spec, metrics, [this, &entry](const LoadProgress& progress) { note_progress(entry, progress); });
      if (!opened.ok()) {
        loaded = opened.status();
        return;
      }
      loaded = counted(with_shadow_of(entry.name, *std::move(opened), metrics));
    });
    if (!status.ok()) loaded = status;
  }
  std::shared_ptr<Reranker> replaced;  // let go outside the lock
  std::shared_ptr<WaitingModel> waiting;
  {
    const std::lock_guard lock(mutex_);
    entry.loading = entry.first = false;
    --loads_;
    entry.phase.clear();
    entry.failure = loaded.status();
    entry.failed_at = entry.last_used = Clock::now();
    waiting = std::exchange(entry.waiting, nullptr);
    if (loaded.ok()) {
      replaced = std::exchange(entry.model, *loaded);
      entry.spec = spec;
      entry.was_loaded = true;
      entry.info = (*loaded)->info();
    }
    if (entry.loaded) entry.loaded->set(entry.model ? 1 : 0);
  }
  if (!loaded.ok() && !stopping) log_error(str_cat("model ", entry.name, ": ", message_of(loaded.status())));
  if (replaced) log_info(str_cat("model ", entry.name, ": replaced; what the old one has is finished"));
  if (waiting) waiting->resolve(loaded);
  changed_.notify_all();
}

std::shared_ptr<Reranker> ModelCatalog::counted(std::unique_ptr<Reranker> model) {
  {
    const std::lock_guard lock(alive_->mutex);
    ++alive_->count;
  }
  return std::shared_ptr<Reranker>(model.release(), [alive = alive_](Reranker* last) {
    alive->ending.post([&alive = *alive, last] {
      delete last;
      const std::lock_guard lock(alive.mutex);
      if (--alive.count == 0) alive.none.notify_all();
    });
  });
}

std::unique_ptr<Reranker> ModelCatalog::with_shadow_of(const std::string& name, std::unique_ptr<Reranker> model,
                                                       const std::shared_ptr<Metrics>& metrics) {
  if (name != shadow_.first || !metrics) return model;
  return rank::with_shadow(
      std::move(model),
      [this]() -> Result<std::unique_ptr<Reranker>> { return std::make_unique<Delegate>(*this, shadow_.second); },
      {options_.shadow_rate, options_.shadow_queue_bytes, str_cat("by ", shadow_.second)}, metrics);
}

Status ModelCatalog::apply(const CatalogPlan& plan, const std::function<bool(const ModelSpec& spec)>& changed) {
  Names names;
  for (const ModelSpec& spec : plan.models) {
    RETURN_IF_ERROR(check(spec));
    RETURN_IF_ERROR(names.add_model(rank::name_of(spec.options.source), {}));
  }
  for (const ModelSpec& spec : plan.models) {
    {
      const std::lock_guard lock(mutex_);
      const Entry* entry = entry_of(names_.model_of(rank::name_of(spec.options.source)));
      if (entry != nullptr && entry->failure.ok() && !changed(spec)) continue;
    }
    ModelSpec alone = spec;
    alone.aliases.clear();  // they move when it is there
    RETURN_IF_ERROR(load(alone));
  }
  const std::lock_guard lock(mutex_);
  ++loads_;
  loader_->post([this, plan] { settle(plan); });
  return ok_status();
}

// On the loader's thread, when what apply() has asked for is loaded, or could not be.
void ModelCatalog::settle(const CatalogPlan& plan) {
  const auto log_failure = [](const Status& status) {
    if (!status.ok()) log_error(str_cat("models: ", message_of(status), "; as it was"));
  };
  std::vector<AliasReport> wanted = plan.aliases;
  std::vector<std::string> names;
  bool failed = false;
  for (const ModelSpec& spec : plan.models) {
    names.push_back(rank::name_of(spec.options.source));
    for (const std::string& alias : spec.aliases) wanted.push_back({alias, {{names.back(), 1}}});
  }
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : names) {
      const Entry* entry = entry_of(names_.model_of(name));
      failed |= entry == nullptr || !entry->failure.ok();
    }
    --loads_;
  }
  changed_.notify_all();
  if (failed) return log_error("models: not all could be loaded, so that aliases stay as they were");
  for (const AliasReport& alias : wanted) log_failure(set_alias(alias.alias, alias.parts));
  for (const AliasReport& old : aliases()) {
    const bool stays = std::any_of(wanted.begin(), wanted.end(), [&](const AliasReport& alias) {
      return plain_name(alias.alias) == plain_name(old.alias);
    });
    if (!stays) log_failure(set_alias(old.alias, {}));
  }
  if (options_.models.cascade.empty() || !plan.default_model.empty())
    log_failure(set_default(plan.default_model.empty() ? names.front() : plan.default_model));
  for (const ModelReport& report : list()) {
    const auto is_it = [&](const std::string& name) { return plain_name(name) == plain_name(report.name); };
    const std::lock_guard lock(mutex_);
    const Entry* entry = entry_of(report.name);
    if (entry == nullptr || entry->cascade || std::any_of(names.begin(), names.end(), is_it)) continue;
    log_failure(unload_locked(report.name));
  }
}

bool ModelCatalog::wait_for_start(std::chrono::milliseconds time) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [this] {
    return std::none_of(entries_.begin(), entries_.end(), [](const auto& entry) { return entry->first; });
  });
}

Status ModelCatalog::start_result() const {
  Status failure = absl::UnavailableError("no model is loaded");
  bool serves = false;
  {
    const std::lock_guard lock(mutex_);
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
      if ((*entry)->cascade) continue;
      serves |= (*entry)->model != nullptr;
      if (!(*entry)->failure.ok()) failure = (*entry)->failure;
    }
  }
  if (!serves) return failure;
  return cascade_ ? check_truncation(*cascade_, *const_cast<ModelCatalog*>(this)) : ok_status();
}

bool ModelCatalog::loading() const {
  const std::lock_guard lock(mutex_);
  return loads_ > 0;
}

void ModelCatalog::keep_house() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::vector<std::shared_ptr<WaitingModel>> waiting;
    for (const auto& entry : entries_) {
      if (entry->waiting) waiting.push_back(entry->waiting);
    }
    if (!waiting.empty()) {
      changed_.wait_for(lock, kLookForDeadlines, [this] { return stopping_; });
      lock.unlock();
      for (const auto& model : waiting) model->expire(Clock::now());
      waiting.clear();
      lock.lock();
    } else if (options_.models.idle_unload_s > 0) {
      changed_.wait_for(lock, kLookForIdle);
    } else {
      changed_.wait(lock);
    }
    unload_idle(Clock::now());
  }
}

// Under the lock. Nobody has the model but the catalog, and nobody gets it meanwhile.
void ModelCatalog::unload_idle(TimePoint now) {
  if (options_.models.idle_unload_s == 0) return;
  for (const auto& entry : entries_) {
    if (!entry->model || entry->cascade || entry->loading || entry->model.use_count() > 1) continue;
    if (now - entry->last_used < std::chrono::seconds(options_.models.idle_unload_s)) continue;
    entry->model.reset();
    if (entry->loaded) entry->loaded->set(0);
    log_info(str_cat("model ", entry->name, ": unloaded: no request for it for ", options_.models.idle_unload_s,
                     " s; it comes back on request"));
  }
}

}  // namespace rerank::serve
