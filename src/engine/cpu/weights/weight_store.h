// Where packed matrices lie: in this process's own memory, or in a file (weight_cache.h) whose pages processes share.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "engine/cpu/buffers.h"
#include "rerank/status.h"

namespace rerank::engine::cpu {

// Anonymous memory on huge pages, spread over NUMA nodes where there are several; zero.
class WeightMemory {
 public:
  explicit WeightMemory(size_t bytes);  // throws bad_alloc
  ~WeightMemory();
  WeightMemory(WeightMemory&& other) noexcept;
  WeightMemory& operator=(WeightMemory&&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  std::byte* data_ = nullptr;
};

class WeightStore {
 public:
  using Fill = std::function<void(std::byte*)>;
  virtual ~WeightStore() = default;

  // Where the next matrix of `bytes` bytes lies, 64-byte aligned, for as long as this object lives. fill() writes it
  // into zeroed memory; it is not called where it is there already. The same model packed for the same tier asks for
  // the same sizes in the same order.
  virtual const std::byte* place(size_t bytes, const Fill& fill) = 0;

  // Whether what was read so far was what was placed; a file may have been written to by others. Thread-safe.
  virtual Status check() const { return ok_status(); }
};

class OwnWeights : public WeightStore {
 public:
  const std::byte* place(size_t bytes, const Fill& fill) override {
    const std::byte* const data = memory_.emplace_back(bytes).data();
    fill(memory_.back().data());
    return data;
  }

 private:
  std::vector<WeightMemory> memory_;
};

}  // namespace rerank::engine::cpu
