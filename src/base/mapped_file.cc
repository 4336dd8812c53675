#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/strings.h"

namespace rerank {
namespace {

Status errno_status(const std::string& path, const char* what) {
  const std::string message = str_cat(path, ": ", what, ": ", std::strerror(errno));
  if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError(message);
  if (errno == EACCES || errno == EPERM) return absl::PermissionDeniedError(message);
  return absl::InvalidArgumentError(message);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno_status(path, "cannot open");
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    Status status = errno_status(path, "cannot stat");
    ::close(fd);
    return status;
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return absl::InvalidArgumentError(str_cat(path, ": not a regular file"));
  }
  const size_t size = static_cast<size_t>(info.st_size);
  if (size == 0) {
    ::close(fd);
    return MappedFile(nullptr, 0);
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  Status status = data == MAP_FAILED ? errno_status(path, "cannot map") : ok_status();
  ::close(fd);
  if (!status.ok()) return status;
  return MappedFile(static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Hash128 MappedFile::digest() const {
  constexpr size_t kPiece = 16u << 20;  // whole pages
  FieldHasher hasher;
  for (size_t at = 0; at < size_; at += kPiece) {
    const size_t bytes = std::min(kPiece, size_ - at);
    hasher.add(text().substr(at, bytes));
    ::madvise(const_cast<std::byte*>(data_) + at, bytes, MADV_DONTNEED);
  }
  return hasher.finish();
}

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  auto file = MappedFile::open(path);
  if (!file.ok()) return file.status();
  if (file->bytes().size() > max_bytes) {
    return absl::OutOfRangeError(
        str_cat(path, ": ", file->bytes().size(), " bytes, more than the limit of ", max_bytes));
  }
  return std::string(file->text());
}

}  // namespace rerank
