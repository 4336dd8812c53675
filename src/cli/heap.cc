#include "cli/heap.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>

namespace rerank::cli {
namespace {

constexpr auto kLook = std::chrono::seconds(5);
constexpr size_t kWorthIt = size_t{32} << 20;

size_t free_bytes() {
#ifdef __GLIBC__
  return mallinfo2().fordblks;
#else
  return 0;
#endif
}

// Memory of the process that is there (proc(5): statm).
size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

void give_back() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace

HeapTrimmer::HeapTrimmer() : thread_([this] { run(); }) {}

HeapTrimmer::~HeapTrimmer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void HeapTrimmer::run() {
  size_t before = 0, after = 0;  // what was free at the last look; what was there once it had been given back
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return stopping_; })) {
    const size_t now = free_bytes(), resident = resident_bytes();
    // Free memory may be given back already: its pages come and go between two looks. What is there tells.
    after = std::min(after, resident);
    if (std::min(before, now) > kWorthIt && resident > after + kWorthIt) {
      give_back();
      after = resident_bytes();
    }
    before = now;
  }
}

}  // namespace rerank::cli
