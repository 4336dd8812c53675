// Makes large allocations of this program fail while asked to. Include in one source of a test only: it replaces
// operator new.
#pragma once

#include <atomic>
#include <cstdlib>
#include <new>

namespace rerank {

inline std::atomic<size_t> largest_allocation{SIZE_MAX};

// While it lives, allocations above `bytes` throw std::bad_alloc, on all threads.
class ScarceMemory {
 public:
  explicit ScarceMemory(size_t bytes) { largest_allocation = bytes; }
  ~ScarceMemory() { largest_allocation = SIZE_MAX; }
};

}  // namespace rerank

void* operator new(size_t size) {
  void* memory = size > rerank::largest_allocation ? nullptr : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
