#include "serve/cascade.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <mutex>
#include <numeric>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::serve {
namespace {

constexpr size_t kMostStages = 8;
// Between the logits of two stages, and between documents that no stage has scored: more than rounding takes.
constexpr float kGap = 1e-3f;

float scaled(float logit, ScoreScale scale) {
  return scale == ScoreScale::kLogit ? logit : 1.0f / (1.0f + std::exp(-logit));
}

void add(Timings& sum, const Timings& one) {
  sum.cache_us += one.cache_us;
  sum.tokenize_us += one.tokenize_us;
  sum.queue_us += one.queue_us;
  sum.compute_us += one.compute_us;
}

// One request on its way. A stage's answer begins the next stage, on the thread that brings it.
class Run : public std::enable_shared_from_this<Run> {
 public:
  using Finished = std::function<void(const std::vector<std::shared_ptr<Reranker>>& models)>;

  Run(const CascadeSpec& spec, Catalog& catalog, std::shared_ptr<const RerankRequest> request, Reranker::Done done,
      Finished finished)
      : spec_(spec),
        catalog_(catalog),
        request_(std::move(request)),
        done_(std::move(done)),
        finished_(std::move(finished)),
        order_(request_->documents.size()),
        scored_(order_.size()),
        stage_of_(order_.size(), SIZE_MAX) {
    std::iota(order_.begin(), order_.end(), size_t{0});
  }

  void begin_stage() {
    const CascadeStage& stage = spec_.stages[stage_];
    auto model = catalog_.find({stage.model, request_->query_text()});
    if (!model.ok()) return done_(model.status());
    models_.push_back(*std::move(model));
    const size_t count = stage.documents == 0 ? order_.size() : std::min(stage.documents, order_.size());
    asked_.assign(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(count));
    auto part = std::make_shared<RerankRequest>(settings());
    part->top_n = wanted(count);
    for (const size_t i : asked_) part->documents.push_back(request_->documents[i]);
    Reranker& reranker = *models_.back();
    reranker.submit(std::move(part), [self = shared_from_this()](Result<RerankResponse> result) {
      if (!result.ok()) return self->done_(result.status());
      self->take(*result);
      if (++self->stage_ < self->spec_.stages.size()) return self->begin_stage();
      self->answer();
    });
  }

 private:
  // Everything but the documents. A query that requests share holds tokens of one model: here it is a text again.
  RerankRequest settings() const {
    RerankRequest copy;
    copy.query = request_->query_text();
    copy.instruction = request_->instruction;
    copy.scale = request_->scale;
    copy.truncate = request_->truncate;
    copy.truncation_side = request_->truncation_side;
    copy.max_length = request_->max_length;
    copy.max_query_tokens = request_->max_query_tokens;
    copy.max_document_tokens = request_->max_document_tokens;
    copy.truncation = request_->truncation;
    copy.chunk_overlap = request_->chunk_overlap;
    copy.chunk_best = request_->chunk_best;
    copy.max_chunks = request_->max_chunks;
    copy.explain_cuts = request_->explain_cuts;
    copy.use_cache = request_->use_cache;
    copy.priority = request_->priority;
    copy.deadline = request_->deadline;
    copy.cancellation = request_->cancellation;
    copy.memory = request_->memory;
    return copy;
  }

  // How many of this stage's results are needed, of `count` that it scores; 0: all. Where that is not all, an engine
  // with exits computes the others less deeply.
  size_t wanted(size_t count) const {
    const size_t top_n = request_->top_n;
    if (top_n == 0) return 0;
    const bool last = stage_ + 1 == spec_.stages.size();
    const size_t needed = last ? top_n : std::max(top_n, spec_.stages[stage_ + 1].documents);
    return needed < count ? needed : 0;
  }

  void take(const RerankResponse& result) {
    StageScores& said = response_.stages.emplace_back();
    said.model = models_.back()->info().id;
    said.timings = result.timings;
    std::vector<size_t> order;
    std::vector<bool> returned(order_.size());
    for (RankedDocument document : result.results) {
      document.index = asked_[document.index];
      said.scores.emplace_back(static_cast<uint32_t>(document.index), document.score);
      returned[document.index] = true;
      stage_of_[document.index] = stage_;
      order.push_back(document.index);
      scored_[document.index] = std::move(document);
    }
    for (const size_t i : order_) {
      if (!returned[i]) order.push_back(i);
    }
    order_ = std::move(order);
    response_.total_tokens += result.total_tokens;
    response_.cached_documents += result.cached_documents;
    if (stage_ == 0) response_.truncated_documents = result.truncated_documents;
    response_.warnings.insert(response_.warnings.end(), result.warnings.begin(), result.warnings.end());
    add(response_.timings, result.timings);
  }

  void answer() {
    const size_t count = request_->top_n == 0 ? order_.size() : std::min(request_->top_n, order_.size());
    const ScoreScale asked = request_->scale;
    const ScoreScale scale = asked == ScoreScale::kAuto ? models_.back()->info().score_scale : asked;
    float floor = 0, highest = 0, last = 0;
    std::optional<size_t> stage;
    for (size_t place = 0; place < count; ++place) {
      const size_t i = order_[place];
      RankedDocument& document = scored_[i];
      document.index = i;
      const bool scored = stage_of_[i] != SIZE_MAX;
      const float raw = scored ? document.logit : -kGap * static_cast<float>(place);
      if (stage && *stage != stage_of_[i]) {
        floor = last - kGap - std::abs(last) * 1e-5f;
        highest = raw;
      } else if (!stage) {
        floor = highest = raw;
      }
      stage = stage_of_[i];
      last = document.logit = floor - (highest - raw);
      document.score = scaled(last, scale);
      response_.results.push_back(std::move(document));
    }
    response_.documents = order_.size();
    response_.timings.total_us = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin_).count();
    finished_(models_);
    done_(std::move(response_));
  }

  const CascadeSpec& spec_;
  Catalog& catalog_;
  const std::shared_ptr<const RerankRequest> request_;
  const Reranker::Done done_;
  const Finished finished_;
  const TimePoint begin_ = Clock::now();
  size_t stage_ = 0;
  std::vector<std::shared_ptr<Reranker>> models_;  // of the stages so far
  std::vector<size_t> order_;                      // of the request's documents, best first
  std::vector<size_t> asked_;                      // of the stage that is under way
  std::vector<RankedDocument> scored_;             // by document: as the last stage has it that scored it
  std::vector<size_t> stage_of_;                   // by document; SIZE_MAX: none has
  RerankResponse response_;
};

class Cascade : public Reranker {
 public:
  Cascade(const CascadeSpec& spec, Catalog& catalog) : spec_(spec), catalog_(catalog) {
    infos_.emplace_back().id = spec.name;
    infos_.back().architecture = "Cascade";
    current_ = &infos_.back();
  }

  void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
    if (request->layers != 0)
      return done(absl::InvalidArgumentError("`layers`: a cascade has models of different depths"));
    std::make_shared<Run>(spec_, catalog_, std::move(request), std::move(done), [this](const auto& models) {
      note(models);
    })->begin_stage();
  }

  std::vector<Token> tokenize(std::string_view text, bool add_special_tokens) const override {
    const auto model = first();
    return model.ok() ? (*model)->tokenize(text, add_special_tokens) : std::vector<Token>();
  }
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special_tokens) const override {
    ASSIGN_OR_RETURN(const auto model, first());
    return model->decode(ids, skip_special_tokens);
  }
  const ModelInfo& info() const override { return *current_.load(); }
  bool ready() const override {
    return std::all_of(spec_.stages.begin(), spec_.stages.end(), [this](const CascadeStage& stage) {
      const auto model = catalog_.find({stage.model, "", /*wait=*/false});
      return model.ok() && (*model)->ready();
    });
  }

 private:
  Result<std::shared_ptr<Reranker>> first() const { return catalog_.find({spec_.stages.front().model, "", false}); }

  // What is known of it now that its models have answered.
  void note(const std::vector<std::shared_ptr<Reranker>>& models) {
    FieldHasher hasher;
    for (const auto& model : models) hasher.add(model->info().fingerprint);
    const std::string fingerprint = hasher.finish().hex();
    const std::lock_guard lock(mutex_);
    if (infos_.back().fingerprint == fingerprint) return;
    ModelInfo info = models.back()->info();
    info.id = spec_.name;
    info.architecture = "Cascade";
    info.fingerprint = fingerprint;
    for (const auto& model : models) {
      info.max_length = std::min(info.max_length, model->info().max_length);
      info.model_max_length = std::min(info.model_max_length, model->info().model_max_length);
    }
    infos_.push_back(std::move(info));
    current_ = &infos_.back();
  }

  const CascadeSpec spec_;
  Catalog& catalog_;
  std::mutex mutex_;
  std::deque<ModelInfo> infos_;  // one for each set of models there was: info() refers to them; guarded by mutex_
  std::atomic<const ModelInfo*> current_;
};

}  // namespace

Result<CascadeSpec> parse_cascade(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return absl::InvalidArgumentError(str_cat("--cascade ", text, ": ", why));
  };
  CascadeSpec spec{"cascade", {}};
  std::string_view list = text;
  if (const size_t name = list.find('='); name != std::string_view::npos) {
    spec.name = std::string(list.substr(0, name));
    list.remove_prefix(name + 1);
  }
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(std::string(list), ','))) {
    CascadeStage stage{part, 0};
    if (const size_t colon = part.rfind(':'); colon != std::string::npos) {
      if (!absl::SimpleAtoi(part.substr(colon + 1), &stage.documents) || stage.documents == 0)
        return wrong(str_cat(part, ": want MODEL:N, N documents, 1 or more"));
      stage.model = part.substr(0, colon);
    }
    if (stage.model.empty()) return wrong("a stage has no model");
    if (!spec.stages.empty()) {
      const size_t before = spec.stages.back().documents;
      if (stage.documents == 0) return wrong(str_cat(part, ": say how many documents it ranks, as ", part, ":20"));
      if (before != 0 && stage.documents > before)
        return wrong(str_cat(part, ": ranks more documents than the stage before has"));
    }
    spec.stages.push_back(std::move(stage));
  }
  if (spec.stages.size() < 2) return wrong("want two models or more, as fast:100,good:20");
  if (spec.stages.size() > kMostStages) return wrong(str_cat("more than ", kMostStages, " stages"));
  return spec;
}

Status check_truncation(const CascadeSpec& spec, Catalog& catalog) {
  std::optional<std::pair<std::string, Truncation>> first;
  for (const CascadeStage& stage : spec.stages) {
    const auto model = catalog.find({stage.model, "", /*wait=*/false});
    if (!model.ok()) continue;
    const Truncation how = (*model)->info().truncation;
    if (!first) first = {stage.model, how};
    if (first->second == how) continue;
    return absl::InvalidArgumentError(str_cat("--cascade: ", first->first, " keeps the ", word_of(first->second),
                                              " of long documents and ", stage.model, " the ", word_of(how),
                                              "; give both the same truncation"));
  }
  return ok_status();
}

std::shared_ptr<Reranker> make_cascade(const CascadeSpec& spec, Catalog& catalog) {
  return std::make_shared<Cascade>(spec, catalog);
}

}  // namespace rerank::serve
