// rerankd fit: what a model takes of this machine, before it is downloaded.
#include <cstdio>
#include <filesystem>

#include "base/json/writer.h"
#include "base/status_macros.h"
#include "cli/command.h"
#include "cli/fit/sketch.h"
#include "cli/help/help.h"
#include "model/hub.h"
#include "rank/locate.h"

namespace rerank::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kQuestionChunks = 64, kChunkTokens = 512;  // RAGFlow's: it waits 30 s for the scores
constexpr double kPatience = 30;
// What a server takes besides weights: program and buffers, caches that fill up (--cache-bytes, --token-cache-bytes),
// a batch on its way.
constexpr uint64_t kBesides = 160u << 20;
constexpr size_t kMostMachines = 16, kMostCores = 1024;  // of --cores: what a line of the terminal shows

struct Row {
  Speed speed;
  uint64_t memory = 0;
};

struct Fit : Command {
  explicit Fit(CLI::App& program)
      : Command(program, "fit",
                "What a model would take here: download, memory, time. Downloads only its configuration.") {
    app.add_option("model", options.model.source.model, "Hub id or folder; none: the built-in model.")
        ->type_name("ID|DIR");
    app.add_option("--format", format, "table or json.")
        ->check(one_of({"table", "json"}))
        ->type_name("FORM")
        ->capture_default_str();
    app.add_option("--cores", cores,
                   "Also estimate the question's time on machines with so many cores like these, from the time here.")
        ->type_name("N,...")
        ->delimiter(',')
        ->check(CLI::Range(size_t{1}, kMostCores));
    app.add_flag("--sizes-only", sizes_only, "Download and memory only: nothing is timed.");
    settings.add(options, {"Model", "Engine", "Texts"});
  }

  int run() {
    const Status status = measure();
    if (!status.ok()) return report(status);
    format == "json" ? print_json() : print_table();
    return 0;
  }

  Status check_flags() const {
    if (cores.empty()) return ok_status();
    if (cores.size() > kMostMachines)
      return absl::InvalidArgumentError(str_cat("--cores: ", cores.size(), " values, at most ", kMostMachines));
    if (sizes_only) return absl::InvalidArgumentError("--cores wants times, which --sizes-only omits");
    const EngineKind engine = options.model.engine.engine;
    if (engine != EngineKind::kAuto && engine != EngineKind::kCpu) return not_carried_over(word_of(engine));
    return ok_status();
  }

  static Status not_carried_over(std::string_view engine) {
    return absl::InvalidArgumentError(
        str_cat("--cores: times of engine ", engine, " say nothing of other machines; add --engine cpu"));
  }

  Status measure() {
    RETURN_IF_ERROR(complete());
    RETURN_IF_ERROR(check_flags());
    RETURN_IF_ERROR(locate());
    ASSIGN_OR_RETURN(config, model::read_model_config(folder));
    sizes = weight_sizes(config);
    limit = options.model.texts.max_length ? options.model.texts.max_length : config.served_length();
    if (sizes_only) return list_sizes();
    for (const size_t tokens : {kChunkTokens, kChunkTokens / 2})
      if (lengths.empty() || std::min(tokens, limit) < lengths.back()) lengths.push_back(std::min(tokens, limit));
    std::vector<Precision> precisions = {Precision::kAuto, Precision::kFp32, Precision::kInt8};
    if (options.model.engine.precision != Precision::kAuto) precisions = {options.model.engine.precision};
    Status last;
    for (const Precision precision : precisions) {
      Options tried = options;
      tried.model.engine.precision = precision;
      auto speed = predict_speed(config, tried, lengths);
      if (!speed.ok()) {
        last = speed.status();
        continue;
      }
      const bool known = std::ranges::any_of(
          rows, [&](const Row& row) { return row.speed.engine.precisions == speed->engine.precisions; });
      if (!known) rows.push_back({*speed, memory_of(speed->engine.precisions)});
    }
    if (rows.empty()) return last;
    const engine::BackendInfo& first = rows[0].speed.engine;
    if (!cores.empty() && first.engines != std::vector{EngineKind::kCpu}) return not_carried_over(first.engine_text());
    return ok_status();
  }

  // One row for each precision of the cpu engine, without times.
  Status list_sizes() {
    std::vector<Precision> precisions = {Precision::kBf16, Precision::kFp32, Precision::kInt8};
    if (options.model.engine.precision != Precision::kAuto) precisions = {options.model.engine.precision};
    for (const Precision precision : precisions) {
      const engine::BackendInfo cpu = {.engines = {EngineKind::kCpu}, .precisions = {precision}, .threads = 0};
      rows.push_back({.speed = {.engine = cpu, .at = {}}, .memory = memory_of({precision})});
    }
    return ok_status();
  }

  // The folder with the configuration, and how many bytes the weights have.
  Status locate() {
    SourceOptions& source = options.model.source;
    std::error_code error;
    if (source.model.empty() || fs::is_directory(source.model, error)) {
      ASSIGN_OR_RETURN(const auto located, rank::locate_model(options));
      folder = located.folder;
      name = source.model.empty() ? located.name : source.model;
      for (const auto& entry : fs::directory_iterator(folder, error)) {
        const std::string file = entry.path().filename().string();
        if (file.ends_with(".safetensors") || file.ends_with(".bin")) disk += entry.file_size(error);
      }
      here = true;
      return ok_status();
    }
    if (!model::is_hub_id(source.model)) return absl::NotFoundError(str_cat(source.model, ": no such folder"));
    name = source.model;
    model::HubOptions hub{source.hub_endpoint, source.hub_token, source.hub_cache, source.hub_offline, {}};
    hub.files = model::HubFiles::kNeither;
    ASSIGN_OR_RETURN(folder, model::fetch_from_hub(name, source.revision, hub));
    hub.files = model::HubFiles::kWeights;
    hub.offline = true;
    here = model::fetch_from_hub(name, source.revision, hub).ok();
    hub.offline = source.hub_offline;
    const auto bytes = model::weight_bytes_on_hub(name, source.revision, hub);
    disk = bytes.value_or(0);  // a mirror that does not tell: the rest is worth knowing all the same
    return ok_status();
  }

  // Matrices of blocks are packed in the precision, of several in the largest; all else stays fp32 in memory, but for
  // the table of words, of which the rows that texts have are mapped from the file.
  uint64_t memory_of(const std::vector<Precision>& precisions) const {
    double bytes = 0;
    for (const Precision precision : precisions) bytes = std::max(bytes, bytes_per_weight(precision));
    const uint64_t rest = sizes.parameters - sizes.matrices;
    const uint64_t stored = disk > 0 ? disk * rest / sizes.parameters : 4 * rest;
    return static_cast<uint64_t>(bytes * static_cast<double>(sizes.matrices)) + stored + kBesides;
  }

  static double question_seconds(const SpeedAt& at) { return at.seconds * kQuestionChunks; }

  // The same work divided among so many cores, as if they added up; the chunks of a question keep no more than so many
  // cores busy.
  static double question_seconds(const Row& row, const SpeedAt& at, size_t machine) {
    const auto threads = static_cast<double>(row.speed.engine.threads);
    return question_seconds(at) * threads / static_cast<double>(std::min(machine, kQuestionChunks));
  }

  void print_table() const {
    std::printf("%s: %s, %.0f M parameters, up to %zu tokens\n\n", name.c_str(), config.architecture_name.c_str(),
                static_cast<double>(sizes.parameters) / 1e6, limit);
    const double megabytes = static_cast<double>(disk) / 1e6;
    if (here) {
      std::printf("download   nothing: %.0f MB of weights are here\n", megabytes);
    } else if (disk > 0) {
      std::printf("download   %.0f MB, and as much disk\n", megabytes);
    } else {
      std::printf("download   the hub does not say how much\n");
    }
    const engine::BackendInfo& first = rows[0].speed.engine;
    if (!sizes_only) std::printf("engine     %s, %zu thread(s)\n", first.engine_text().c_str(), first.threads);
    std::printf("\nprecision   memory");
    for (const size_t tokens : lengths) std::printf("   pairs/s of %zu   %zu chunks", tokens, kQuestionChunks);
    std::printf("\n");
    for (const Row& row : rows) {
      std::printf("%-9s %5.1f GB", row.speed.engine.precision_text().c_str(), static_cast<double>(row.memory) / 1e9);
      for (const SpeedAt& at : row.speed.at) std::printf(" %16.1f %9.1f s", 1 / at.seconds, question_seconds(at));
      std::printf("\n");
    }
    if (!cores.empty()) print_cores();
    if (!sizes_only) std::printf("\n%s\n", advice().c_str());
  }

  void print_cores() const {
    std::printf("\n%zu chunks of %zu tokens on other machines, estimated: as if cores like these %zu added up\n",
                kQuestionChunks, lengths[0], rows[0].speed.engine.threads);
    std::printf("precision");
    for (const size_t machine : cores) std::printf(" %9s", str_cat(machine, " cores").c_str());
    std::printf("\n");
    for (const Row& row : rows) {
      std::printf("%-9s", row.speed.engine.precision_text().c_str());
      for (const size_t machine : cores) std::printf(" %7.1f s", question_seconds(row, row.speed.at[0], machine));
      std::printf("\n");
    }
  }

  // One sentence that decides.
  std::string advice() const {
    const double now = question_seconds(rows[0].speed.at[0]);
    const std::string question =
        str_cat("RAGFlow's question of ", kQuestionChunks, " chunks of ", lengths[0], " tokens ");
    const auto seconds = [](double s) { return str_cat(static_cast<int64_t>(s + 1), " s"); };
    if (now <= kPatience) return str_cat(question, "takes about ", seconds(now), "; it waits 30 s.");
    const Row* best = nullptr;
    const SpeedAt* at = nullptr;
    for (const Row& row : rows) {
      for (const SpeedAt& each : row.speed.at) {
        if (!at || each.seconds < at->seconds) best = &row, at = &each;
      }
    }
    std::string text = str_cat(question, "takes about ", seconds(now), ", and it waits 30 s. ");
    const double least = question_seconds(*at);
    text += str_cat("With --precision ", best->speed.engine.precision_text(),
                    at->tokens < lengths[0] ? str_cat(" --max-length ", at->tokens) : "", " it takes ", seconds(least));
    return text + (least <= kPatience ? "." : ": choose a smaller model, or a larger machine.");
  }

  void print_json() const {
    JsonWriter json;
    json.begin_object();
    json.field("model", name);
    json.field("architecture", config.architecture_name);
    json.field("parameters", sizes.parameters);
    json.field("weight_bytes", disk);
    json.field("here", here);
    json.field("max_length", uint64_t{limit});
    json.key("rows").begin_array();
    for (const Row& row : rows) {
      json.begin_object();
      json.field("engine", row.speed.engine.engine_text());
      json.field("precision", row.speed.engine.precision_text());
      json.field("kernel", row.speed.engine.kernel);
      json.field("threads", uint64_t{row.speed.engine.threads});
      json.field("memory_bytes", row.memory);
      json.key("lengths").begin_array();
      for (const SpeedAt& at : row.speed.at) {
        json.begin_object();
        json.field("tokens", uint64_t{at.tokens});
        json.field("seconds_per_pair", at.seconds);
        json.field("question_seconds", question_seconds(at));
        print_json_cores(json, row, at);
        json.end_object();
      }
      json.end_array();
      json.end_object();
    }
    json.end_array();
    if (!sizes_only) json.field("advice", advice());
    json.end_object();
    std::puts(json.take().c_str());
  }

  void print_json_cores(JsonWriter& json, const Row& row, const SpeedAt& at) const {
    if (cores.empty()) return;
    json.key("estimated").begin_array();
    for (const size_t machine : cores) {
      json.begin_object();
      json.field("cores", uint64_t{machine});
      json.field("question_seconds", question_seconds(row, at, machine));
      json.end_object();
    }
    json.end_array();
  }

  std::string format = "table", folder, name;
  std::vector<size_t> cores;
  bool sizes_only = false;
  model::ModelConfig config;
  WeightSizes sizes;
  uint64_t disk = 0;  // bytes of the weights; 0: not known
  bool here = false;
  size_t limit = 0;
  std::vector<size_t> lengths;
  std::vector<Row> rows;
};

}  // namespace

Run add_fit_command(CLI::App& program) {
  auto command = std::make_shared<Fit>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
