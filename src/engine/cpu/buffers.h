// Memory of the CPU engine: 64-byte aligned, on huge pages where the kernel grants them, not initialised twice.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <sys/mman.h>

namespace rerank::engine::cpu {

inline constexpr size_t kAlignment = 64;       // a cache line, and the widest vector
inline constexpr size_t kHugePage = 2u << 20;  // from this size on, ask for huge pages

inline size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// A block of trivially copyable values, zeroed when it is allocated.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) { resize(size); }

  // Makes room for `size` values; earlier contents are lost. Memory that is large enough is kept, with what is in it.
  void resize(size_t size) {
    if (size > capacity_) {
      const size_t bytes = size * sizeof(T);
      const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
      const size_t allocated = round_up(bytes, alignment);
      void* memory = std::aligned_alloc(alignment, allocated);
      if (memory == nullptr) throw std::bad_alloc();
      if (alignment == kHugePage) ::madvise(memory, allocated, MADV_HUGEPAGE);
      data_.reset(static_cast<T*>(memory));
      capacity_ = allocated / sizeof(T);
      std::memset(memory, 0, allocated);
    }
    size_ = size;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0, capacity_ = 0;
};

// Rows of fp32 with padding: columns up to a whole panel, and a stride that is an odd number of cache lines, so that
// the rows of a tile do not fall into the same cache sets.
class PaddedMatrix {
 public:
  void resize(size_t rows, size_t columns, size_t panel) {
    stride_ = stride_for(columns, panel);
    values_.resize(rows * stride_);
  }
  static size_t stride_for(size_t columns, size_t panel) {
    constexpr size_t kLine = kAlignment / sizeof(float);
    const size_t lines = round_up(round_up(columns, panel), kLine) / kLine;
    return (lines | 1) * kLine;
  }
  float* row(size_t i) { return values_.data() + i * stride_; }
  const float* row(size_t i) const { return values_.data() + i * stride_; }
  size_t stride() const { return stride_; }

 private:
  Buffer<float> values_;
  size_t stride_ = 0;
};

}  // namespace rerank::engine::cpu
