// What the program and its TorchScript plugin say to each other: plain C, so that libtorch's headers, exceptions and
// threads stay on the plugin's side, and a program without libtorch builds and runs.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct RerankdTorchModule;

// Of what is said here; a plugin left over from another build has another one.
enum { kRerankdTorchInterface = 2 };

// Bits of RerankdTorchInfo::inputs, and positions in the inputs of run().
enum { kRerankdTorchIds = 0, kRerankdTorchMask = 1, kRerankdTorchSegments = 2, kRerankdTorchPositions = 3 };

struct RerankdTorchInfo {
  unsigned inputs;  // bit i: input i is wanted
  size_t labels;    // 1 or 2
};

struct RerankdTorchApi {
  uint64_t interface_version;  // kRerankdTorchInterface
  const char* version;         // of libtorch
  // Null on failure, with what is wrong in `error`, which is always terminated. `threads` are libtorch's for the whole
  // process.
  RerankdTorchModule* (*open)(const char* path, int threads, RerankdTorchInfo* info, char* error, size_t error_bytes);
  // logits[rows, labels] of inputs [rows, length]. False on failure. One thread at a time.
  bool (*run)(RerankdTorchModule* module, const int64_t* const inputs[4], int64_t rows, int64_t length, float* logits,
              char* error, size_t error_bytes);
  void (*close)(RerankdTorchModule* module);
};

// The symbol that the program looks up: `const RerankdTorchApi* rerankd_torch_api()`.
const RerankdTorchApi* rerankd_torch_api();
}
