// The Catalog of a process that loads its models itself: one after another on a thread of its own, while those that are
// loaded answer. Names, aliases and splits are serve/names.h; the models' threads and caches are those of one Host.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "base/worker_pool.h"
#include "rerank/catalog.h"
#include "serve/cascade.h"
#include "serve/names.h"
#include "serve/waiting_model.h"

namespace rerank::serve {

// A model as it is opened: rank's Reranker::open() with a host, or a test's.
using OpenModel = std::function<Result<std::unique_ptr<Reranker>>(
    const ModelSpec& spec, std::shared_ptr<Metrics> metrics, const std::function<void(const LoadProgress&)>& progress)>;

// All that a catalog serves: what it begins with, and what it is told when that has changed.
struct CatalogPlan {
  std::vector<ModelSpec> models;     // the first is the default, unless there is a cascade
  std::vector<AliasReport> aliases;  // besides those of the models
  std::string default_model;         // empty: as said
};

struct CatalogOptions {
  ModelsOptions models;
  double shadow_rate = 0;  // of what --shadow-model compares
  size_t shadow_queue_bytes = 0;
  bool wait_at_start = false;             // whether requests wait, too, for a model that is loaded at the start
  std::chrono::seconds retry_failed{10};  // a model that could not come back is tried again after that
};

class ModelCatalog : public Catalog {
 public:
  // Begins to load the models of `plan`. `metrics` may be null. InvalidArgument or NotFound: names, shares or weights
  // that cannot be, an alias or a stage of the cascade that names no model.
  static Result<std::unique_ptr<ModelCatalog>> start(const CatalogPlan& plan, const CatalogOptions& options,
                                                     OpenModel open, std::shared_ptr<Metrics> metrics);
  // Waits for the load that is under way, if any, and for requests that still have a model.
  ~ModelCatalog() override;

  Result<std::shared_ptr<Reranker>> find(const ModelChoice& choice) override;
  bool knows(std::string_view name) const override;
  std::vector<ModelReport> list() const override;
  std::vector<AliasReport> aliases() const override;
  Status load(const ModelSpec& spec) override;
  Status unload(std::string_view name) override;
  Status set_alias(std::string_view alias, std::vector<AliasPart> parts) override;
  Status set_default(std::string_view name) override;

  // Serves what `plan` says from now on: loads what is new and what `changed` says is another than before, under its
  // name; then moves aliases and the default; then unloads what the plan does not have. What cannot be loaded stays as
  // it was, with what names it. Returns at once, with what can be checked at once.
  Status apply(const CatalogPlan& plan, const std::function<bool(const ModelSpec& spec)>& changed);

  // Waits until every model of the start has been loaded, or could not be, or `seconds` have passed. True: they have.
  bool wait_for_start(std::chrono::milliseconds time) const;
  // After that: why nothing can be served; OK when at least one model answers.
  Status start_result() const;
  // A load is under way, or waits: the destructor would wait for it.
  bool loading() const;

 private:
  struct Entry;
  struct Alive;
  ModelCatalog(const CatalogOptions& options, OpenModel open, std::shared_ptr<Metrics> metrics);

  Status add(const ModelSpec& spec, bool first);
  Status add_combinations();
  Status check(const ModelSpec& spec) const;
  Status unload_locked(std::string_view name);
  Entry* entry_of(std::string_view name) const;
  Result<std::shared_ptr<Reranker>> model_of(Entry& entry, bool wait);
  void begin_load(Entry& entry, const ModelSpec& spec);
  void load_now(Entry& entry, const ModelSpec& spec);
  void note_progress(Entry& entry, const LoadProgress& progress);
  std::unique_ptr<Reranker> with_shadow_of(const std::string& name, std::unique_ptr<Reranker> model,
                                           const std::shared_ptr<Metrics>& metrics);
  std::shared_ptr<Reranker> counted(std::unique_ptr<Reranker> model);
  bool answers(const Entry& entry) const;
  ModelReport report_of(const Entry& entry) const;
  void settle(const CatalogPlan& plan);
  void keep_house();
  void unload_idle(TimePoint now);

  const CatalogOptions options_;
  const OpenModel open_;
  const std::shared_ptr<Metrics> metrics_;
  const std::shared_ptr<Alive> alive_;
  mutable std::mutex mutex_;                     // guards what follows
  mutable std::condition_variable changed_;      // loads have ended; or: stopping
  std::vector<std::shared_ptr<Entry>> entries_;  // in the order in which they were named
  Names names_;
  std::string default_;
  std::pair<std::string, std::string> shadow_;  // of --shadow-model; empty: none. Fixed after the start, as the next
  std::optional<CascadeSpec> cascade_;
  size_t loads_ = 0;  // under way, or waiting
  bool stopping_ = false;
  std::unique_ptr<WorkerPool> loader_;  // one thread
  std::thread housekeeping_;
};

}  // namespace rerank::serve
