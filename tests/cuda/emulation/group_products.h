// wgmma: products of the four warps of a group, with a right operand in shared memory (PTX ISA, "Asynchronous
// warpgroup level matrix instructions").
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulation {

struct Operand {
  uint64_t descriptor;
  bool transposed;  // it lies by its rows (MN-major)
};

// PTX ISA, "Matrix descriptor format": address, leading and stride byte offsets, each / 16, and a swizzle of 128 bytes.
uint64_t describe_operand(const void* shared, uint32_t leading, uint32_t stride);

// What a lane has begun: c [8 columns x parts] of its two rows of the left operand.
struct GroupProduct {
  float* c;
  int parts;
  bool add;
  Operand b;
  float (*value)(uint16_t);
  uint16_t rows[2][16];
};

// wgmma.fence; wgmma.commit_group and wgmma.wait_group 0.
void begin_products();
void end_products();
// fence.proxy.async, of the copies of this thread that it has waited for.
void show_copies();

template <class T>
void group_multiply_add(float* c, int parts, const unsigned (&a)[4], Operand b, bool add);

}  // namespace emulation
