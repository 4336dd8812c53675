#include "base/system/heap.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <utility>

namespace rerank {
namespace {

constexpr auto kLook = std::chrono::seconds(5);
constexpr int kKeptPerHeap = 8 << 20;
constexpr size_t kWorthIt = size_t{32} << 20;

// Memory of the process that is there (proc(5): statm).
size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

HeapLook look_at_heap() {
  HeapLook look{.resident = resident_bytes()};
#ifdef __GLIBC__
  const auto figures = mallinfo2();
  look.in_use = figures.uordblks + figures.hblkhd;
  look.free = figures.fordblks;
#endif
  return look;
}

void give_back() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

size_t unused(const HeapLook& look) { return look.resident - std::min(look.resident, look.in_use); }

}  // namespace

bool HeapRule::look(const HeapLook& now) {
  unused_ = std::min(unused_, unused(now));
  return std::min(std::exchange(free_before_, now.free), now.free) > kWorthIt && unused(now) > unused_ + kWorthIt;
}

void HeapRule::gave_back(const HeapLook& now) { unused_ = unused(now); }

void bound_kept_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, kKeptPerHeap);
  mallopt(M_TRIM_THRESHOLD, kKeptPerHeap);
#endif
}

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
  HeapRule rule;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return stopping_; })) {
    if (!rule.look(look_at_heap())) continue;
    give_back();
    rule.gave_back(look_at_heap());
  }
}

}  // namespace rerank
