// CUDA graphs: a batch's launches, recorded once and started as one. Where kernels are short the host needs longer to
// start them one by one than the device to run them.
//
// A graph holds the arguments it was recorded with: it fits batches of one class (batch_input.h) in one slot (slot.h),
// as long as buffers lie where they lay.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/cuda/device.h"

namespace rerank::engine::cuda {

class Graph {
 public:
  // Records what body() starts on the stream; nothing of it runs. Body may neither wait nor take memory. Whatever is
  // thrown, the stream is as before.
  template <class Body>
  Graph(cudaStream_t stream, const Body& body) {
    // Other threads, with engines of their own, may go on calling what a capture cannot hold.
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a graph");
    cudaGraph_t graph = nullptr;
    try {
      body();
    } catch (...) {
      if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) (void)cudaGraphDestroy(graph);
      (void)cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph), "recording a graph");
    const cudaError_t made = cudaGraphInstantiate(&executable_, graph, 0);
    (void)cudaGraphDestroy(graph);
    check(made, "making a graph");
  }
  ~Graph() { (void)cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(executable_, stream), "starting a graph"); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

// The graphs of an engine, by class of batch.
class Graphs {
 public:
  // Rows that graphs are used for (about 40 classes of an engine of 384 dimensions), with some classes of sequences
  // each. A graph of a few hundred launches takes some hundred kilobytes of the host and of the device.
  static constexpr size_t kMost = 128;

  struct Class {
    uint32_t slot = 0, rows = 0, sequences = 0, tile_queries = 0, marked = 0;
    auto operator<=>(const Class&) const = default;
  };

  // The class's graph; null where the batch's launches are to be started one by one: when its class is met for the
  // first time, so that what is done only once (tuning, loading kernels) is not recorded; and where recording has
  // failed. addresses: of all buffers that launches are given.
  template <class Body>
  const Graph* find(const Class& of, std::vector<const void*> addresses, cudaStream_t stream, const Body& body) {
    const auto [found, fresh] = entries_.try_emplace(of);
    Entry& entry = found->second;
    entry.used = ++uses_;
    if (fresh) {
      make_room();
      return nullptr;
    }
    if (entry.addresses == addresses) return entry.graph.get();
    entry.graph.reset();  // of buffers that are gone: what was started with them is done
    entry.addresses = std::move(addresses);
    try {
      entry.graph = std::make_unique<Graph>(stream, body);
    } catch (const Failure&) {  // if the device has failed, so will the launches
    }
    return entry.graph.get();
  }

  void forget() { entries_.clear(); }

 private:
  struct Entry {
    std::unique_ptr<Graph> graph;  // null: not recorded with these addresses, or not possible
    std::vector<const void*> addresses;
    uint64_t used = 0;
  };

  // The least recently used leaves: it is none of the batches in flight.
  void make_room() {
    if (entries_.size() <= kMost) return;
    entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                    [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  }

  std::map<Class, Entry> entries_;
  uint64_t uses_ = 0;
};

}  // namespace rerank::engine::cuda
