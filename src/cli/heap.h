// Gives memory back to the system that large requests have left in the allocator.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace rerank::cli {

// A thread that looks every five seconds. Memory that was free at two looks in a row, more than 32 MiB, is given back:
// the allocator would keep it for ever, spread over the heaps of many threads. What a busy engine frees and takes again
// is in use at one of the looks.
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

}  // namespace rerank::cli
