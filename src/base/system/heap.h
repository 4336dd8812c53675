// Gives memory back to the system that large requests have left in the allocator.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

namespace rerank {

// The allocator and the process at one moment. Bytes.
struct HeapLook {
  size_t in_use = 0;    // handed out by the allocator
  size_t free = 0;      // kept by it, whether its pages are there or were given back (mallinfo2's fordblks counts both)
  size_t resident = 0;  // pages of the whole process that are there
};

// When giving back pays: more than 32 MiB were free at two looks in a row (what a busy engine frees and takes again is
// in use at one of them), and the process has 32 MiB more that is not in use than when it last gave back. One thread.
class HeapRule {
 public:
  // True where the memory should be given back now; gave_back() is called after it was.
  bool look(const HeapLook& now);
  void gave_back(const HeapLook& now);

 private:
  size_t free_before_ = 0;
  size_t unused_ =
      0;  // resident but not in use (code, stacks, small free pieces) at the last giving back, or less since
};

// Sets, for the whole process, from which size glibc's allocator takes memory from the system for one allocation alone,
// and how much it keeps free at the end of each thread's heap: 8 MiB each. Left alone, both follow the largest
// allocation freed so far, up to 32 and 64 MiB, and malloc_trim(3) does not shorten the heaps of threads: after a few
// bodies of 6 MB a process kept 80 MB for good. Call it before threads start.
void bound_kept_memory();

// A thread that looks every five seconds, and gives back by that rule: the allocator would keep the memory for ever,
// spread over the heaps of many threads. Does nothing where the allocator is not glibc's.
class HeapTrimmer {
 public:
  HeapTrimmer();
  ~HeapTrimmer();
  HeapTrimmer(const HeapTrimmer&) = delete;
  HeapTrimmer& operator=(const HeapTrimmer&) = delete;

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace rerank
