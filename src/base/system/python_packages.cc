#include "base/system/python_packages.h"

namespace rerank {

namespace fs = std::filesystem;

std::vector<fs::path> python_packages(const fs::path& root) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root / "lib", error)) {
    if (!entry.path().filename().string().starts_with("python3")) continue;
    for (const char* folder : {"site-packages", "dist-packages"}) {
      if (fs::is_directory(entry.path() / folder, error)) found.push_back(entry.path() / folder);
    }
  }
  return found;
}

}  // namespace rerank
