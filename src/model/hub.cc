#include "model/hub.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/json/reader.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/files/modules.h"
#include "model/graph_file.h"
#include "model/graphs.h"
#include "model/hub/client.h"
#include "model/hub/owners.h"
#include "model/hub/snapshot.h"
#include "model/safetensors.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;

class Fetch {
 public:
  Fetch(std::string id, std::string revision, const HubOptions& options)
      : id_(id), options_(options), hub_(options_), snapshot_(std::move(id), std::move(revision), options_, hub_) {}

  // The snapshot folder when it is complete in the cache. `surely`: with what the hub, too, would give; else with what
  // serves.
  Result<std::string> from_cache(bool surely) const {
    const fs::path folder = snapshot_.folder_in_cache();
    if (!options_.gguf.empty()) return gguf_in_cache();
    if (!fs::exists(folder / "config.json") && wants_weights()) {
      if (auto gguf = gguf_in_cache(); gguf.ok()) return gguf;
    }
    if (!fs::exists(folder / "config.json"))
      return absl::NotFoundError(str_cat((folder / "config.json").string(), " is not in the cache"));
    if (!has_tokenizer(folder))
      return absl::NotFoundError(str_cat((folder / kTokenizers[0]).string(), " is not in the cache"));
    Status status;
    if (wants_weights()) status = weights_in(folder);
    if (options_.files == HubFiles::kGraph || (!status.ok() && !surely && wants_graph())) {
      const Status graph = graph_in(folder, surely);
      if (status.ok() || graph.ok()) status = graph;  // else what was looked for first
    }
    if (!status.ok()) return status;
    return folder.string();
  }

  // Of the files that fetch_weights() would take.
  Result<uint64_t> weight_bytes() {
    for (const std::string name : {"model.safetensors", "pytorch_model.bin"}) {
      const auto whole = snapshot_.size_of(name);
      if (!absl::IsNotFound(whole.status())) return whole;
      const auto index = hub_.text(snapshot_.url_of(name + ".index.json"));
      if (absl::IsNotFound(index.status())) continue;
      RETURN_IF_ERROR(index.status());
      simdjson::dom::parser parser;
      simdjson::dom::element root;
      uint64_t total = 0;
      if (!parser.parse(*index).get(root) && !root["metadata"]["total_size"].get(total)) return total;
      return absl::InvalidArgumentError(str_cat(name, ".index.json: no metadata.total_size"));
    }
    if (const auto names = files_there(".gguf"); names.ok() && !names->empty()) {
      ASSIGN_OR_RETURN(const std::string name, chosen_gguf(*names));
      return snapshot_.size_of(name);
    }
    return absl::NotFoundError(str_cat(id_, ": the hub has neither model.safetensors nor pytorch_model.bin for it"));
  }

  Result<std::string> run() {
    if (!options_.gguf.empty()) return fetch_gguf();
    if (const Status config = snapshot_.fetch("config.json", true); !config.ok()) {
      if (!absl::IsNotFound(config) || !wants_weights()) return config;
      auto gguf = fetch_gguf();  // repositories of such files have nothing else
      return gguf.ok() || absl::IsInvalidArgument(gguf.status()) ? gguf : config;
    }
    RETURN_IF_ERROR(fetch_tokenizer());
    RETURN_IF_ERROR(fetch_modules());
    for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "config_sentence_transformers.json",
                             "sentence_bert_config.json"})
      RETURN_IF_ERROR(snapshot_.fetch(name, false));
    RETURN_IF_ERROR(fetch_model());
    RETURN_IF_ERROR(snapshot_.note_revision());
    return snapshot_.folder().string();
  }

 private:
  // Also checks that each shard is whole.
  static Status weights_in(const fs::path& folder) {
    const fs::path file = folder / "model.safetensors";
    if (fs::is_symlink(file) && !fs::exists(file))
      return absl::NotFoundError(str_cat(file.string(), ": a link to a file that is not there"));
    return TensorFiles::open_folder(folder.string()).status();
  }

  bool wants_weights() const {
    return options_.files == HubFiles::kWeights || options_.files == HubFiles::kWeightsOrGraph;
  }
  bool wants_graph() const { return options_.files == HubFiles::kGraph || options_.files == HubFiles::kWeightsOrGraph; }

  GraphNames graph_names() const {
    return options_.onnx_file.empty() ? usual_graph_names(options_.precision) : GraphNames{{options_.onnx_file}, {}};
  }

  // What a tokenizer is made from: the first that is there.
  static constexpr const char* kTokenizers[] = {"tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spm.model",
                                                "spiece.model"};
  static bool has_tokenizer(const fs::path& folder) {
    return std::ranges::any_of(kTokenizers, [&](const char* name) { return fs::exists(folder / name); });
  }
  // Of a head that stands in modules of its own (model/files/modules.h).
  Status fetch_modules() {
    RETURN_IF_ERROR(snapshot_.fetch("modules.json", false));
    ASSIGN_OR_RETURN(const auto modules, read_modules(snapshot_.folder().string()));
    for (const Module& module : modules) {
      if (module.path.empty()) continue;
      RETURN_IF_ERROR(snapshot_.fetch(module.path + "/config.json", false));
      RETURN_IF_ERROR(snapshot_.fetch(module.path + "/model.safetensors", false));
    }
    return ok_status();
  }
  Status fetch_tokenizer() {
    for (const char* name : kTokenizers) {
      const Status status = snapshot_.fetch(name, true);
      if (status.ok() && name != kTokenizers[0]) return snapshot_.fetch("added_tokens.json", false);
      if (!absl::IsNotFound(status)) return status;
    }
    return absl::NotFoundError(
        str_cat(id_, ": the hub has no tokenizer.json for it, nor a vocabulary that one can be built from"));
  }

  Status graph_in(const fs::path& folder, bool surely) const {
    const GraphNames names = graph_names();
    for (const auto* list : {&names.wanted, &names.instead}) {
      if (surely && list == &names.instead) break;
      for (const std::string& name : *list) {
        std::error_code error;
        if (fs::exists(folder / name, error)) return read_graph_file((folder / name).string()).status();
      }
    }
    return absl::NotFoundError("no graph in the cache");
  }

  Status fetch_model() {
    if (!wants_weights()) return wants_graph() ? fetch_graph() : ok_status();
    const Status weights = fetch_weights();
    if (!absl::IsNotFound(weights) || !wants_graph()) return weights;
    if (const Status graph = fetch_graph(); !graph.ok())
      return absl::IsNotFound(graph) ? Status(graph.code(), str_cat(message_of(weights), "; ", message_of(graph)))
                                     : graph;
    log_info(str_cat(id_, ": no weights on the hub, so its graph ", graph_, " was taken, for engine onnx"));
    return ok_status();
  }

  // The one graph that is wanted, and the files that its weights lie in.
  Status fetch_graph() {
    const GraphNames names = graph_names();
    std::string tried;
    for (const auto* list : {&names.wanted, &names.instead}) {
      for (const std::string& name : *list) {
        if (!hub::is_safe_path(name))
          return absl::InvalidArgumentError(
              str_cat("--onnx-file ", name, ": neither a file here nor a name in a repository"));
        const Status status = snapshot_.fetch(name, true);
        if (status.ok()) return fetch_beside(name);
        if (!absl::IsNotFound(status)) return status;
        tried += str_cat(tried.empty() ? "" : ", ", name);
      }
    }
    return absl::NotFoundError(str_cat(id_, ": the hub has no graph of these names: ", tried, graphs_there()));
  }

  Status fetch_beside(const std::string& name) {
    graph_ = name;
    const fs::path folder = snapshot_.folder();
    ASSIGN_OR_RETURN(const auto graph, read_graph_file((folder / name).string(), /*whole=*/false));
    for (const std::string& path : graph.external) {
      const std::string beside = fs::path(path).lexically_relative(folder).string();
      if (!hub::is_safe_path(beside))
        return absl::InvalidArgumentError(str_cat(path, ": not a name of a file in a repository"));
      if (Status s = snapshot_.fetch(beside, true); !s.ok()) return with_context(s, str_cat("weights of ", name));
    }
    return ok_status();
  }

  // The repository's files of that ending.
  Result<std::vector<std::string>> files_there(std::string_view ending) {
    ASSIGN_OR_RETURN(const std::string answer, hub_.text(snapshot_.listing_url()));
    std::vector<std::string> there;
    simdjson::dom::parser parser;
    simdjson::dom::array files;
    if (parser.parse(answer)["siblings"].get(files))
      return absl::UnavailableError(str_cat(id_, ": the hub does not tell its files"));
    for (auto file : files) {
      std::string_view name;
      if (!file["rfilename"].get(name) && name.ends_with(ending)) there.emplace_back(name);
    }
    return there;
  }

  // What else could be named, where the hub says.
  std::string graphs_there() {
    const auto files = files_there(".onnx");
    if (!files.ok()) return "; name one with --onnx-file";
    return files->empty() ? ", nor any other"
                          : str_cat("; name one of its own with --onnx-file: ", absl::StrJoin(*files, ", "));
  }

  // Of names of GGUF files the one that is wanted: by its name, by a part of it, whatever its case ("q8_0"), or the
  // only one. Those of subfolders, and of images ("mmproj"), are none.
  Result<std::string> chosen_gguf(const std::vector<std::string>& names) const {
    const auto lower = [](std::string text) {
      for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
      return text;
    };
    std::vector<std::string> all, fitting;
    for (const std::string& name : names) {
      if (!hub::is_safe_name(name) || name.starts_with("mmproj")) continue;
      all.push_back(name);
      if (lower(name).find(lower(options_.gguf)) != std::string::npos) fitting.push_back(name);
      if (name == options_.gguf) return name;
    }
    if (fitting.size() == 1) return fitting[0];
    if (all.empty()) return absl::NotFoundError(str_cat(id_, ": no GGUF file"));
    return absl::InvalidArgumentError(str_cat(
        id_, ": ", fitting.empty() ? str_cat("no GGUF file is named by `", options_.gguf, "`") : "several GGUF files",
        "; name one of them as --model ", id_,
        ":NAME, or by a part of it that only one has: ", absl::StrJoin(all, ", ")));
  }

  Result<std::string> gguf_in_cache() const {
    const fs::path folder = snapshot_.folder_in_cache();
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error))
      if (entry.path().extension() == ".gguf" && fs::exists(entry.path(), error))
        names.push_back(entry.path().filename().string());
    ASSIGN_OR_RETURN(const std::string name, chosen_gguf(names));
    return (folder / name).string();
  }

  // The file, and what may stand beside it.
  Result<std::string> fetch_gguf() {
    ASSIGN_OR_RETURN(const auto names, files_there(".gguf"));
    ASSIGN_OR_RETURN(const std::string name, chosen_gguf(names));
    RETURN_IF_ERROR(snapshot_.fetch(name, true));
    for (const char* beside : {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"})
      RETURN_IF_ERROR(snapshot_.fetch(beside, false));
    RETURN_IF_ERROR(snapshot_.note_revision());
    return (snapshot_.folder() / name).string();
  }

  // The first that the hub has, in one file or in shards.
  Status fetch_weights() {
    for (const std::string name : {"model.safetensors", "pytorch_model.bin"}) {
      if (const Status whole = snapshot_.fetch(name, true); !absl::IsNotFound(whole)) return whole;
      if (const Status shards = fetch_shards(name + ".index.json"); !absl::IsNotFound(shards)) return shards;
    }
    return absl::NotFoundError(
        str_cat(id_, ": the hub has neither model.safetensors nor pytorch_model.bin for it, nor an index of shards"));
  }

  Status fetch_shards(const std::string& index) {
    RETURN_IF_ERROR(snapshot_.fetch(index, true));
    JsonFile json;
    RETURN_IF_ERROR(json.load((snapshot_.folder() / index).string()));
    std::set<std::string> shards;
    simdjson::dom::object map;
    if (json.root()["weight_map"].get(map))
      return absl::InvalidArgumentError(str_cat(json.origin(), ": weight_map is missing"));
    for (auto field : map) {
      std::string_view name;
      if (field.value.get(name) || !hub::is_safe_name(name))
        return absl::InvalidArgumentError(str_cat(json.origin(), ": weight_map: not a file name"));
      shards.emplace(name);
    }
    for (const std::string& shard : shards) {
      RETURN_IF_ERROR(snapshot_.fetch(shard, true));
    }
    return ok_status();
  }

  std::string id_;
  HubOptions options_;
  hub::Client hub_;
  hub::Snapshot snapshot_;
  std::string graph_;  // that was fetched
};

}  // namespace

bool is_hub_id(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return hub::is_safe_name(text);
  return hub::is_safe_name(text.substr(0, slash)) && hub::is_safe_name(text.substr(slash + 1));
}

// The options as they are used, or why these are none.
static Result<HubOptions> checked(const std::string& id, const std::string& revision, HubOptions options) {
  if (!is_hub_id(id)) return absl::InvalidArgumentError(str_cat(id, ": not a hub id (org/name)"));
  if (const std::string meant = hub::with_owner(id); !meant.empty())
    return absl::InvalidArgumentError(str_cat(id, ": no such folder; of the hub's models, did you mean ", meant, "?"));
  if (!hub::is_revision(revision))
    return absl::InvalidArgumentError(str_cat("--revision ", revision, ": not a branch, tag or commit"));
  while (options.endpoint.ends_with('/')) options.endpoint.pop_back();
  return options;
}

Result<uint64_t> weight_bytes_on_hub(const std::string& id, const std::string& revision, const HubOptions& given) {
  ASSIGN_OR_RETURN(const HubOptions options, checked(id, revision, given));
  if (options.offline) return absl::NotFoundError("HF_HUB_OFFLINE forbids to ask the hub");
  RETURN_IF_ERROR(hub::start_client());
  return Fetch(id, revision, options).weight_bytes();
}

HubName split_hub_name(std::string_view text) {
  const size_t colon = text.find(':', std::min(text.size(), text.find('/')));
  if (colon == text.npos) return {std::string(text), ""};
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

Result<std::string> fetch_from_hub(const std::string& id, const std::string& revision, const HubOptions& given) {
  ASSIGN_OR_RETURN(const HubOptions options, checked(id, revision, given));
  Fetch download(id, revision, options);
  auto cached = download.from_cache(!options.offline);
  if (cached.ok()) return cached;
  if (options.offline) {
    return absl::NotFoundError(str_cat(id, " (", revision, ") is not whole in ", options.cache,
                                       ", and HF_HUB_OFFLINE forbids to download it: ", message_of(cached.status())));
  }
  RETURN_IF_ERROR(hub::start_client());
  log_info(str_cat("downloading ", id, " from ", options.endpoint));
  auto downloaded = download.run();
  if (absl::IsUnavailable(downloaded.status())) {
    if (auto serves = download.from_cache(false); serves.ok()) {
      log_warning(str_cat(message_of(downloaded.status()), ": taking what is in ", options.cache));
      return serves;
    }
  }
  return downloaded;
}

}  // namespace rerank::model
