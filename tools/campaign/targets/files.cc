#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "targets/targets.h"

namespace rerank::campaign {

std::string files_folder() {
  // Removed at the end of the program.
  struct Folder {
    Folder() {
      const std::filesystem::path memory = "/dev/shm";
      std::error_code error;
      path = (std::filesystem::exists(memory, error) ? memory : std::filesystem::temp_directory_path(error)) /
             ("rerankd-campaign-" + std::to_string(::getpid()));
      std::filesystem::create_directories(path, error);
    }
    ~Folder() {
      std::error_code error;
      std::filesystem::remove_all(path, error);
    }
    std::filesystem::path path;
  };
  static const Folder folder;
  return folder.path.string();
}

std::string file_with(const std::string& name, std::string_view bytes) {
  // Files stay open, and are made anew only where a target has removed or replaced them.
  static std::map<std::string, int> open_files;
  std::string path = files_folder() + "/" + name;
  const auto [place, is_new] = open_files.try_emplace(name, -1);
  int& file = place->second;
  struct stat info {};
  if (!is_new && (::fstat(file, &info) != 0 || info.st_nlink == 0)) {
    ::close(file);
    file = -1;
  }
  if (file < 0) file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  require(file >= 0);
  require(::pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  require(::ftruncate(file, static_cast<off_t>(bytes.size())) == 0);
  return path;
}

}  // namespace rerank::campaign
