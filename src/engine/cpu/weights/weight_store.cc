#include "engine/cpu/weights/weight_store.h"

#include <utility>

#include "engine/cpu/topology.h"

namespace rerank::engine::cpu {

WeightMemory::WeightMemory(size_t bytes) {
  const size_t alignment = bytes >= kHugePage ? kHugePage : 4096;
  const size_t wanted = round_up(bytes, alignment);
  mapped_bytes_ = wanted + (alignment == kHugePage ? kHugePage : 0);  // room to begin at a huge page
  void* memory =
      ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mapped_ = static_cast<std::byte*>(memory);
  data_ = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(memory), alignment));
  if (alignment == kHugePage) ::madvise(data_, wanted, MADV_HUGEPAGE);
  if (nodes().size() > 1) interleave(data_, wanted, nodes());
}

WeightMemory::~WeightMemory() {
  if (mapped_ != nullptr) ::munmap(mapped_, mapped_bytes_);
}

WeightMemory::WeightMemory(WeightMemory&& other) noexcept
    : mapped_(std::exchange(other.mapped_, nullptr)), mapped_bytes_(other.mapped_bytes_), data_(other.data_) {}

}  // namespace rerank::engine::cpu
