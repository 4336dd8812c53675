#include "model/hub.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "base/json/reader.h"
#include "base/log.h"
#include "base/strings.h"
#include "model/graph_file.h"
#include "model/graphs.h"
#include "model/safetensors.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;

// What a server may send back where a small JSON answer is expected.
constexpr size_t kMaxAnswerBytes = 64u << 20;
constexpr long kConnectSeconds = 15;
// A transfer slower than this for this long is given up, to be resumed by the next try.
constexpr long kStallBytesPerSecond = 1000, kStallSeconds = 30;
constexpr int kTries = 3;

struct CurlClose {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string to_lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

using Headers = std::map<std::string, std::string>;  // lower-case names; those of the last response

size_t take_header(char* data, size_t size, size_t count, void* user) {
  auto& headers = *static_cast<Headers*>(user);
  std::string line(data, size * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.pop_back();
  const size_t colon = line.find(':');
  if (colon == std::string::npos) return size * count;
  const size_t value = line.find_first_not_of(' ', colon + 1);
  headers[to_lower(line.substr(0, colon))] = value == std::string::npos ? "" : line.substr(value);
  return size * count;
}

size_t take_text(char* data, size_t size, size_t count, void* user) {
  auto& text = *static_cast<std::string*>(user);
  if (text.size() + size * count > kMaxAnswerBytes) return 0;
  text.append(data, size * count);
  return size * count;
}

size_t take_file(char* data, size_t size, size_t count, void* user) {
  return std::fwrite(data, size, count, static_cast<FILE*>(user));
}

struct ProgressContext {
  const HubOptions* options;
  std::string file;
  uint64_t before = 0;  // bytes that an earlier try has left
};

int tell_progress(void* user, curl_off_t total, curl_off_t now, curl_off_t, curl_off_t) {
  const auto& context = *static_cast<ProgressContext*>(user);
  if (total > 0) {
    context.options->progress(context.file, context.before + static_cast<uint64_t>(now),
                              context.before + static_cast<uint64_t>(total));
  }
  return 0;
}

// One request at a time to the hub.
class Hub {
 public:
  explicit Hub(const HubOptions& options) : options_(options), curl_(curl_easy_init()) {}

  // GET as text, following redirects.
  Result<std::string> text(const std::string& url) {
    std::string body;
    prepare(url, true);
    curl_easy_setopt(curl_.get(), CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, take_text);
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEDATA, &body);
    if (Status status = perform(url); !status.ok()) return status;
    return body;
  }

  // HEAD without following redirects: the hub's own headers name commit, etag and size; Location says where the bytes
  // are.
  Result<Headers> head(const std::string& url) {
    prepare(url, true);
    curl_easy_setopt(curl_.get(), CURLOPT_NOBODY, 1L);
    if (Status status = perform(url); !status.ok()) return status;
    return headers_;
  }

  // Bytes from `offset` on, appended to `file`. `authorised`: the address is the hub itself.
  Status download(const std::string& url, bool authorised, uint64_t offset, FILE* file, ProgressContext* progress) {
    prepare(url, authorised);
    curl_easy_setopt(curl_.get(), CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, take_file);
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEDATA, file);
    curl_easy_setopt(curl_.get(), CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
    curl_easy_setopt(curl_.get(), CURLOPT_LOW_SPEED_TIME, kStallSeconds);
    if (offset > 0) curl_easy_setopt(curl_.get(), CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(offset));
    if (options_.progress) {
      curl_easy_setopt(curl_.get(), CURLOPT_NOPROGRESS, 0L);
      curl_easy_setopt(curl_.get(), CURLOPT_XFERINFOFUNCTION, tell_progress);
      curl_easy_setopt(curl_.get(), CURLOPT_XFERINFODATA, progress);
    }
    return perform(url);
  }

 private:
  void prepare(const std::string& url, bool authorised) {
    CURL* c = curl_.get();
    curl_easy_reset(c);
    headers_.clear();
    curl_easy_setopt(c, CURLOPT_URL, url.c_str());
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "rerankd");
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, &headers_);
    list_.reset();
    if (authorised && !options_.token.empty()) {
      list_.reset(curl_slist_append(nullptr, ("Authorization: Bearer " + options_.token).c_str()));
      curl_easy_setopt(c, CURLOPT_HTTPHEADER, list_.get());
    }
  }

  Status perform(const std::string& url) {
    const CURLcode code = curl_easy_perform(curl_.get());
    if (code == CURLE_OK) return ok_status();
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status == 401 || status == 403) {
      return absl::PermissionDeniedError(
          str_cat(url, ": HTTP ", status, ": no such model, or it is private or gated: set HF_TOKEN"));
    }
    if (status == 404) return absl::NotFoundError(str_cat(url, ": not on the hub"));
    if (status == 416) return absl::OutOfRangeError(str_cat(url, ": cannot resume"));
    if (status >= 400) return absl::UnavailableError(str_cat(url, ": HTTP ", status));
    return absl::UnavailableError(str_cat(url, ": ", curl_easy_strerror(code)));
  }

  const HubOptions& options_;
  std::unique_ptr<CURL, CurlClose> curl_;
  std::unique_ptr<curl_slist, ListFree> list_;
  Headers headers_;
};

// A file's identity as the hub tells it.
struct RemoteFile {
  std::string etag;  // the blob's name in the cache
  std::string commit;
  uint64_t size = 0;
  bool has_size = false;
  std::string url;     // where the bytes are
  bool on_hub = true;  // false: redirected to another host, which must not see the token
};

std::string strip_etag(std::string etag) {
  if (etag.starts_with("W/")) etag = etag.substr(2);
  std::erase(etag, '"');
  return etag;
}

bool is_safe_name(std::string_view name) {
  if (name.empty() || name.size() > 200 || name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

// A file's name in a repository: "model.onnx", "onnx/model.onnx".
bool is_safe_path(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (!is_safe_name(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;
}

Result<RemoteFile> look_up(Hub& hub, const HubOptions& options, std::string url) {
  auto headers = hub.head(url);
  // A renamed model answers with a path of the hub instead of with the file.
  for (int hops = 0; headers.ok() && hops < 5 && headers->count("x-repo-commit") == 0 &&
                     headers->count("location") != 0 && headers->at("location").starts_with("/");
       ++hops) {
    url = options.endpoint + headers->at("location");
    headers = hub.head(url);
  }
  if (!headers.ok()) return headers.status();
  RemoteFile file;
  auto value = [&](const char* name) {
    auto found = headers->find(name);
    return found == headers->end() ? std::string() : found->second;
  };
  file.etag = strip_etag(value("x-linked-etag").empty() ? value("etag") : value("x-linked-etag"));
  file.commit = value("x-repo-commit");
  const std::string size = value("x-linked-size").empty() ? (value("location").empty() ? value("content-length") : "")
                                                          : value("x-linked-size");
  file.has_size = !size.empty();
  file.size = file.has_size ? std::strtoull(size.c_str(), nullptr, 10) : 0;
  file.url = url;
  const std::string location = value("location");
  if (!location.empty()) {
    file.url = location.starts_with("/") ? options.endpoint + location : location;
    file.on_hub = file.url.starts_with(options.endpoint + "/");
  }
  if (!is_safe_name(file.etag) || !is_safe_name(file.commit)) {
    return absl::UnavailableError(
        str_cat(url, ": the answer has no etag or no commit: is HF_ENDPOINT a Hugging Face hub?"));
  }
  return file;
}

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

class Download {
 public:
  Download(std::string id, std::string revision, const HubOptions& options)
      : id_(std::move(id)), revision_(std::move(revision)), options_(options), hub_(options) {
    std::string folder = "models--" + id_;
    for (size_t at; (at = folder.find('/')) != std::string::npos;) folder.replace(at, 1, "--");
    root_ = fs::path(options_.cache) / folder;
  }

  // The snapshot folder when it is complete in the cache. `surely`: with what the hub, too, would give; else with what
  // serves.
  Result<std::string> from_cache(bool surely) const {
    std::string commit = revision_;
    std::ifstream ref(root_ / "refs" / revision_);
    if (ref) std::getline(ref, commit);
    const fs::path folder = root_ / "snapshots" / commit;
    if (!is_safe_name(commit) || !fs::exists(folder / "config.json") || !fs::exists(folder / "tokenizer.json")) {
      return absl::NotFoundError("not in the cache");
    }
    Status status;
    if (wants_weights())
      status = TensorFiles::open_folder(folder.string()).status();  // also checks that each shard is whole
    if (options_.files == HubFiles::kGraph || (!status.ok() && !surely && wants_graph()))
      status = graph_in(folder, surely);
    if (!status.ok()) return status;
    return folder.string();
  }

  Result<std::string> run() {
    if (Status s = fetch("config.json", true); !s.ok()) return s;
    if (Status s = fetch("tokenizer.json", true); !s.ok()) return s;
    if (Status s = fetch("tokenizer_config.json", false); !s.ok()) return s;
    if (Status s = fetch("special_tokens_map.json", false); !s.ok()) return s;
    if (Status s = fetch_model(); !s.ok()) return s;
    std::error_code error;
    fs::create_directories(root_ / "refs", error);
    std::ofstream(root_ / "refs" / revision_) << commit_;
    return (root_ / "snapshots" / commit_).string();
  }

 private:
  bool wants_weights() const {
    return options_.files == HubFiles::kWeights || options_.files == HubFiles::kWeightsOrGraph;
  }
  bool wants_graph() const { return options_.files == HubFiles::kGraph || options_.files == HubFiles::kWeightsOrGraph; }

  GraphNames graph_names() const {
    return options_.onnx_file.empty() ? usual_graph_names(options_.precision) : GraphNames{{options_.onnx_file}, {}};
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
    log_info(str_cat(id_, ": no safetensors on the hub, so its graph ", graph_, " was taken, for engine onnx"));
    return ok_status();
  }

  // The one graph that is wanted, and the files that its weights lie in.
  Status fetch_graph() {
    const GraphNames names = graph_names();
    std::string tried;
    for (const auto* list : {&names.wanted, &names.instead}) {
      for (const std::string& name : *list) {
        if (!is_safe_path(name))
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
    const auto graph = read_graph_file((folder / name).string(), /*whole=*/false);
    if (!graph.ok()) return graph.status();
    for (const std::string& path : graph->external) {
      const std::string beside = fs::path(path).lexically_relative(folder).string();
      if (!is_safe_path(beside))
        return absl::InvalidArgumentError(str_cat(path, ": not a name of a file in a repository"));
      if (Status s = fetch(beside, true); !s.ok()) return with_context(s, str_cat("weights of ", name));
    }
    return ok_status();
  }

  // What else could be named, where the hub says.
  std::string graphs_there() {
    const auto answer = hub_.text(str_cat(options_.endpoint, "/api/models/", id_, "/revision/", revision_));
    if (!answer.ok()) return "; name one with --onnx-file";
    std::string there;
    simdjson::dom::parser parser;
    simdjson::dom::array files;
    if (parser.parse(*answer)["siblings"].get(files)) return "; name one with --onnx-file";
    for (auto file : files) {
      std::string_view name;
      if (!file["rfilename"].get(name) && name.ends_with(".onnx")) there += str_cat(there.empty() ? "" : ", ", name);
    }
    return there.empty() ? ", nor any other" : str_cat("; name one of its own with --onnx-file: ", there);
  }

  Status fetch_weights() {
    const Status single = fetch("model.safetensors", true);
    return absl::IsNotFound(single) ? fetch_shards() : single;
  }

  Status fetch_shards() {
    const std::string index = "model.safetensors.index.json";
    if (Status s = fetch(index, true); !s.ok()) {
      return absl::NotFoundError(str_cat(id_, ": the hub has neither model.safetensors nor ", index, " for it"));
    }
    JsonFile json;
    if (Status s = json.load((root_ / "snapshots" / commit_ / index).string()); !s.ok()) return s;
    std::set<std::string> shards;
    simdjson::dom::object map;
    if (json.root()["weight_map"].get(map))
      return absl::InvalidArgumentError(str_cat(json.origin(), ": weight_map is missing"));
    for (auto field : map) {
      std::string_view name;
      if (field.value.get(name) || !is_safe_name(name))
        return absl::InvalidArgumentError(str_cat(json.origin(), ": weight_map: not a file name"));
      shards.emplace(name);
    }
    for (const std::string& shard : shards) {
      if (Status s = fetch(shard, true); !s.ok()) return s;
    }
    return ok_status();
  }

  // One file into the snapshot. Not required: a file the hub does not have is no error.
  Status fetch(const std::string& name, bool required) {
    const std::string url = str_cat(options_.endpoint, "/", id_, "/resolve/", revision_, "/", name);
    auto remote = look_up(hub_, options_, url);
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
    const fs::path blob = root_ / "blobs" / remote->etag;
    FileLock lock((root_ / "blobs" / (remote->etag + ".lock")).string());
    if (!fs::exists(blob)) {
      if (Status s = load(*remote, name, blob); !s.ok()) return s;
    }
    const fs::path link = root_ / "snapshots" / commit_ / name;
    fs::create_directories(link.parent_path(), error);
    fs::remove(link, error);
    fs::create_symlink((root_ / "blobs" / remote->etag).lexically_relative(link.parent_path()), link, error);
    if (error) return absl::PermissionDeniedError(str_cat(link.string(), ": ", error.message()));
    return ok_status();
  }

  // Into blob.incomplete, resuming what an earlier try left, then renamed.
  Status load(const RemoteFile& remote, const std::string& name, const fs::path& blob) {
    const std::string partial = blob.string() + ".incomplete";
    Status status;
    for (int attempt = 0; attempt < kTries; ++attempt) {
      std::error_code error;
      uint64_t have = fs::exists(partial, error) ? fs::file_size(partial, error) : 0;
      if (remote.has_size && have > remote.size) {
        fs::remove(partial, error);
        have = 0;
      }
      if (!remote.has_size || have < remote.size) {
        std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(partial.c_str(), "ab"), std::fclose);
        if (!file) return absl::PermissionDeniedError(str_cat(partial, ": cannot write"));
        ProgressContext progress{&options_, name, have};
        status = hub_.download(remote.url, remote.on_hub, have, file.get(), &progress);
        if (std::fflush(file.get()) != 0)
          return absl::ResourceExhaustedError(str_cat(partial, ": cannot write: is the disk full?"));
        file.reset();
        have = fs::file_size(partial, error);
        if (absl::IsOutOfRange(status)) fs::remove(partial, error);
      } else {
        status = ok_status();
      }
      if (status.ok() && remote.has_size && have != remote.size) {
        status =
            absl::UnavailableError(str_cat(remote.url, ": ", have, " bytes came, ", remote.size, " were announced"));
      }
      if (status.ok()) {
        fs::rename(partial, blob, error);
        return error ? absl::PermissionDeniedError(str_cat(blob.string(), ": ", error.message())) : ok_status();
      }
      if (!absl::IsUnavailable(status) && !absl::IsOutOfRange(status)) return status;
      log_warning(
          str_cat("download of ", name, " broke off: ", message_of(status), attempt + 1 < kTries ? "; resuming" : ""));
    }
    return status;
  }

  std::string id_, revision_;
  HubOptions options_;
  Hub hub_;
  fs::path root_;
  std::string commit_;
  std::string graph_;  // that was fetched
};

}  // namespace

bool is_hub_id(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_safe_name(text);
  return is_safe_name(text.substr(0, slash)) && is_safe_name(text.substr(slash + 1));
}

Result<std::string> fetch_from_hub(const std::string& id, const std::string& revision, const HubOptions& given) {
  if (!is_hub_id(id)) return absl::InvalidArgumentError(str_cat(id, ": not a hub id (org/name)"));
  if (!is_safe_name(revision))
    return absl::InvalidArgumentError(str_cat("--revision ", revision, ": not a branch, tag or commit"));
  HubOptions options = given;
  while (options.endpoint.ends_with('/')) options.endpoint.pop_back();
  Download download(id, revision, options);
  auto cached = download.from_cache(!options.offline);
  if (cached.ok()) return cached;
  if (options.offline) {
    return absl::NotFoundError(str_cat(id, " (", revision, ") is not whole in ", options.cache,
                                       ", and HF_HUB_OFFLINE forbids to download it: ", message_of(cached.status())));
  }
  static const CURLcode kInitialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kInitialised != CURLE_OK) return absl::InternalError("libcurl does not start");
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
