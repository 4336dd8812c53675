// A plugin for --engine torchscript without libtorch, built twice: as this version speaks, and as another one would. It
// takes "PK" files that say what to do: "PK refuse" is a file that libtorch cannot serve, "PK fail" one that fails on
// token 297; every other one scores a sequence by the sum of its ids.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "engine/torchscript/plugin.h"

struct RerankdTorchModule {
  bool fails;
};

namespace {

RerankdTorchModule* open(const char* path, int, RerankdTorchInfo* info, char* error, size_t error_bytes) {
  char text[64] = "";
  if (FILE* file = std::fopen(path, "rb")) {
    const size_t length = std::fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    std::fclose(file);
  }
  if (std::strstr(text, "refuse") != nullptr) {
    std::snprintf(error, error_bytes, "argument pixel_values of forward(): not known");
    return nullptr;
  }
  *info = {1u << kRerankdTorchIds | 1u << kRerankdTorchMask, 1};
  return new RerankdTorchModule{std::strstr(text, "fail") != nullptr};
}

bool run(RerankdTorchModule* module, const int64_t* const inputs[4], int64_t rows, int64_t length, float* logits,
         char* error, size_t error_bytes) {
  const int64_t* ids = inputs[kRerankdTorchIds];
  if (module->fails && std::find(ids, ids + rows * length, 297) != ids + rows * length) {
    std::snprintf(error, error_bytes, "not enough memory");
    return false;
  }
  for (int64_t r = 0; r < rows; ++r) {
    logits[r] = 0;
    for (int64_t i = r * length; i < (r + 1) * length; ++i)
      logits[r] += static_cast<float>(ids[i] * inputs[kRerankdTorchMask][i]);
  }
  return true;
}

void close(RerankdTorchModule* module) { delete module; }

const RerankdTorchApi kApi = {kRerankdTorchInterface + FAKE_TORCHSCRIPT_OFFSET, "0.0-fake", open, run, close};

}  // namespace

extern "C" __attribute__((visibility("default"))) const RerankdTorchApi* rerankd_torch_api() { return &kApi; }
