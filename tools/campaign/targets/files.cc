#include <unistd.h>

#include <filesystem>
#include <fstream>

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
  std::string path = files_folder() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace rerank::campaign
