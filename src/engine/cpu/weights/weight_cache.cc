#include "engine/cpu/weights/weight_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/hash.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/cache_folder.h"

namespace rerank::engine::cpu {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMagic = 0x324b434150525252;  // "RRRPACK2": another number where the format changes
constexpr size_t kHeaderBytes = 4096;
constexpr const char* kSuffix = ".packed";
constexpr const char* kTemporary = ".packing";

struct Header {
  uint64_t magic = kMagic;
  uint64_t bytes = 0;  // after the header
  uint64_t hash_low = 0, hash_high = 0;
  char key[256] = {};
};
static_assert(sizeof(Header) <= kHeaderBytes);

Status failed(const std::string& path, const char* what) {
  return absl::UnavailableError(str_cat("weight cache: ", path, ": ", what, ": ", std::strerror(errno)));
}

// Scores are made of what lies there. A folder that is not there yet is made by us.
Status check_folder(const std::string& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0 || (info.st_mode & S_IWOTH) == 0) return ok_status();
  return absl::PermissionDeniedError(str_cat(
      "--weight-cache ", folder, ": anybody can write into it, and scores are made of what lies there: chmod o-w"));
}

Hash128 hash_of(const std::byte* data, size_t bytes) { return hash128({reinterpret_cast<const char*>(data), bytes}); }

}  // namespace

std::string weight_cache_file(const WeightCacheOptions& options) {
  return str_cat(options.folder, "/", hash128(options.key).hex(), kSuffix);
}

Result<std::unique_ptr<MappedWeights>> MappedWeights::open(const WeightCacheOptions& options) {
  RETURN_IF_ERROR(check_folder(options.folder));
  const std::string path = weight_cache_file(options);
  auto file = MappedFile::open(path);
  if (absl::IsNotFound(file.status())) return file.status();
  if (!file.ok()) return absl::DataLossError(std::string(message_of(file.status())));
  // When it was used last; may fail in a folder that is only read.
  const timespec used[] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
  ::utimensat(AT_FDCWD, path.c_str(), used, 0);
  std::unique_ptr<MappedWeights> weights(new MappedWeights(*std::move(file)));
  const auto bytes = weights->file_.bytes();
  if (bytes.size() <= kHeaderBytes) return absl::DataLossError(str_cat(path, ": too short"));
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.key[sizeof header.key - 1] = 0;
  if (header.magic != kMagic || options.key != header.key)
    return absl::DataLossError(str_cat(path, ": not a file of these weights"));
  weights->bytes_ = bytes.size() - kHeaderBytes;
  weights->hash_ = {header.hash_low, header.hash_high};
  if (header.bytes != weights->bytes_ || weights->hash() != weights->hash_)
    return absl::DataLossError(str_cat(path, ": damaged"));
  return weights;
}

const std::byte* MappedWeights::matrices() const { return file_.bytes().data() + kHeaderBytes; }

Hash128 MappedWeights::hash() const { return hash_of(matrices(), bytes_); }

Status MappedWeights::check() const {
  return file_.check([this] { return hash() == hash_; });
}

const std::byte* MappedWeights::place(size_t bytes, const Fill& fill) {
  const size_t taken = round_up(bytes, kAlignment);
  if (mismatched_ || taken > bytes_ - at_) {
    mismatched_ = true;
    return rest_.place(bytes, fill);
  }
  at_ += taken;
  return matrices() + at_ - taken;
}

Result<std::unique_ptr<WeightWriter>> WeightWriter::create(const WeightCacheOptions& options) {
  if (options.key.size() >= sizeof(Header::key)) return absl::InvalidArgumentError("weight cache: key too long");
  RETURN_IF_ERROR(check_folder(options.folder));
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error) return absl::UnavailableError(str_cat("--weight-cache ", options.folder, ": ", error.message()));
  std::unique_ptr<WeightWriter> writer(new WeightWriter(options));
  writer->temporary_ = str_cat(weight_cache_file(options), ".", ::getpid(), kTemporary);
  writer->file_ = ::open(writer->temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (writer->file_ < 0) return failed(writer->temporary_, "cannot write");
  return writer;
}

WeightWriter::~WeightWriter() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
}

Status WeightWriter::write(const void* data, size_t bytes, size_t offset) {
  const auto* from = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const ssize_t written = ::pwrite(file_, from, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed(temporary_, "cannot write");
    from += written, offset += static_cast<size_t>(written), bytes -= static_cast<size_t>(written);
  }
  return ok_status();
}

const std::byte* WeightWriter::place(size_t bytes, const Fill& fill) {
  const size_t taken = round_up(bytes, kAlignment);
  matrix_.resize(taken);
  if (!status_.ok() || bytes_ + taken > options_.max_bytes) {  // given up: commit() says why
    bytes_ += taken;
    return matrix_.data();
  }
  std::memset(matrix_.data(), 0, taken);
  fill(matrix_.data());
  status_ = write(matrix_.data(), taken, kHeaderBytes + bytes_);
  bytes_ += taken;
  return matrix_.data();
}

Status WeightWriter::commit() {
  if (!status_.ok()) return status_;
  if (kHeaderBytes + bytes_ > options_.max_bytes) {
    return absl::ResourceExhaustedError(str_cat("weight cache: these weights take ", kHeaderBytes + bytes_,
                                                " bytes, --weight-cache-bytes is ", options_.max_bytes));
  }
  make_room(options_.folder, kSuffix, kTemporary, options_.max_bytes, kHeaderBytes + bytes_);
  const size_t all = kHeaderBytes + bytes_;
  if (::ftruncate(file_, static_cast<off_t>(all)) != 0) return failed(temporary_, "cannot write");
  Hash128 hash;
  {
    auto mapped = MappedFile::open(temporary_);
    if (!mapped.ok()) return absl::UnavailableError(str_cat("weight cache: ", message_of(mapped.status())));
    if (mapped->bytes().size() != all) return absl::UnavailableError(str_cat(temporary_, ": was cut"));
    hash = hash_of(mapped->bytes().data() + kHeaderBytes, bytes_);
  }
  Header header;
  header.bytes = bytes_;
  header.hash_low = hash.low, header.hash_high = hash.high;
  options_.key.copy(header.key, sizeof header.key - 1);
  RETURN_IF_ERROR(write(&header, sizeof header, 0));
  if (::fsync(file_) != 0) return failed(temporary_, "cannot write");
  if (::rename(temporary_.c_str(), weight_cache_file(options_).c_str()) != 0)
    return failed(temporary_, "cannot rename");
  ::close(file_);
  file_ = -1;
  return ok_status();
}

}  // namespace rerank::engine::cpu
