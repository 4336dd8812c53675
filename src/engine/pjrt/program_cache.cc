#include "engine/pjrt/program_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <vector>

#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/cache_folder.h"

namespace rerank::engine::pjrt {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMagic = 0x3154524a50525252;  // "RRRPJRT1": another number where the format changes
constexpr const char* kSuffix = ".pjrt";
constexpr const char* kTemporary = ".compiling";
constexpr size_t kMostFileBytes = size_t{2} << 30;  // of one program; those of large models take 0.1 GB

// The key's text and the program follow it.
struct Header {
  uint64_t magic = kMagic;
  uint64_t hash_low = 0, hash_high = 0;  // of what follows
  uint64_t key_bytes = 0, program_bytes = 0;
  double compile_seconds = 0;
};

}  // namespace

std::string ProgramKey::text() const {
  return str_cat("plugin ", plugin, "\nplatform ", platform, "\ndevice ", device, "\nprogram ", program, "\noptions ",
                 hash128(options).hex(), "\n");
}

std::string ProgramCache::path(const ProgramKey& key) const {
  return str_cat(folder_, "/", hash128(key.text()).hex(), kSuffix);
}

Status ProgramCache::check() const {
  struct stat info {};
  if (::stat(folder_.c_str(), &info) != 0) return ok_status();  // is made by us
  if (!S_ISDIR(info.st_mode)) return absl::InvalidArgumentError(str_cat("--pjrt-cache ", folder_, ": not a folder"));
  if ((info.st_mode & S_IWOTH) != 0)
    return absl::InvalidArgumentError(
        str_cat("--pjrt-cache ", folder_, ": anybody can write into it, and what lies there is run: chmod o-w"));
  return ok_status();
}

bool ProgramCache::has(const ProgramKey& key) const {
  std::error_code error;
  return fs::is_regular_file(path(key), error);
}

Result<CachedProgram> ProgramCache::read(const ProgramKey& key) const {
  const std::string file = path(key);
  ASSIGN_OR_RETURN(const std::string text, read_file(file, kMostFileBytes));
  Header header;
  if (text.size() < sizeof header) return absl::DataLossError(str_cat(file, ": too short"));
  std::memcpy(&header, text.data(), sizeof header);
  const std::string_view rest = std::string_view(text).substr(sizeof header);
  if (header.magic != kMagic) return absl::DataLossError(str_cat(file, ": not a compiled program"));
  if (header.key_bytes > rest.size() || header.program_bytes != rest.size() - header.key_bytes ||
      hash128(rest) != Hash128{header.hash_low, header.hash_high})
    return absl::DataLossError(str_cat(file, ": damaged"));
  if (rest.substr(0, header.key_bytes) != key.text()) return absl::DataLossError(str_cat(file, ": another's"));
  // When it was used last; may fail in a folder that is only read.
  const timespec used[] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW}, {.tv_sec = 0, .tv_nsec = UTIME_OMIT}};
  ::utimensat(AT_FDCWD, file.c_str(), used, 0);
  return CachedProgram{std::string(rest.substr(header.key_bytes)), header.compile_seconds};
}

std::optional<CachedProgram> ProgramCache::find(const ProgramKey& key) const {
  auto program = read(key);
  if (program.ok()) return *std::move(program);
  if (!absl::IsNotFound(program.status()))
    log_warning(str_cat("pjrt engine: ", message_of(program.status()), "; it is passed over, and written anew"));
  return std::nullopt;
}

Status ProgramCache::keep(const ProgramKey& key, const CachedProgram& program) const {
  const std::string text = key.text();
  const size_t all = sizeof(Header) + text.size() + program.bytes.size();
  if (all > std::min(max_bytes_, kMostFileBytes))
    return absl::ResourceExhaustedError(
        str_cat("--pjrt-cache: a program takes ", all, " bytes, more than --pjrt-cache-bytes, or 2 GiB"));
  std::string rest = text + program.bytes;
  const Hash128 hash = hash128(rest);
  const Header header{.hash_low = hash.low,
                      .hash_high = hash.high,
                      .key_bytes = text.size(),
                      .program_bytes = program.bytes.size(),
                      .compile_seconds = program.compile_seconds};
  std::error_code error;
  if (!fs::exists(folder_, error)) {
    fs::create_directories(folder_, error);
    if (!error) fs::permissions(folder_, fs::perms::owner_all, error);
  }
  make_room(folder_, kSuffix, kTemporary, max_bytes_, all);
  static std::atomic<int> writers = 0;
  const std::string temporary = str_cat(path(key), ".", ::getpid(), ".", writers++, kTemporary);
  std::ofstream file(temporary, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header), sizeof header);
  file.write(rest.data(), static_cast<std::streamsize>(rest.size()));
  file.close();
  if (file.fail()) error = std::make_error_code(std::errc::io_error);
  if (!error) fs::rename(temporary, path(key), error);
  if (!error) return ok_status();
  std::error_code ignored;
  fs::remove(temporary, ignored);
  return absl::UnavailableError(str_cat("--pjrt-cache: cannot write ", path(key), ": ", error.message()));
}

Result<std::string> plugin_digest(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::string>* const known = new std::map<std::string, std::string>;
  const std::lock_guard lock(mutex);
  if (const auto found = known->find(path); found != known->end()) return found->second;
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  return known->emplace(path, file.digest().hex()).first->second;
}

std::string device_text(const std::string& platform, const std::string& kind) {
  if (platform != "cpu") return kind;
  std::ifstream file("/proc/cpuinfo");
  std::string line, model;
  FieldHasher features;
  while (std::getline(file, line) && !line.empty()) {  // of the first core
    if (line.starts_with("model name")) model = line.substr(line.find(':') + 1);
    if (line.starts_with("flags") || line.starts_with("Features")) features.add(line);
  }
  return str_cat(kind, model, " ", features.finish().hex());
}

}  // namespace rerank::engine::pjrt
