// rerankd models: what the cache of hub models holds, and whether it works here; pull and remove.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "base/json/writer.h"
#include "cli/command.h"
#include "cli/help/help.h"
#include "engine/registry.h"
#include "model/hub.h"
#include "rank/locate.h"

namespace rerank::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--";  // of a repository's folder, as huggingface_hub has it

struct Cached {
  std::string id;
  uint64_t bytes = 0;
  bool reranker = false;
  std::string what;  // the engine that would take it, or why none does
};

// "models--org--name" is org/name.
std::string id_of(std::string folder) {
  folder.erase(0, kPrefix.size());
  if (const size_t at = folder.find("--"); at != std::string::npos) folder.replace(at, 2, "/");
  return folder;
}

uint64_t bytes_of(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error))
    if (entry.is_regular_file(error) && !entry.is_symlink(error)) bytes += entry.file_size(error);
  return bytes;
}

struct Models : Command {
  explicit Models(CLI::App& program)
      : Command(program, "models", "List the hub models that are here, and which work; pull one, or remove it.") {
    app.add_option("action", action, "list, pull or remove.")
        ->check(one_of({"list", "pull", "remove"}))
        ->capture_default_str();
    app.add_option("model", id, "Of pull and remove: a hub id.")->type_name("ID");
    app.add_option("--format", format, "table or json.")
        ->check(one_of({"table", "json"}))
        ->type_name("FORM")
        ->capture_default_str();
    settings.add(options, {"Model"});
  }

  int run() {
    Status status = complete();
    const std::string wanted = action == "pull" ? model::split_hub_name(id).id : id;
    if (status.ok() && action != "list" && !model::is_hub_id(wanted))
      status =
          absl::InvalidArgumentError(str_cat("models ", action, ": want a hub id, such as BAAI/bge-reranker-v2-m3"));
    if (status.ok()) status = action == "list" ? list() : action == "pull" ? pull() : remove();
    return status.ok() ? 0 : report(status);
  }

  Status pull() {
    options.model.source.model = id;
    options.model.source.download_progress = download_line();
    ASSIGN_OR_RETURN(const auto located, rank::locate_model(options));
    std::printf("%s\n", located.folder.c_str());
    return ok_status();
  }

  Status remove() {
    std::string folder = str_cat(kPrefix, id);
    if (const size_t at = folder.find('/'); at != std::string::npos) folder.replace(at, 1, "--");
    const fs::path path = fs::path(options.model.source.hub_cache) / folder;
    std::error_code error;
    if (!fs::is_directory(path, error))
      return absl::NotFoundError(str_cat(id, " is not in ", options.model.source.hub_cache));
    const uint64_t bytes = bytes_of(path);
    fs::remove_all(path, error);
    if (error) return absl::PermissionDeniedError(str_cat(path.string(), ": ", error.message()));
    std::printf("removed %s, %.0f MB\n", id.c_str(), static_cast<double>(bytes) / 1e6);
    return ok_status();
  }

  Status list() {
    std::vector<Cached> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(options.model.source.hub_cache, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(kPrefix) && entry.is_directory(error)) found.push_back(look_at(id_of(name), entry.path()));
    }
    std::ranges::sort(found, {}, &Cached::id);
    format == "json" ? print_json(found) : print_table(found);
    return ok_status();
  }

  Cached look_at(const std::string& name, const fs::path& path) {
    Cached cached{name, bytes_of(path), false, ""};
    SourceOptions source = options.model.source;
    const auto folder =
        model::fetch_from_hub(name, source.revision, {source.hub_endpoint, "", source.hub_cache, true, {}});
    if (!folder.ok()) {
      cached.what = "not whole here";
      return cached;
    }
    const auto model = model::load_model(*folder);
    if (!model.ok()) {
      cached.what = std::string(message_of(model.status()));
      return cached;
    }
    for (const auto& choice : engine::list_engines(**model, engine::backend_options(options))) {
      if (!choice.runs || !choice.automatic) continue;
      cached.reranker = true;
      cached.what = str_cat(word_of(choice.engine), " ", choice.detail);
      break;
    }
    if (!cached.reranker) cached.what = "no engine runs it here: rerankd inspect says why";
    return cached;
  }

  void print_table(const std::vector<Cached>& found) const {
    if (found.empty()) {
      std::printf("no models in %s\nrerankd models pull BAAI/bge-reranker-v2-m3\n",
                  options.model.source.hub_cache.c_str());
      return;
    }
    size_t width = 5;
    for (const Cached& cached : found) width = std::max(width, cached.id.size());
    std::printf("%-*s  %9s  works  engine, or why not\n", static_cast<int>(width), "model", "MB");
    for (const Cached& cached : found)
      std::printf("%-*s  %9.0f  %-5s  %s\n", static_cast<int>(width), cached.id.c_str(),
                  static_cast<double>(cached.bytes) / 1e6, cached.reranker ? "yes" : "no", cached.what.c_str());
  }

  static void print_json(const std::vector<Cached>& found) {
    JsonWriter json;
    json.begin_array();
    for (const Cached& cached : found) {
      json.begin_object();
      json.field("model", cached.id);
      json.field("bytes", cached.bytes);
      json.field("works", cached.reranker);
      json.field("what", cached.what);
      json.end_object();
    }
    json.end_array();
    std::puts(json.take().c_str());
  }

  std::string action = "list", id, format = "table";
};

}  // namespace

Run add_models_command(CLI::App& program) {
  auto command = std::make_shared<Models>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
