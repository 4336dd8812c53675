// CUDA on the CPU, for tests: enough of the runtime, of cuBLASLt and of the instructions that the kernels use for
// src/engine/cuda to be compiled by the host's compiler and to run anywhere. What it does is written from NVIDIA's
// documents (CUDA C++ programming guide, PTX ISA, cuBLAS), not from what the kernels expect.
//
// Blocks run one after another. Threads of a block are fibers: a warp runs until it waits, in one of two orders. Device
// memory ends at a page that may not be touched, and begins full of NaN. This header is how tests steer it.
//
// What it cannot show: races inside a warp or between warps that no order brings out, kernels that read the host's
// memory, rounding of the tensor cores, and any speed.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace emulation {

// How the freedom that CUDA leaves is used.
enum class Order {
  kLate,   // warps and lanes rise; work on streams, and copies into shared memory, are done when they are waited for
  kEarly,  // warps and lanes fall; everything is done at once
  kCopiesLate,  // as kLate, but kernels are done at once: streams of copies are the last to move
};

struct Settings {
  Order order = Order::kLate;
  int devices = 1;
  int compute_capability = 90;
  int processors = 1;               // few, so that small batches fill them
  size_t memory = size_t{4} << 30;  // of each device, in bytes
  // Counted down by calls that can fail, and by allocations; the one that reaches 0 fails. -1: none does.
  int calls_to_failure = -1, allocations_to_failure = -1;
  bool failure_stays = false;  // ... and all later calls on that device fail too
  int failed_device = -1;      // out of order, as after a failure that stays
  int driver_version = 13000;
  std::function<void()> before_waiting;  // called by who is about to wait for a stream; others go on meanwhile
  // What cuBLASLt offers for a product, best guess first: how long each algorithm takes by the device's clock, and
  // which of them cannot run after all.
  std::vector<double> algorithms_us = {1};
  std::vector<size_t> broken_algorithms = {};
  bool wrong_wgmma = false;     // as if operands lay otherwise than their descriptors say
  bool refuses_scales = false;  // of rows and columns of FP8 products, on compute capability 9.0 too
};

// Products run so far, by algorithm; and how often cuBLASLt was asked for algorithms.
struct Products {
  std::vector<size_t> runs;
  size_t questions = 0;
};

// Graphs so far, and executable ones that there are now.
struct Graphs {
  size_t captured = 0, launched = 0, kept = 0;
};

__attribute__((visibility("default"))) Settings& settings();
// Bytes that are allocated now, on all devices; calls so far that can fail; allocations for which there was no memory.
__attribute__((visibility("default"))) size_t allocated();
__attribute__((visibility("default"))) size_t calls();
__attribute__((visibility("default"))) size_t refusals();
__attribute__((visibility("default"))) Products& products();
__attribute__((visibility("default"))) Graphs& graphs();

}  // namespace emulation
