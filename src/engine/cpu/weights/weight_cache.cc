#include "engine/cpu/weights/weight_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/hash.h"
#include "base/strings.h"

namespace rerank::engine::cpu {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMagic = 0x324b434150525252;  // "RRRPACK2": another number where the format changes
constexpr size_t kHeaderBytes = 4096;
constexpr const char* kSuffix = ".packed";
constexpr const char* kTemporary = ".packing";
constexpr auto kForgotten = std::chrono::hours(24);  // a file still being written is not older

struct Header {
  uint64_t magic = kMagic;
  uint64_t bytes = 0;  // behind the header
  uint64_t hash_low = 0, hash_high = 0;
  char key[256] = {};
};
static_assert(sizeof(Header) <= kHeaderBytes);

Status failed(const std::string& path, const char* what) {
  return absl::UnavailableError(str_cat("weight cache: ", path, ": ", what, ": ", std::strerror(errno)));
}

Hash128 hash_of(const std::byte* data, size_t bytes) { return hash128({reinterpret_cast<const char*>(data), bytes}); }

// Maps `bytes` of a file read-only; null where that fails.
std::byte* map(int file, size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<std::byte*>(memory);
}

// Deletes the least recently used of the folder's files until `needed` more fit; and what crashed writers have left.
void make_room(const std::string& folder, size_t max_bytes, size_t needed) {
  struct File {
    fs::path path;
    fs::file_time_type used;
    uintmax_t bytes;
  };
  std::vector<File> files;
  uintmax_t total = needed;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string extension = entry.path().extension();
    const auto used = entry.last_write_time(error);
    if (extension == kTemporary && fs::file_time_type::clock::now() - used > kForgotten)
      fs::remove(entry.path(), error);
    if (extension != kSuffix) continue;
    files.push_back({entry.path(), used, entry.file_size(error)});
    total += files.back().bytes;
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (size_t i = 0; i < files.size() && total > max_bytes; ++i) {
    if (fs::remove(files[i].path, error)) total -= files[i].bytes;
  }
}

}  // namespace

std::string weight_cache_file(const WeightCacheOptions& options) {
  return str_cat(options.folder, "/", hash128(options.key).hex(), kSuffix);
}

Result<std::unique_ptr<MappedWeights>> MappedWeights::open(const WeightCacheOptions& options) {
  const std::string path = weight_cache_file(options);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return absl::NotFoundError(path);
  std::unique_ptr<MappedWeights> weights(new MappedWeights);
  struct stat info {};
  const bool has_header = ::fstat(file, &info) == 0 && static_cast<size_t>(info.st_size) > kHeaderBytes;
  if (has_header) {
    weights->mapped_bytes_ = static_cast<size_t>(info.st_size);
    weights->mapped_ = map(file, weights->mapped_bytes_);
  }
  ::futimens(file, nullptr);  // used now; may fail in a folder that is only read
  ::close(file);
  if (weights->mapped_ == nullptr)
    return absl::DataLossError(str_cat(path, has_header ? ": cannot map" : ": too short"));
  Header header;
  std::memcpy(&header, weights->mapped_, sizeof header);
  header.key[sizeof header.key - 1] = 0;
  if (header.magic != kMagic || options.key != header.key)
    return absl::DataLossError(str_cat(path, ": not a file of these weights"));
  weights->bytes_ = weights->mapped_bytes_ - kHeaderBytes;
  const Hash128 hash = hash_of(weights->mapped_ + kHeaderBytes, weights->bytes_);
  if (header.bytes != weights->bytes_ || hash != Hash128{header.hash_low, header.hash_high})
    return absl::DataLossError(str_cat(path, ": damaged"));
  return weights;
}

MappedWeights::~MappedWeights() {
  if (mapped_ != nullptr) ::munmap(mapped_, mapped_bytes_);
}

const std::byte* MappedWeights::place(size_t bytes, const Fill& fill) {
  const size_t taken = round_up(bytes, kAlignment);
  if (mismatched_ || taken > bytes_ - at_) {
    mismatched_ = true;
    return rest_.place(bytes, fill);
  }
  at_ += taken;
  return mapped_ + kHeaderBytes + at_ - taken;
}

Result<std::unique_ptr<WeightWriter>> WeightWriter::create(const WeightCacheOptions& options) {
  if (options.key.size() >= sizeof(Header::key)) return absl::InvalidArgumentError("weight cache: key too long");
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
  make_room(options_.folder, options_.max_bytes, kHeaderBytes + bytes_);
  const size_t all = kHeaderBytes + bytes_;
  if (::ftruncate(file_, static_cast<off_t>(all)) != 0) return failed(temporary_, "cannot write");
  std::byte* const mapped = map(file_, all);
  if (mapped == nullptr) return failed(temporary_, "cannot map");
  const Hash128 hash = hash_of(mapped + kHeaderBytes, bytes_);
  ::munmap(mapped, all);
  Header header;
  header.bytes = bytes_;
  header.hash_low = hash.low, header.hash_high = hash.high;
  options_.key.copy(header.key, sizeof header.key - 1);
  if (Status status = write(&header, sizeof header, 0); !status.ok()) return status;
  if (::fsync(file_) != 0) return failed(temporary_, "cannot write");
  if (::rename(temporary_.c_str(), weight_cache_file(options_).c_str()) != 0)
    return failed(temporary_, "cannot rename");
  ::close(file_);
  file_ = -1;
  return ok_status();
}

}  // namespace rerank::engine::cpu
