#include "base/system/cache_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>
#include <vector>

namespace rerank {
namespace {

namespace fs = std::filesystem;

constexpr auto kForgotten = std::chrono::hours(24);  // a file still being written is not older

}  // namespace

void make_room(const std::string& folder, std::string_view suffix, std::string_view temporary, size_t max_bytes,
               size_t needed) {
  struct File {
    fs::path path;
    std::pair<time_t, long> used;
    uintmax_t bytes;
  };
  std::vector<File> files;
  uintmax_t total = needed;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string extension = entry.path().extension();
    if (extension == temporary && fs::file_time_type::clock::now() - entry.last_write_time(error) > kForgotten)
      fs::remove(entry.path(), error);
    struct stat info {};
    if (extension != suffix || ::stat(entry.path().c_str(), &info) != 0) continue;
    // Using one sets this time, not that of writing, by which others see that it has changed.
    files.push_back({entry.path(), {info.st_atim.tv_sec, info.st_atim.tv_nsec}, static_cast<uintmax_t>(info.st_size)});
    total += files.back().bytes;
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (size_t i = 0; i < files.size() && total > max_bytes; ++i) {
    if (fs::remove(files[i].path, error)) total -= files[i].bytes;
  }
}

}  // namespace rerank
