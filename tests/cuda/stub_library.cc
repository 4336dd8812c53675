// A librerank_cuda.so of another version (STUB_MAJOR, STUB_MINOR), as large as STUB_BYTES says; with STUB_CUBLASLT it
// needs a cuBLASLt that its run path does not have.
#include <cstdio>

#include "engine/cuda/plugin.h"

#ifdef STUB_CUBLASLT
extern "C" int stub_of_cublaslt();
#endif

namespace {

using rerank::engine::cuda::Code;
using rerank::engine::cuda::Plugin;
using rerank::engine::cuda::Type;

Code about(char* text, size_t size, char*, size_t) {
  std::snprintf(text, size, "a stub of %d.%d", STUB_MAJOR, STUB_MINOR);
  return Code::kOk;
}
Code devices(int* count, char*, size_t) {
  *count = 1;
  return Code::kOk;
}
Code describe(int, Type, char* text, size_t size, char*, size_t) {
  std::snprintf(text, size, "Stub, sm_90, 1 GiB");
  return Code::kOk;
}

const Plugin plugin{.struct_size = STUB_BYTES,
                    .major = STUB_MAJOR,
                    .minor = STUB_MINOR,
                    .about = about,
                    .devices = devices,
                    .describe = describe};

}  // namespace

extern "C" const Plugin* rerank_cuda_plugin() {
#ifdef STUB_CUBLASLT
  (void)stub_of_cublaslt();
#endif
  return &plugin;
}
