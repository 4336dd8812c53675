#include "base/mapped_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank {
namespace {

Status errno_status(const std::string& path, const char* what) {
  const std::string message = str_cat(path, ": ", what, ": ", std::strerror(errno));
  if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError(message);
  if (errno == EACCES || errno == EPERM) return absl::PermissionDeniedError(message);
  return absl::InvalidArgumentError(message);
}

// A descriptor that closes itself.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Opens a regular file and says what it is. O_NONBLOCK: opening a FIFO would wait for somebody who writes into it.
Result<File> open_regular(const std::string& path, struct stat& info) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) return errno_status(path, "cannot open");
  if (::fstat(file.fd(), &info) != 0) return errno_status(path, "cannot stat");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(str_cat(path, ": not a regular file"));
  return file;
}

// Addresses of a mapped file, as the handler of SIGBUS sees them. Never freed, but used again.
struct Range {
  std::atomic<uintptr_t> begin = 0, end = 0;  // 0: not in use
  std::atomic<bool> lost = false;             // the file's bytes could not be read
  Range* next = nullptr;
};

std::atomic<Range*> ranges = nullptr;
std::mutex ranges_mutex;  // of those who take and return ranges; the handler takes no lock
struct sigaction earlier_action;

// Replaces what is left of the mapping, so that a file that was cut leaves one area behind and not one for each page.
bool replace_by_zeros(uintptr_t address) {
  for (Range* range = ranges.load(std::memory_order_acquire); range != nullptr; range = range->next) {
    const uintptr_t end = range->end.load(std::memory_order_acquire);
    if (address < range->begin.load(std::memory_order_acquire) || address >= end) continue;
    const uintptr_t page = address & ~(static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE)) - 1);
    range->lost.store(true, std::memory_order_release);
    return ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
  }
  return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const bool replaced = replace_by_zeros(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = error;
  if (replaced) return;
  if ((earlier_action.sa_flags & SA_SIGINFO) != 0) return earlier_action.sa_sigaction(signal, info, context);
  if (earlier_action.sa_handler != SIG_DFL && earlier_action.sa_handler != SIG_IGN)
    return earlier_action.sa_handler(signal);
  ::signal(signal, SIG_DFL);  // the instruction is tried again, and ends the process
}

void handle_bus_errors() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &earlier_action);
  });
}

Range* take_range(const void* data, size_t size) {
  const std::lock_guard lock(ranges_mutex);
  Range* range = ranges.load();
  while (range != nullptr && range->end.load() != 0) range = range->next;
  const bool made = range == nullptr;
  if (made) range = new Range{.next = ranges.load()};
  range->lost = false;
  range->begin = reinterpret_cast<uintptr_t>(data);
  range->end.store(reinterpret_cast<uintptr_t>(data) + size, std::memory_order_release);
  if (made) ranges.store(range, std::memory_order_release);
  return range;
}

}  // namespace

// What there is of a file that is not empty.
struct MappedFile::Mapping {
  Mapping(std::string name, File opened, const struct stat& info, void* at, size_t bytes)
      : path(std::move(name)),
        file(std::move(opened)),
        time(info.st_mtim),
        data(at),
        size(bytes),
        range(take_range(at, bytes)) {}
  ~Mapping() {
    ::munmap(data, size);
    const std::lock_guard lock(ranges_mutex);
    range->begin = 0;
    range->end = 0;
  }

  const std::string path;
  const File file;  // the file itself, whatever has its name now
  std::mutex mutex;
  timespec time;         // of modification, when the bytes were last known to be the same; guarded by mutex
  bool changed = false;  // guarded by mutex
  void* const data;
  const size_t size;
  Range* const range;
};

Result<MappedFile> MappedFile::open(const std::string& path) {
  handle_bus_errors();
  struct stat info {};
  ASSIGN_OR_RETURN(auto file, open_regular(path, info));
  const size_t size = static_cast<size_t>(info.st_size);
  if (size == 0) return MappedFile(nullptr);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (data == MAP_FAILED) return errno_status(path, "cannot map");
  return MappedFile(std::make_unique<Mapping>(path, std::move(file), info, data, size));
}

MappedFile::MappedFile(std::unique_ptr<Mapping> mapping)
    : data_(mapping ? static_cast<const std::byte*>(mapping->data) : nullptr),
      size_(mapping ? mapping->size : 0),
      mapping_(std::move(mapping)) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapping_(std::move(other.mapping_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  return *this;
}

MappedFile::~MappedFile() = default;

Status MappedFile::check(const std::function<bool()>& unchanged) const {
  if (!mapping_) return ok_status();
  Mapping& m = *mapping_;
  struct stat now {};
  const bool known = ::fstat(m.file.fd(), &now) == 0;
  const std::lock_guard lock(m.mutex);
  const bool same_size = known && static_cast<size_t>(now.st_size) == m.size;
  const bool same_time = now.st_mtim.tv_sec == m.time.tv_sec && now.st_mtim.tv_nsec == m.time.tv_nsec;
  if (!m.changed && same_size && !same_time && !m.range->lost && unchanged()) m.time = now.st_mtim;
  const bool still = now.st_mtim.tv_sec == m.time.tv_sec && now.st_mtim.tv_nsec == m.time.tv_nsec;
  m.changed = m.changed || !same_size || !still || m.range->lost;
  if (!m.changed) return ok_status();
  return absl::UnavailableError(str_cat(m.path,
                                        ": this file was written to while it was in use: start again, and put new "
                                        "files in place by renaming them"));
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
  struct stat info {};
  ASSIGN_OR_RETURN(auto file, open_regular(path, info));
  const size_t size = static_cast<size_t>(info.st_size);
  if (size > max_bytes)
    return absl::OutOfRangeError(str_cat(path, ": ", size, " bytes, more than the limit of ", max_bytes));
  std::string text(size, '\0');
  for (size_t at = 0; at < text.size();) {
    const ssize_t bytes = ::read(file.fd(), text.data() + at, text.size() - at);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return errno_status(path, "cannot read");
    if (bytes == 0) text.resize(at);  // it became shorter
    at += static_cast<size_t>(bytes);
  }
  return text;
}

}  // namespace rerank
