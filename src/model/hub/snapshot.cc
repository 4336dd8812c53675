#include "model/hub/snapshot.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model::hub {
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

}  // namespace

Snapshot::Snapshot(std::string id, std::string revision, const HubOptions& options, Client& hub)
    : id_(std::move(id)), revision_(std::move(revision)), options_(options), hub_(hub) {
  std::string folder = "models--" + id_;
  for (size_t at; (at = folder.find('/')) != std::string::npos;) folder.replace(at, 1, "--");
  root_ = fs::path(options_.cache) / folder;
}

Status Snapshot::note_revision() const {
  std::error_code error;
  const fs::path ref = root_ / "refs" / revision_;
  if (revision_ == commit_) return ok_status();
  fs::create_directories(ref.parent_path(), error);
  std::ofstream(ref) << commit_;
  return ok_status();
}

std::string Snapshot::commit_in_cache() const {
  constexpr size_t kMostRefBytes = 4096;
  if (const auto ref = read_file((root_ / "refs" / revision_).string(), kMostRefBytes); ref.ok()) {
    std::istringstream words(*ref);  // whatever blanks and line ends are around it
    std::string commit;
    if (words >> commit && is_safe_name(commit)) return commit;
  }
  std::error_code error;
  if (is_safe_name(revision_) && fs::exists(root_ / "snapshots" / revision_, error)) return revision_;
  // A cache that was copied without its refs: its only snapshot.
  std::vector<std::string> all;
  if (!fs::exists(root_ / "refs", error)) {
    for (const auto& entry : fs::directory_iterator(root_ / "snapshots", error))
      all.push_back(entry.path().filename().string());
  }
  return all.size() == 1 ? all.front() : "none";
}

std::string Snapshot::url_of(const std::string& name) const {
  return str_cat(options_.endpoint, "/", id_, "/resolve/", escape(revision_), "/", name);
}

std::string Snapshot::listing_url() const {
  return str_cat(options_.endpoint, "/api/models/", id_, "/revision/", escape(revision_));
}

Result<uint64_t> Snapshot::size_of(const std::string& name) {
  ASSIGN_OR_RETURN(const auto remote, look_up(hub_, options_.endpoint, revision_, url_of(name)));
  if (!remote.size) return absl::UnavailableError(str_cat(name, ": the hub does not tell its size"));
  return *remote.size;
}

Status Snapshot::fetch(const std::string& name, bool required) {
  auto remote = look_up(hub_, options_.endpoint, revision_, url_of(name));
  if (!remote.ok()) return absl::IsNotFound(remote.status()) && !required ? ok_status() : remote.status();
  if (commit_.empty()) commit_ = remote->commit;
  if (remote->commit != commit_) {
    return absl::UnavailableError(str_cat(id_, ": ", revision_, " changed while it was downloaded; try again"));
  }
  std::error_code error;
  fs::create_directories(root_ / "blobs", error);
  fs::create_directories(folder(), error);
  if (error)
    return absl::PermissionDeniedError(str_cat(root_.string(), ": cannot make the cache folder: ", error.message()));
  const fs::path blob = root_ / "blobs" / remote->blob;
  FileLock lock(blob.string() + ".lock");
  // What another program has left half is loaded again.
  if (fs::exists(blob) && remote->size && fs::file_size(blob, error) != *remote->size) fs::remove(blob, error);
  if (!fs::exists(blob)) RETURN_IF_ERROR(load(*remote, name, blob));
  const fs::path link = folder() / name;
  fs::create_directories(link.parent_path(), error);
  fs::remove(link, error);
  fs::create_symlink(blob.lexically_relative(link.parent_path()), link, error);
  if (error) return absl::PermissionDeniedError(str_cat(link.string(), ": ", error.message()));
  return ok_status();
}

// Into blob.incomplete, resuming what an earlier try left, then renamed.
Status Snapshot::load(const RemoteFile& remote, const std::string& name, const fs::path& blob) {
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
Status Snapshot::load_rest(const RemoteFile& remote, const std::string& name, const std::string& partial) {
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
    Download download{file.get(), have, remote.size.value_or(kMaxUnannouncedBytes), {}};
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

}  // namespace rerank::model::hub
