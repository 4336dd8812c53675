// Threads of a block as fibers, and what they do together.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "group_products.h"

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;

void __syncthreads();

namespace emulation {

inline constexpr int kLanes = 32;

// body() once per thread of every block. `shared` bytes of dynamic shared memory.
void run_grid(dim3 grid, dim3 block, size_t shared, const std::function<void()>& body);

void* dynamic_shared_memory();

// Called by all 32 lanes of a warp with the same `compute`: it gets what each lane has brought, and fills it in.
using Collective = void (*)(void* const (&lanes)[kLanes]);
void together(Collective compute, void* mine);

// What a thread has under way into shared memory.
// Not `there`: zeros.
void begin_copy(void* to, const void* from, size_t bytes, bool there);
void commit_copies();
void wait_for_copies(size_t groups_left);

// A number of shared memory by its place from the beginning, for wgmma: what cp.async has written there must have been
// shown to it (show_copies) and be complete.
const void* shared_bytes(size_t place, size_t bytes);
size_t place_in_shared(const void* address);
// Products of wgmma that this thread has begun and not waited for.
std::vector<GroupProduct>& begun_products();

[[noreturn]] void misuse(const char* what);

}  // namespace emulation
