#include "base/system/memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

namespace rerank {
namespace {

// What the control group allows this process, and those above it; SIZE_MAX where none does.
size_t cgroup_memory() {
  size_t least = SIZE_MAX;
  const auto look = [&](const std::string& file) {
    size_t bytes = 0;
    if (std::ifstream(file) >> bytes) least = std::min(least, bytes);  // "max" is no number
  };
  look("/sys/fs/cgroup/memory.max");
  look("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    for (std::string group = line.substr(3); group.size() > 1; group.resize(group.rfind('/')))
      look("/sys/fs/cgroup" + group + "/memory.max");
  }
  return least;
}

}  // namespace

size_t usable_memory() {
  const size_t pages = static_cast<size_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  const size_t memory = pages * static_cast<size_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  return std::min(memory, cgroup_memory());
}

}  // namespace rerank
