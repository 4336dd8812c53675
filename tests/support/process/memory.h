// How much memory this process, or another, has needed at most.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>

namespace rerank {

// A figure of /proc/PID/status in bytes: "VmRSS" (now) or "VmHWM" (the most so far). 0 when it cannot be read.
inline size_t memory_figure(const std::string& name, pid_t pid = getpid()) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; in >> word;) {
    size_t kilobytes = 0;
    if (word == name + ":" && in >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

// How much the process's memory has grown at most since construction.
class MemoryGrowth {
 public:
  explicit MemoryGrowth(pid_t pid = getpid()) : pid_(pid) {
    std::ofstream("/proc/" + std::to_string(pid) + "/clear_refs") << "5";  // VmHWM starts anew
    before_ = memory_figure("VmHWM", pid_);
  }
  size_t bytes() const {
    const size_t most = memory_figure("VmHWM", pid_);
    return most > before_ ? most - before_ : 0;
  }

 private:
  pid_t pid_;
  size_t before_ = 0;
};

}  // namespace rerank
