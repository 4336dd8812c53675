// The one composition root: options -> model folder -> tokenizer, weights, engine, planner -> a running service.
#include <algorithm>
#include <chrono>
#include <mutex>

#include "base/file_stamp.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "engine/registry.h"
#include "model/files/gguf_model.h"
#include "model/hub.h"
#include "rank/host.h"
#include "rank/locate.h"
#include "rank/service/service.h"
#include "rank/shadow/shadow.h"
#include "rank/texts.h"
#include "rank/warm_up.h"

namespace rerank {
namespace {

void add_files_of_texts(const std::string& folder, FieldHasher& hasher) {
  for (const char* name : {"/config.json", "/tokenizer.json", "/tokenizer_config.json", "/vocab.txt",
                           "/sentencepiece.bpe.model", "/spm.model", "/spiece.model"}) {
    auto file = MappedFile::open(model::companions_of(folder) + name);
    if (file.ok()) hasher.add(file->text());
  }
}

// Changes whenever a text's tokens could: models that have the same share what was tokenized.
std::string tokenizer_identity(const std::string& folder, std::string_view texts) {
  FieldHasher hasher;
  add_files_of_texts(folder, hasher);
  // A GGUF file may have the tokenizer inside.
  if (auto gguf = model::find_gguf(folder); gguf.ok() && !gguf->empty()) hasher.add(*gguf).add(file_stamp(*gguf));
  return hasher.add(texts).finish().hex();
}

// Changes whenever a score could: weights, configuration, tokenizer, engine arithmetic.
Result<std::string> fingerprint(const model::Model& model, const engine::BackendInfo& backend,
                                const model::Exits* exits, size_t max_length, std::string_view texts) {
  FieldHasher hasher;
  if (model.has_weights()) {
    hasher.add(model.weights.files->digest().hex());
  }
  for (const std::string& name : backend.files) {
    ASSIGN_OR_RETURN(auto file, MappedFile::open(name));
    hasher.add(file.text());
  }
  add_files_of_texts(model.folder, hasher);
  if (exits != nullptr) {
    for (const model::ExitHead& head : exits->heads) {
      hasher.add({reinterpret_cast<const char*>(head.weights.data()), head.weights.size() * sizeof(float)});
    }
  }
  hasher.add(backend.engine_text())
      .add(backend.precision_text())
      .add(backend.kernel)
      .add(static_cast<uint64_t>(max_length))
      .add(texts);
  return hasher.finish().hex();
}

constexpr size_t kLeastTextTokens = 5;  // of query and document together

Result<size_t> pick_max_length(const TextOptions& texts, const model::ModelConfig& config,
                               const text::PairEncoder& encoder) {
  size_t limit = config.max_length();
  const std::optional<size_t> tokenizer_limit = encoder.tokenizer().model_max_length();
  if (tokenizer_limit) limit = std::min(limit, *tokenizer_limit);
  if (texts.max_length == 0) return std::min(limit, config.served_length());
  if (texts.max_length > limit) {
    return absl::InvalidArgumentError(
        str_cat("--max-length ", texts.max_length, ": this model takes at most ", limit, " tokens"));
  }
  if (const size_t least = encoder.pieces().added_to_pair() + kLeastTextTokens; texts.max_length < least) {
    return absl::InvalidArgumentError(str_cat("--max-length: at least ", least, " tokens are needed for a pair"));
  }
  return texts.max_length;
}

// How documents over the limit are treated where a request does not say.
Status read_truncation(const TextOptions& texts, const model::ModelConfig& config, rank::ServiceParts& parts) {
  const Truncation how = texts.truncation.value_or(config.serving.truncation);
  if (config.architecture.scoring.marks && how != Truncation::kHead && how != Truncation::kTail) {
    return absl::InvalidArgumentError(
        "--truncation: of documents that are scored together this model keeps the beginning (head) or the end (tail)");
  }
  if (texts.max_chunks == 0) return absl::InvalidArgumentError("--max-chunks: at least 1");
  parts.truncation = texts.truncation.value_or(config.serving.truncation);
  parts.chunking = {.overlap = texts.chunk_overlap, .max_chunks = texts.max_chunks, .best = texts.chunk_score.best};
  return ok_status();
}

// The exits that --exits names, and whether --layers can be.
Result<std::shared_ptr<const model::Exits>> open_exits(const EngineOptions& engine, const model::Model& model) {
  const size_t layers = model.architecture().layers();
  if (engine.layers > layers || layers > 255) {
    return absl::InvalidArgumentError(str_cat("--layers ", engine.layers, ": this model has ", layers));
  }
  const size_t first_output = model.architecture().scoring.first_output;
  if (engine.layers != 0 && engine.layers < first_output) {
    return absl::InvalidArgumentError(
        str_cat("--layers ", engine.layers, ": this model has outputs after layers ", first_output, " to ", layers));
  }
  if (model.architecture().scoring.marks && !engine.exits.empty()) {
    return absl::InvalidArgumentError(
        "--exits: documents that are scored together cannot leave one by one: this model is computed whole");
  }
  if (engine.exits.empty()) {
    if (engine.layers != 0 && engine.layers < layers && first_output == 0)
      log_warning("--layers without --exits: the model's own head reads a layer it was not trained on");
    return std::shared_ptr<const model::Exits>();
  }
  auto exits = model::read_exits(engine.exits, model);
  if (!exits.ok()) return with_context(exits.status(), "--exits");
  return std::make_shared<const model::Exits>(std::move(*exits));
}

Status read_target(const EngineOptions& engine, const model::Exits* exits, rank::ServiceParts& parts) {
  if (engine.target_agreement == 0) return ok_status();
  if (exits == nullptr) {
    return absl::InvalidArgumentError(
        "--target-agreement: needs --exits DIR, which `rerankd calibrate` writes for your model and texts; a layerwise "
        "model takes --exit-keep instead");
  }
  auto margin = exits->margin_for(engine.target_agreement);
  if (!margin.ok()) return with_context(margin.status(), "--target-agreement");
  parts.exit_margin = static_cast<float>(*margin);
  return ok_status();
}

// Adaptive depth by the outputs that a layerwise model has after earlier layers.
Status read_exit_keep(const EngineOptions& engine, const model::Architecture& architecture,
                      const engine::BackendInfo& info, rank::ServiceParts& parts) {
  if (engine.exit_keep == 0) return ok_status();
  const auto refuse = [](const std::string& why) { return absl::InvalidArgumentError("--exit-keep: " + why); };
  if (engine.exit_keep < 1) return refuse("at least 1: the documents that a request wants stay");
  if (architecture.scoring.first_output == 0 || architecture.scoring.first_output == architecture.layers()) {
    return refuse(
        "this model has no outputs after earlier layers; it takes --exits, which `rerankd calibrate` writes, and "
        "--target-agreement");
  }
  if (engine.target_agreement != 0 || !engine.exits.empty())
    return refuse("documents leave by the model's own outputs: --exits and --target-agreement are another way");
  if (engine.layers != 0 && engine.layers < architecture.layers())
    return refuse(str_cat("--layers ", engine.layers, " has all documents computed to the same layer"));
  if (!info.depth) return refuse(str_cat("engine ", info.engine_text(), " computes all layers"));
  parts.exit_keep = engine.exit_keep;
  return ok_status();
}

// zerank's score is the logit of "Yes", which its folder says in a LogitScore module; without it the family's answers
// would be taken, and the scores would be others.
Status check_answers(const TextOptions& texts, const model::Architecture& architecture) {
  const auto& answers = architecture.scoring.answers;
  if (texts.prompt != "zerank-2" || !answers || answers->positive.empty()) return ok_status();
  return absl::InvalidArgumentError(
      "--template zerank-2: the model's folder has no LogitScore module (modules.json) that says which token's logit "
      "is the score");
}

Status check_tokenizer(const text::Tokenizer& tokenizer, const model::ModelConfig& config, const std::string& folder) {
  if (tokenizer.vocab_size() <= config.architecture.embedding.vocabulary) return ok_status();
  return absl::InvalidArgumentError(str_cat(folder, ": tokenizer.json has ", tokenizer.vocab_size(),
                                            " tokens, config.json's vocab_size is ",
                                            config.architecture.embedding.vocabulary, ": they do not belong together"));
}

// A pair has room for a token of each text, at least.
Status check_template(const text::PairTemplate& pieces, size_t max_length, const std::string& folder) {
  const size_t added = pieces.added_to_pair();
  if (added + 2 <= max_length) return ok_status();
  return absl::InvalidArgumentError(str_cat(folder, ": its template adds ", added,
                                            " special tokens to a pair, and the model takes at most ", max_length));
}

double seconds_now() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

schedule::PlannerOptions planner_options(const QueueOptions& queue, const engine::BackendInfo& engine) {
  schedule::PlannerOptions planner;
  planner.max_batch_tokens = std::max<size_t>(1, queue.max_batch_tokens);
  if (engine.batch_tokens != 0 && engine.batch_tokens < planner.max_batch_tokens) {
    log_warning(str_cat("batches have at most ", engine.batch_tokens,
                        " tokens, for the device's free memory holds no more; "
                        "--max-batch-tokens is ",
                        queue.max_batch_tokens));
    planner.max_batch_tokens = engine.batch_tokens;
  }
  planner.max_batch_seconds = static_cast<double>(queue.max_batch_ms) * 1e-3;
  planner.max_queued_tokens = queue.max_queued_tokens;
  planner.max_queue_seconds = static_cast<double>(queue.max_queue_ms) * 1e-3;
  planner.max_wait_seconds = static_cast<double>(queue.max_wait_us) * 1e-6;
  planner.size_penalty = static_cast<double>(queue.queue_stretch);
  planner.pads = engine.pads;
  planner.padding_budget = engine.padding_budget;
  if (queue.queue_policy == QueuePolicy::kWait) planner.max_held_requests = queue.max_held_requests;
  return planner;
}

// Runs the engine, so that first requests are as fast as later ones and the planner knows its speed.
Status run_warm_up(const model::ModelConfig& config, rank::ServiceParts& parts) {
  std::vector<int32_t> ids;
  parts.texts->encode_document("A reranker scores how well a document answers a query, and puts the best first.", ids);
  if (ids.empty()) ids.push_back(0);
  auto measured =
      rank::warm_up(*parts.backend, ids, rank::attention_cost(config.architecture), seconds_now, parts.seat.get());
  if (!measured.ok()) return with_context(measured.status(), "the engine failed at its first batch");
  parts.planner.attention = measured->attention;
  parts.measured = std::move(measured->batches);
  const schedule::MeasuredBatch& last = parts.measured.back();
  log_info(str_cat("warm: ", last.lengths.size(), " pairs of ", last.lengths.front(), " tokens take ",
                   static_cast<int64_t>(last.seconds * 1e6), " us"));
  return ok_status();
}

// Which devices compute, and whether they still do.
void add_device_metrics(Metrics& metrics, const engine::Backend& backend) {
  const auto gauge = [&](const std::string& device) -> Gauge& {
    return metrics.gauge("rerankd_device_up", "Whether the device computes; 0: it has failed and was taken out.",
                         {{"device", device}});
  };
  const auto states = backend.devices();
  if (states.empty()) gauge(backend.info().engine_text()).set(1);
  std::vector<Gauge*> gauges;
  for (const auto& state : states) gauges.push_back(&gauge(state->name));
  metrics.on_collect([states, gauges] {
    for (size_t i = 0; i < states.size(); ++i) gauges[i]->set(states[i]->up ? 1 : 0);
  });
}

void add_prefix_metrics(Metrics& metrics, const engine::Backend& backend) {
  const auto counters = backend.prefix_counters();
  if (counters == nullptr) return;
  const auto tokens = [&](const char* how) -> Counter& {
    return metrics.counter("rerankd_prefix_tokens_total",
                           "Tokens of pairs: computed, or not since they share a prefix.", {{"how", how}});
  };
  Counter &computed = tokens("computed"), &shared = tokens("shared"), &kept = tokens("kept");
  Gauge& bytes = metrics.gauge("rerankd_prefix_bytes", "Keys and values that are kept for later batches.");
  metrics.on_collect([counters, &computed, &shared, &kept, &bytes, mutex = std::make_shared<std::mutex>()] {
    const std::lock_guard lock(*mutex);
    const auto raise = [](Counter& counter, uint64_t to) {
      counter.add(std::max(0.0, static_cast<double>(to) - counter.value()));
    };
    raise(computed, counters->computed_tokens);
    raise(shared, counters->shared_tokens);
    raise(kept, counters->kept_tokens);
    bytes.set(static_cast<double>(counters->kept_bytes));
  });
}

// The threads and caches that a process gives a service: of its own, or those of all its models.
// Engines take turns where they compute: on the host's threads, or on the same devices (as --devices names them).
Status read_host(const HostOptions& options, const SharedHost& shared, const std::string& folder,
                 const std::string& devices, rank::ServiceParts& parts) {
  const CacheOptions& caches = options.caches;
  const engine::BackendInfo& engine = parts.backend->info();
  parts.hash_key = rank::text_key(caches, tokenizer_identity(folder, parts.texts->identity()));
  if (const std::shared_ptr<rank::Host>& host = shared.host) {
    auto own = rank::Host::caches_for(host, shared.cache_share);
    if (!own.ok()) return own.status();
    parts.pair_cache = own->pairs;
    parts.token_cache = own->tokens;
    parts.cache_share = own->share;
    parts.own_caches = shared.cache_share > 0;
    parts.tokenizers = host->tokenizers;
    parts.shared_cache = host->shared_cache;
    const std::string place = engine.offloads ? str_cat(engine.engine_text(), " ", devices) : "";
    parts.seat = host->turns_at(place, engine.offloads ? engine.batches_in_flight : 1)->join(shared.weight);
    return ok_status();
  }
  parts.tokenizer_threads = options.tokenizer_threads != 0 ? options.tokenizer_threads : engine.threads;
  parts.cache_bytes = caches.cache_bytes;
  parts.cache_ttl = std::chrono::seconds(caches.cache_ttl_seconds);
  parts.token_cache_bytes = caches.token_cache_bytes;
  auto cache = rank::open_shared_cache(caches, parts.metrics.get());
  if (!cache.ok()) return cache.status();
  parts.shared_cache = *std::move(cache);
  return ok_status();
}

// Metrics that say what serves.
void add_model_metrics(Metrics& metrics, const rank::ServiceParts& parts, size_t layers) {
  const engine::BackendInfo& engine = parts.backend->info();
  metrics
      .gauge("rerankd_info", "Always 1; the labels say what serves.",
             {{"model", parts.info.id},
              {"engine", engine.engine_text()},
              {"precision", engine.precision_text()},
              {"kernel", engine.kernel}})
      .set(1);
  add_device_metrics(metrics, *parts.backend);
  add_prefix_metrics(metrics, *parts.backend);
  metrics.gauge("rerankd_batch_tokens_max", "Most tokens of one batch.")
      .set(static_cast<double>(parts.planner.max_batch_tokens));
  metrics.gauge("rerankd_model_layers", "Layers that the model has.").set(static_cast<double>(layers));
}

void report_progress(const SharedHost& shared, std::string_view phase) {
  if (shared.progress) shared.progress({phase});
}

// What a download tells goes to both who may want to know.
Options with_progress(Options options, const SharedHost& shared) {
  if (!shared.progress) return options;
  options.model.source.download_progress = [first = options.model.source.download_progress, then = shared.progress](
                                               std::string_view file, uint64_t done, uint64_t total) {
    if (first) first(file, done, total);
    then({"downloading", done, total});
  };
  return options;
}

// What a model's folder holds, checked: all that there is before the engine.
struct OpenedModel {
  rank::LocatedModel located;
  std::shared_ptr<const model::Model> model;
  std::shared_ptr<const text::PairEncoder> texts;
  std::shared_ptr<const text::ListEncoder> lists;  // of a model that reads documents together; else null
  size_t max_length = 0;                           // of a pair, as far as files and settings say
  std::shared_ptr<const model::Exits> exits;       // null: none
};

Result<OpenedModel> open_model(const Options& options, const SharedHost& shared) {
  const ModelOptions& wanted = options.model;
  OpenedModel opened;
  ASSIGN_OR_RETURN(opened.located, rank::locate_model(options));
  report_progress(shared, "reading weights");
  const std::string& folder = opened.located.folder;
  const bool graph = !wanted.engine.onnx_file.empty() || !wanted.engine.torchscript_file.empty();
  ASSIGN_OR_RETURN(opened.model, model::load_model(folder, graph));
  const model::ModelConfig& config = opened.model->config;
  ASSIGN_OR_RETURN(opened.texts, rank::open_texts(folder, config, wanted.texts));
  ASSIGN_OR_RETURN(opened.lists, rank::open_lists(folder, config, wanted.texts));
  RETURN_IF_ERROR(check_answers(wanted.texts, config.architecture));
  RETURN_IF_ERROR(check_tokenizer(opened.texts->tokenizer(), config, folder));
  ASSIGN_OR_RETURN(opened.max_length, pick_max_length(wanted.texts, config, *opened.texts));
  RETURN_IF_ERROR(check_template(opened.texts->pieces(), opened.max_length, folder));
  ASSIGN_OR_RETURN(opened.exits, open_exits(wanted.engine, *opened.model));
  return opened;
}

Result<std::unique_ptr<engine::Backend>> open_engine(const Options& options, const OpenedModel& opened,
                                                     const SharedHost& shared) {
  report_progress(shared, "preparing the engine");
  engine::BackendOptions wanted = engine::backend_options(options, opened.exits);
  if (shared.host) {
    wanted.team = shared.host->team();
    wanted.other_weights = shared.host->held_weights();
  }
  wanted.max_length = opened.max_length;
  return engine::open_backend(opened.model, options.model.engine.engine, wanted);
}

// What a request gets that does not say. A cosine is a score as it is.
ScoreScale score_scale(const TextOptions& texts, const model::ModelConfig& config) {
  if (config.architecture.input.kind == model::InputTemplate::Kind::kList) return ScoreScale::kLogit;
  if (texts.score_scale != ScoreScale::kAuto) return texts.score_scale;
  return config.serving.activation == "Identity" ? ScoreScale::kLogit : ScoreScale::kSigmoid;
}

// Who the model is, and to which depth its layers are computed.
Status read_model(const ModelOptions& wanted, const OpenedModel& opened, rank::ServiceParts& parts) {
  const model::ModelConfig& config = opened.model->config;
  const engine::BackendInfo& engine = parts.backend->info();
  const size_t max_length = std::min(opened.max_length, engine.max_length), layers = config.architecture.layers();
  RETURN_IF_ERROR(read_truncation(wanted.texts, config, parts));
  if (!engine.depth && wanted.engine.layers != 0 && wanted.engine.layers < layers) {
    return absl::InvalidArgumentError(
        str_cat("--layers: engine ", engine.engine_text(), " computes all layers (see rerankd convert --keep-layers)"));
  }
  ASSIGN_OR_RETURN(auto digest,
                   fingerprint(*opened.model, engine, opened.exits.get(), max_length, opened.texts->identity()));
  parts.info = {.id = opened.located.name,
                .architecture = config.architecture_name,
                .fingerprint = digest,
                .engine = engine.engine_text(),
                .precision = engine.precision_text(),
                .kernel = engine.kernel,
                .threads = engine.threads,
                .max_length = max_length,
                .model_max_length = config.max_length(),
                .parameters = opened.model->weights.parameters(),
                .truncation = parts.truncation,
                .label = config.label,
                .score_scale = score_scale(wanted.texts, config),
                .activation = config.serving.activation};
  parts.segments = config.architecture.input.segments;
  parts.model_layers = layers;
  parts.first_output = config.architecture.scoring.first_output;
  parts.layers = wanted.engine.layers;
  parts.depth = engine.depth;
  RETURN_IF_ERROR(read_target(wanted.engine, opened.exits.get(), parts));
  return read_exit_keep(wanted.engine, config.architecture, engine, parts);
}

// What makes ids of texts, and documents that are read together.
Status read_texts(const OpenedModel& opened, rank::ServiceParts& parts) {
  parts.texts = opened.texts;
  if (!opened.lists) return ok_status();
  const auto room = opened.lists->limits({.max_length = parts.info.max_length});
  if (!room.ok()) return with_context(room.status(), "--max-length");
  parts.texts = opened.lists->texts();
  parts.vector_width = opened.model->config.architecture.scoring.labels;
  parts.lists = opened.lists;
  return ok_status();
}

void log_model(const ModelInfo& info) {
  log_info(str_cat("model ", info.id, " (", info.architecture, ", ", (info.parameters + 500000) / 1000000,
                   " M parameters, up to ", info.max_length, " tokens) on engine ", info.engine, ", precision ",
                   info.precision, ", kernel ", info.kernel, ", ", info.threads, " thread(s)"));
}

// All that a service is made of, its engine warm.
Result<rank::ServiceParts> prepare_service(const Options& options, const OpenedModel& opened,
                                           std::unique_ptr<engine::Backend> backend, std::shared_ptr<Metrics> metrics,
                                           const SharedHost& shared) {
  const ModelOptions& wanted = options.model;
  const model::ModelConfig& config = opened.model->config;
  rank::ServiceParts parts;
  parts.backend = std::move(backend);
  parts.metrics = std::move(metrics);
  RETURN_IF_ERROR(read_model(wanted, opened, parts));
  const engine::BackendInfo& engine = parts.backend->info();
  parts.max_documents = wanted.queue.max_documents;
  parts.planner = planner_options(wanted.queue, engine);
  log_model(parts.info);
  if (shared.host && engine.packed_bytes > 0) parts.weights = shared.host->hold_weights(engine.packed_bytes);
  RETURN_IF_ERROR(read_texts(opened, parts));
  RETURN_IF_ERROR(read_host(options.host, shared, opened.located.folder, wanted.engine.devices, parts));
  if (parts.metrics) add_model_metrics(*parts.metrics, parts, config.architecture.layers());
  report_progress(shared, "warming up");
  RETURN_IF_ERROR(run_warm_up(config, parts));
  return parts;
}

}  // namespace

Result<std::unique_ptr<Reranker>> Reranker::open(const Options& given, std::shared_ptr<Metrics> metrics,
                                                 const SharedHost& shared) {
  const Options options = with_progress(given, shared);
  const WatchOptions& watch = options.host.watch;
  if (!(watch.shadow_rate >= 0 && watch.shadow_rate <= 1)) {
    return absl::InvalidArgumentError(str_cat("--shadow-rate ", watch.shadow_rate, ": want a share from 0 to 1"));
  }
  ASSIGN_OR_RETURN(const auto opened, open_model(options, shared));
  ASSIGN_OR_RETURN(auto backend, open_engine(options, opened, shared));
  ASSIGN_OR_RETURN(auto parts, prepare_service(options, opened, std::move(backend), metrics, shared));
  std::unique_ptr<Reranker> service = std::make_unique<rank::Service>(std::move(parts));
  if (watch.shadow_rate == 0 || !metrics) return service;
  return rank::with_shadow(
      std::move(service), [settings = rank::shadow_settings(options)] { return Reranker::open(settings); },
      {watch.shadow_rate, watch.shadow_queue_bytes}, std::move(metrics));
}

}  // namespace rerank
