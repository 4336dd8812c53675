// What the parts of the emulated runtime share.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cuda_runtime.h"
#include "emulation.h"

// Work in the order in which it was captured; its arguments are those it was captured with.
struct CUgraph_st {
  std::vector<std::function<void()>> work;
};

struct CUstream_st {
  int device = 0;
  std::deque<std::function<void()>> work;
  std::unique_ptr<CUgraph_st> graph = nullptr;  // while it is captured
  bool spoilt = false;                          // the capture: something was called that it cannot hold
};

namespace emulation {

struct Block {
  size_t bytes;
  int device;  // -1: of the host, pinned
  void* mapped;
  size_t mapped_bytes;
};

// Everything, behind one lock: what two threads do happens one after another.
struct World {
  std::recursive_mutex lock;
  Settings settings;
  std::map<void*, Block> blocks;
  std::map<int, size_t> used;
  std::map<int, CUstream_st> null_streams;
  std::vector<CUstream_st*> streams;
  std::unordered_map<const void*, size_t> shared;
  size_t calls = 0, refusals = 0;
  double clock = 0;  // in microseconds
};

World& world();

// Of this thread.
int& current_device();
cudaError_t remember(cudaError_t error);

// What may not be called while this thread captures a stream: the capture is lost.
cudaError_t outside_capture();

CUstream_st& stream_of(cudaStream_t stream);
// Does all work that is on the stream.
void finish(CUstream_st& stream);

}  // namespace emulation
