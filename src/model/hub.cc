#include "model/hub.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/json/reader.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/files/modules.h"
#include "model/graph_file.h"
#include "model/graphs.h"
#include "model/hub/client.h"
#include "model/hub/owners.h"
#include "model/hub/remote_file.h"
#include "model/safetensors.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;

constexpr int kTries = 3;                   // that bring nothing
constexpr uint64_t kStepBytes = 64u << 10;  // less than that of a large file is nothing
// A file whose size the hub does not tell: configurations and tokenizers, which mirrors may send in chunks.
constexpr uint64_t kMaxUnannouncedBytes = uint64_t{1} << 30;

// Holds a lock file while a blob is loaded, so that two processes do not write into one file.
class FileLock {
 public:
  explicit FileLock(const std::string& path) : fd_(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644)) {
    if (fd_ >= 0) (void)::flock(fd_, LOCK_EX);
  }
  ~FileLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  int fd_;
};

class Fetch {
 public:
  Fetch(std::string id, std::string revision, const HubOptions& options)
      : id_(std::move(id)), revision_(std::move(revision)), options_(options), hub_(options_) {
    std::string folder = "models--" + id_;
    for (size_t at; (at = folder.find('/')) != std::string::npos;) folder.replace(at, 1, "--");
    root_ = fs::path(options_.cache) / folder;
  }

  // The snapshot folder when it is complete in the cache. `surely`: with what the hub, too, would give; else with what
  // serves.
  Result<std::string> from_cache(bool surely) const {
    const fs::path folder = root_ / "snapshots" / commit_in_cache();
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
      const auto whole = size_of(name);
      if (!absl::IsNotFound(whole.status())) return whole;
      const auto index = hub_.text(url_of(name + ".index.json"));
      if (absl::IsNotFound(index.status())) continue;
      if (!index.ok()) return index.status();
      simdjson::dom::parser parser;
      simdjson::dom::element root;
      uint64_t total = 0;
      if (!parser.parse(*index).get(root) && !root["metadata"]["total_size"].get(total)) return total;
      return absl::InvalidArgumentError(str_cat(name, ".index.json: no metadata.total_size"));
    }
    if (const auto names = files_there(".gguf"); names.ok() && !names->empty()) {
      ASSIGN_OR_RETURN(const std::string name, chosen_gguf(*names));
      return size_of(name);
    }
    return absl::NotFoundError(str_cat(id_, ": the hub has neither model.safetensors nor pytorch_model.bin for it"));
  }

  Result<std::string> run() {
    if (!options_.gguf.empty()) return fetch_gguf();
    if (const Status config = fetch("config.json", true); !config.ok()) {
      if (!absl::IsNotFound(config) || !wants_weights()) return config;
      auto gguf = fetch_gguf();  // repositories of such files have nothing else
      return gguf.ok() || absl::IsInvalidArgument(gguf.status()) ? gguf : config;
    }
    RETURN_IF_ERROR(fetch_tokenizer());
    RETURN_IF_ERROR(fetch_modules());
    for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "config_sentence_transformers.json",
                             "sentence_bert_config.json"})
      RETURN_IF_ERROR(fetch(name, false));
    RETURN_IF_ERROR(fetch_model());
    RETURN_IF_ERROR(note_revision());
    return (root_ / "snapshots" / commit_).string();
  }

 private:
  Status note_revision() const {
    std::error_code error;
    const fs::path ref = root_ / "refs" / revision_;
    if (revision_ == commit_) return ok_status();
    fs::create_directories(ref.parent_path(), error);
    std::ofstream(ref) << commit_;
    return ok_status();
  }

  // The commit that the cache has for the revision.
  std::string commit_in_cache() const {
    std::string commit;
    std::ifstream ref(root_ / "refs" / revision_);
    if (ref >> commit && hub::is_safe_name(commit)) return commit;  // whatever blanks and line ends are around it
    std::error_code error;
    if (hub::is_safe_name(revision_) && fs::exists(root_ / "snapshots" / revision_, error)) return revision_;
    // A cache that was copied without its refs: its only snapshot.
    std::vector<std::string> all;
    if (!fs::exists(root_ / "refs", error)) {
      for (const auto& entry : fs::directory_iterator(root_ / "snapshots", error))
        all.push_back(entry.path().filename().string());
    }
    return all.size() == 1 ? all.front() : "none";
  }

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
    RETURN_IF_ERROR(fetch("modules.json", false));
    ASSIGN_OR_RETURN(const auto modules, read_modules((root_ / "snapshots" / commit_).string()));
    for (const Module& module : modules) {
      if (module.path.empty()) continue;
      RETURN_IF_ERROR(fetch(module.path + "/config.json", false));
      RETURN_IF_ERROR(fetch(module.path + "/model.safetensors", false));
    }
    return ok_status();
  }
  Status fetch_tokenizer() {
    for (const char* name : kTokenizers) {
      const Status status = fetch(name, true);
      if (status.ok() && name != kTokenizers[0]) return fetch("added_tokens.json", false);
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
        const Status status = fetch(name, true);
        if (status.ok()) return fetch_beside(name);
        if (!absl::IsNotFound(status)) return status;
        tried += str_cat(tried.empty() ? "" : ", ", name);
      }
    }
    return absl::NotFoundError(str_cat(id_, ": the hub has no graph of these names: ", tried, graphs_there()));
  }

  Status fetch_beside(const std::string& name) {
    graph_ = name;
    const fs::path folder = root_ / "snapshots" / commit_;
    ASSIGN_OR_RETURN(const auto graph, read_graph_file((folder / name).string(), /*whole=*/false));
    for (const std::string& path : graph.external) {
      const std::string beside = fs::path(path).lexically_relative(folder).string();
      if (!hub::is_safe_path(beside))
        return absl::InvalidArgumentError(str_cat(path, ": not a name of a file in a repository"));
      if (Status s = fetch(beside, true); !s.ok()) return with_context(s, str_cat("weights of ", name));
    }
    return ok_status();
  }

  // The repository's files of that ending.
  Result<std::vector<std::string>> files_there(std::string_view ending) {
    ASSIGN_OR_RETURN(const std::string answer,
                     hub_.text(str_cat(options_.endpoint, "/api/models/", id_, "/revision/", hub::escape(revision_))));
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
    const fs::path folder = root_ / "snapshots" / commit_in_cache();
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
    RETURN_IF_ERROR(fetch(name, true));
    for (const char* beside : {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"})
      RETURN_IF_ERROR(fetch(beside, false));
    RETURN_IF_ERROR(note_revision());
    return (root_ / "snapshots" / commit_ / name).string();
  }

  // The first that the hub has, in one file or in shards.
  Status fetch_weights() {
    for (const std::string name : {"model.safetensors", "pytorch_model.bin"}) {
      if (const Status whole = fetch(name, true); !absl::IsNotFound(whole)) return whole;
      if (const Status shards = fetch_shards(name + ".index.json"); !absl::IsNotFound(shards)) return shards;
    }
    return absl::NotFoundError(
        str_cat(id_, ": the hub has neither model.safetensors nor pytorch_model.bin for it, nor an index of shards"));
  }

  Status fetch_shards(const std::string& index) {
    if (Status s = fetch(index, true); !s.ok()) return s;
    JsonFile json;
    RETURN_IF_ERROR(json.load((root_ / "snapshots" / commit_ / index).string()));
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
      RETURN_IF_ERROR(fetch(shard, true));
    }
    return ok_status();
  }

  std::string url_of(const std::string& name) const {
    return str_cat(options_.endpoint, "/", id_, "/resolve/", hub::escape(revision_), "/", name);
  }

  Result<uint64_t> size_of(const std::string& name) {
    ASSIGN_OR_RETURN(const auto remote, hub::look_up(hub_, options_.endpoint, revision_, url_of(name)));
    if (!remote.size) return absl::UnavailableError(str_cat(name, ": the hub does not tell its size"));
    return *remote.size;
  }

  // One file into the snapshot. Not required: a file the hub does not have is no error.
  Status fetch(const std::string& name, bool required) {
    auto remote = hub::look_up(hub_, options_.endpoint, revision_, url_of(name));
    if (!remote.ok()) return absl::IsNotFound(remote.status()) && !required ? ok_status() : remote.status();
    if (commit_.empty()) commit_ = remote->commit;
    if (remote->commit != commit_) {
      return absl::UnavailableError(str_cat(id_, ": ", revision_, " changed while it was downloaded; try again"));
    }
    std::error_code error;
    fs::create_directories(root_ / "blobs", error);
    fs::create_directories(root_ / "snapshots" / commit_, error);
    if (error)
      return absl::PermissionDeniedError(str_cat(root_.string(), ": cannot make the cache folder: ", error.message()));
    const fs::path blob = root_ / "blobs" / remote->blob;
    FileLock lock(blob.string() + ".lock");
    // What another program has left half is loaded again.
    if (fs::exists(blob) && remote->size && fs::file_size(blob, error) != *remote->size) fs::remove(blob, error);
    if (!fs::exists(blob)) RETURN_IF_ERROR(load(*remote, name, blob));
    const fs::path link = root_ / "snapshots" / commit_ / name;
    fs::create_directories(link.parent_path(), error);
    fs::remove(link, error);
    fs::create_symlink(blob.lexically_relative(link.parent_path()), link, error);
    if (error) return absl::PermissionDeniedError(str_cat(link.string(), ": ", error.message()));
    return ok_status();
  }

  // Into blob.incomplete, resuming what an earlier try left, then renamed.
  Status load(const hub::RemoteFile& remote, const std::string& name, const fs::path& blob) {
    const std::string partial = blob.string() + ".incomplete";
    // A try that brought the file on does not count, however many there are: links that drop now and then end, too.
    const uint64_t step = std::min<uint64_t>(kStepBytes, remote.size.value_or(0) / 100);
    Status status;
    for (int in_vain = 0; in_vain < kTries;) {
      std::error_code error;
      const uint64_t before = fs::exists(partial, error) ? fs::file_size(partial, error) : 0;
      status = load_rest(remote, name, partial);
      if (status.ok()) {
        fs::rename(partial, blob, error);
        return error ? absl::PermissionDeniedError(str_cat(blob.string(), ": ", error.message())) : ok_status();
      }
      // Cannot be gone on with, or is wrong: from its beginning.
      const bool anew = absl::IsOutOfRange(status) || absl::IsDataLoss(status);
      if (anew) fs::remove(partial, error);
      if (!anew && !absl::IsUnavailable(status)) return status;
      const uint64_t after = fs::exists(partial, error) ? fs::file_size(partial, error) : 0;
      in_vain = !anew && after > before + step ? 0 : in_vain + 1;
      const std::string where =
          remote.size ? str_cat(" at ", after / 1000000, " of ", *remote.size / 1000000, " MB") : "";
      log_warning(str_cat("download of ", name, " broke off: ", message_of(status),
                          in_vain < kTries ? str_cat("; resuming", where) : ""));
    }
    return absl::UnavailableError(std::string(message_of(status)));
  }

  // One try. OutOfRange: what is there cannot be gone on with. DataLoss: other bytes came than the hub has.
  Status load_rest(const hub::RemoteFile& remote, const std::string& name, const std::string& partial) {
    std::error_code error;
    uint64_t have = fs::exists(partial, error) ? fs::file_size(partial, error) : 0;
    if (remote.size && have > *remote.size) return absl::OutOfRangeError(str_cat(partial, ": too long"));
    if (!remote.size || have < *remote.size) {
      const auto room = fs::space(fs::path(partial).parent_path(), error);
      if (!error && remote.size && room.available < *remote.size - have) {
        return absl::ResourceExhaustedError(
            str_cat(partial, ": ", *remote.size - have, " bytes are needed, the disk has ", room.available));
      }
      const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(partial.c_str(), "ab"), std::fclose);
      if (!file) return absl::PermissionDeniedError(str_cat(partial, ": cannot write"));
      hub::Download download{file.get(), have, remote.size.value_or(kMaxUnannouncedBytes), {}};
      if (options_.progress) {
        download.progress = [&](uint64_t done, uint64_t total) { options_.progress(name, done, total); };
      }
      const Status status = hub_.download(remote.url, remote.on_hub, download);
      if (std::fflush(file.get()) != 0)
        return absl::ResourceExhaustedError(str_cat(partial, ": cannot write: is the disk full?"));
      RETURN_IF_ERROR(status);
      have = fs::file_size(partial, error);
    }
    if (remote.size && have != *remote.size)
      return absl::UnavailableError(str_cat(remote.url, ": ", have, " bytes came, ", *remote.size, " were announced"));
    if (remote.sha256.empty()) return ok_status();
    ASSIGN_OR_RETURN(const MappedFile whole, MappedFile::open(partial));
    if (sha256_hex(whole.text()) == remote.sha256) return ok_status();
    return absl::DataLossError(str_cat(remote.url, ": its bytes do not have the checksum that the hub has for it"));
  }

  std::string id_, revision_;
  HubOptions options_;
  hub::Client hub_;
  fs::path root_;
  std::string commit_;
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
