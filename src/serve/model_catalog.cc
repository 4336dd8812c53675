#include "serve/model_catalog.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "rank/locate.h"
#include "serve/cascade.h"
#include "serve/entry.h"

namespace rerank::serve {
namespace {

constexpr int kRetrySeconds = 5;  // of requests to a model that is loading; a guess
constexpr double kMostWeight = 1000;

// NAME=OTHER of --shadow-model; two empty names: there is none.
Result<std::pair<std::string, std::string>> parse_shadow(const CatalogOptions& options) {
  const std::string& text = options.models.shadow_model;
  if (text.empty()) return std::pair<std::string, std::string>();
  const size_t middle = text.find('=');
  if (middle == std::string::npos || middle == 0 || middle + 1 == text.size())
    return absl::InvalidArgumentError(str_cat("--shadow-model ", text, ": want NAME=OTHER"));
  if (options.shadow_rate <= 0)
    return absl::InvalidArgumentError("--shadow-model: needs --shadow-rate, the share of requests that is compared");
  return std::pair(text.substr(0, middle), text.substr(middle + 1));
}

}  // namespace

ModelCatalog::ModelCatalog(const CatalogOptions& options, OpenModel open, std::shared_ptr<Metrics> metrics)
    : options_(options),
      open_(std::move(open)),
      metrics_(std::move(metrics)),
      alive_(std::make_shared<Alive>()),
      loader_(std::make_unique<WorkerPool>(1)) {
  housekeeping_ = std::thread([this] { keep_house(); });
}

Result<std::unique_ptr<ModelCatalog>> ModelCatalog::start(const CatalogPlan& plan, const CatalogOptions& options,
                                                          OpenModel open, std::shared_ptr<Metrics> metrics) {
  if (plan.models.empty()) return absl::InvalidArgumentError("no model is named");
  std::unique_ptr<ModelCatalog> catalog(new ModelCatalog(options, std::move(open), std::move(metrics)));
  const std::lock_guard lock(catalog->mutex_);
  for (const ModelSpec& spec : plan.models) RETURN_IF_ERROR(catalog->add(spec, /*first=*/true));
  catalog->default_ = catalog->entries_.front()->name;
  for (const ModelSpec& spec : plan.models) {
    for (const std::string& alias : spec.aliases)
      RETURN_IF_ERROR(catalog->names_.set_alias(alias, {{rank::name_of(spec.options.source), 1}}));
  }
  for (const AliasReport& alias : plan.aliases) RETURN_IF_ERROR(catalog->names_.set_alias(alias.alias, alias.parts));
  RETURN_IF_ERROR(catalog->add_combinations());
  if (!plan.default_model.empty()) {
    catalog->default_ = catalog->names_.model_of(plan.default_model);
    if (catalog->default_.empty())
      return absl::NotFoundError(str_cat("default-model: no model is called ", plan.default_model));
  }
  // The default first: most requests are its own.
  std::vector<std::shared_ptr<Entry>> order = catalog->entries_;
  std::stable_partition(order.begin(), order.end(),
                        [&](const auto& entry) { return entry->name == catalog->default_; });
  for (const auto& entry : order) {
    if (!entry->cascade) catalog->begin_load(*entry, entry->spec);
  }
  return catalog;
}

ModelCatalog::~ModelCatalog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  housekeeping_.join();
  loader_.reset();
  entries_.clear();
  std::unique_lock lock(alive_->mutex);
  alive_->none.wait(lock, [this] { return alive_->count == 0; });
}

Status ModelCatalog::check(const ModelSpec& spec) const {
  const std::string name = rank::name_of(spec.options.source);
  RETURN_IF_ERROR(check_name(name));
  if (!(spec.weight > 0 && spec.weight <= kMostWeight)) {
    return absl::InvalidArgumentError(
        str_cat(name, ": weight ", spec.weight, ": want more than 0, and ", kMostWeight, " at most"));
  }
  if (!(spec.cache_share >= 0 && spec.cache_share <= 1))
    return absl::InvalidArgumentError(str_cat(name, ": cache-share ", spec.cache_share, ": want a share from 0 to 1"));
  return ok_status();
}

// Under the lock.
Status ModelCatalog::add(const ModelSpec& spec, bool first) {
  RETURN_IF_ERROR(check(spec));
  double cache_shares = spec.cache_share;
  for (const auto& entry : entries_) cache_shares += entry->spec.cache_share;
  if (cache_shares > 1 + 1e-9)
    return absl::InvalidArgumentError("cache-share: the models' shares add up to more than 1");
  const std::string name = rank::name_of(spec.options.source);
  RETURN_IF_ERROR(names_.add_model(name, {spec.options.source.model}));
  auto entry = std::make_shared<Entry>();
  entry->spec = spec;
  entry->name = entry->info.id = name;
  entry->first = first;
  if (metrics_) {
    entry->metrics = metrics_->with({{"model", name}});
    entry->loaded = &entry->metrics->gauge("rerankd_model_loaded", "Whether the model is loaded; 0: not, or not yet.");
  }
  entries_.push_back(std::move(entry));
  return ok_status();
}

// Under the lock: --cascade and --shadow-model.
Status ModelCatalog::add_combinations() {
  ASSIGN_OR_RETURN(auto pair, parse_shadow(options_));
  for (std::string* name : {&pair.first, &pair.second}) {
    if (name->empty()) continue;
    const std::string model = names_.find(*name, "");
    if (model.empty()) return absl::NotFoundError(str_cat("--shadow-model: no model is called ", *name));
    *name = model;
  }
  shadow_ = std::move(pair);
  if (options_.models.cascade.empty()) return ok_status();
  ASSIGN_OR_RETURN(CascadeSpec cascade, parse_cascade(options_.models.cascade));
  for (const CascadeStage& stage : cascade.stages) {
    if (names_.find(stage.model, "").empty())
      return absl::NotFoundError(str_cat("--cascade: no model is called ", stage.model));
  }
  if (Status status = names_.add_model(cascade.name, {}); !status.ok()) return with_context(status, "--cascade");
  cascade_ = std::move(cascade);
  auto entry = std::make_shared<Entry>();
  entry->name = cascade_->name;
  entry->cascade = true;
  entry->model = make_cascade(*cascade_, *this);
  entries_.push_back(entry);
  default_ = entry->name;
  return ok_status();
}

ModelCatalog::Entry* ModelCatalog::entry_of(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (entry->name == name) return entry.get();
  }
  return nullptr;
}

Result<std::shared_ptr<Reranker>> ModelCatalog::find(const ModelChoice& choice) {
  const std::lock_guard lock(mutex_);
  std::string name = choice.name.empty() ? default_ : names_.find(choice.name, choice.query);
  if (name.empty()) {
    if (options_.models.unknown_model == UnknownModel::kError) {
      std::string served;
      for (const auto& entry : entries_) served += str_cat(served.empty() ? "" : ", ", entry->name);
      return absl::NotFoundError(str_cat("no model is called `", choice.name, "` here; there are: ", served));
    }
    name = default_;
  }
  Entry* const entry = entry_of(name);
  if (entry == nullptr) return absl::UnavailableError("stopping");
  return model_of(*entry, choice.wait);
}

// Under the lock.
Result<std::shared_ptr<Reranker>> ModelCatalog::model_of(Entry& entry, bool wait) {
  entry.last_used = Clock::now();
  if (entry.model) return entry.model;
  const auto unavailable = [&](const std::string& why) {
    return with_retry_after(absl::UnavailableError(str_cat("model ", entry.name, " ", why)), kRetrySeconds);
  };
  if (!entry.loading) {
    const bool again = entry.was_loaded && entry.last_used - entry.failed_at > options_.retry_failed;
    if (!entry.failure.ok() && !again) return unavailable(str_cat("could not be loaded: ", message_of(entry.failure)));
    begin_load(entry, entry.spec);
  }
  if ((entry.first && !options_.wait_at_start) || !wait)
    return unavailable(
        str_cat("is loading", entry.phase.empty() ? "" : str_cat(": ", entry.phase, ", ", entry.percent, " %")));
  if (!entry.waiting) entry.waiting = std::make_shared<WaitingModel>(entry.name);
  changed_.notify_all();  // who looks for deadlines
  return std::shared_ptr<Reranker>(entry.waiting);
}

bool ModelCatalog::knows(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  return !names_.find(name, "").empty();
}

// Under the lock, which a cascade's own ready() would take.
bool ModelCatalog::answers(const Entry& entry) const {
  if (!entry.cascade) return entry.model && entry.model->ready();
  return std::all_of(cascade_->stages.begin(), cascade_->stages.end(), [this](const CascadeStage& stage) {
    const Entry* const part = entry_of(names_.find(stage.model, ""));
    if (part == nullptr) return false;
    return part->model ? part->model->ready() : part->was_loaded && part->failure.ok();  // it comes back
  });
}

ModelReport ModelCatalog::report_of(const Entry& entry) const {
  ModelReport report;
  report.name = entry.name;
  report.aliases = names_.aliases_of(entry.name);
  report.state = entry.model           ? ModelState::kReady
                 : entry.first         ? ModelState::kStarting
                 : entry.loading       ? ModelState::kLoading
                 : !entry.failure.ok() ? ModelState::kFailed
                                       : ModelState::kIdle;
  report.is_default = entry.name == default_;
  report.answers = answers(entry);
  if (entry.loading) {
    report.phase = entry.phase.empty() ? "waiting" : entry.phase;
    report.percent = entry.percent;
  } else {
    report.percent = entry.model ? 100 : 0;
  }
  report.error = std::string(message_of(entry.failure));
  report.weight = entry.spec.weight;
  report.info = entry.cascade ? entry.model->info() : entry.info;
  return report;
}

std::vector<ModelReport> ModelCatalog::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<ModelReport> reports;
  for (const auto& entry : entries_) reports.push_back(report_of(*entry));
  return reports;
}

std::vector<AliasReport> ModelCatalog::aliases() const {
  const std::lock_guard lock(mutex_);
  return names_.aliases();
}

Status ModelCatalog::load(const ModelSpec& spec) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return absl::UnavailableError("stopping");
  Entry* entry = entry_of(names_.model_of(rank::name_of(spec.options.source)));
  if (entry != nullptr) {
    RETURN_IF_ERROR(check(spec));
    if (entry->cascade) return absl::InvalidArgumentError(str_cat(entry->name, ": is a cascade"));
    if (entry->loading) return absl::FailedPreconditionError(str_cat(entry->name, ": is being loaded already"));
  } else {
    RETURN_IF_ERROR(add(spec, /*first=*/false));
    entry = entries_.back().get();
  }
  const bool is_new = !entry->was_loaded && !entry->loading && entry->failure.ok();
  for (const std::string& alias : spec.aliases) {
    const Status status = names_.set_alias(alias, {{entry->name, 1}});
    if (status.ok()) continue;
    if (is_new && names_.alias_of(entry->name).empty()) {
      names_.remove_model(entry->name);
      std::erase_if(entries_, [&](const auto& other) { return other.get() == entry; });
    }
    return status;
  }
  begin_load(*entry, spec);
  return ok_status();
}

Status ModelCatalog::unload(std::string_view name) {
  const std::lock_guard lock(mutex_);
  return unload_locked(name);
}

Status ModelCatalog::unload_locked(std::string_view name) {
  const std::string model = names_.model_of(name);
  if (model.empty()) return absl::NotFoundError(str_cat("no model is called ", name));
  if (model == default_)
    return absl::FailedPreconditionError(str_cat(model, ": is the default model; make another one the default first"));
  if (const std::string alias = names_.alias_of(model); !alias.empty())
    return absl::FailedPreconditionError(str_cat(model, ": the alias ", alias, " names it; move that first"));
  if (cascade_) {
    for (const CascadeStage& stage : cascade_->stages) {
      if (names_.find(stage.model, "") == model)
        return absl::FailedPreconditionError(str_cat(model, ": is a stage of the cascade ", cascade_->name));
    }
  }
  const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e->name == model; });
  if ((*entry)->loading) return absl::FailedPreconditionError(str_cat(model, ": is being loaded"));
  names_.remove_model(model);
  entries_.erase(entry);  // what requests have of it is theirs until they end
  log_info(str_cat("model ", model, ": unloaded"));
  return ok_status();
}

Status ModelCatalog::set_alias(std::string_view alias, std::vector<AliasPart> parts) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(names_.set_alias(alias, parts));
  std::string text;
  for (const AliasPart& part : parts)
    text += str_cat(text.empty() ? "" : ", ", part.model, " ", 100 * part.share, " %");
  log_info(str_cat("alias ", alias, ": ", text.empty() ? "removed" : text));
  return ok_status();
}

Status ModelCatalog::set_default(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const std::string model = names_.model_of(name);
  if (model.empty()) return absl::NotFoundError(str_cat("no model is called ", name));
  default_ = model;
  log_info(str_cat("default model: ", model));
  return ok_status();
}

}  // namespace rerank::serve
