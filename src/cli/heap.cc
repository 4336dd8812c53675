#include "cli/heap.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace rerank::cli {
namespace {

constexpr auto kLook = std::chrono::seconds(5);
constexpr size_t kWorthIt = size_t{64} << 20;

size_t free_bytes() {
#ifdef __GLIBC__
  return mallinfo2().fordblks;
#else
  return 0;
#endif
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
  size_t before = 0, trimmed = 0;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return stopping_; })) {
    const size_t now = free_bytes();
    // What was free after the last time is counted as free still, though its pages are gone.
    trimmed = std::min(trimmed, now);
    if (std::min(before, now) > trimmed + kWorthIt) {
      give_back();
      trimmed = free_bytes();
    }
    before = now;
  }
}

}  // namespace rerank::cli
