// Where Python's pip puts packages, some of which have libraries that are loaded at run time.
#pragma once

#include <filesystem>
#include <vector>

namespace rerank {

// Those that are there of <root>/lib/python3*/site-packages, and of dist-packages, as Debian has them. `root`: an
// environment, or /usr.
std::vector<std::filesystem::path> python_packages(const std::filesystem::path& root);

}  // namespace rerank
