// librerank_cuda.so: found and loaded, and what can be said of it, and of this machine, without a GPU.
#pragma once

#include <string>
#include <vector>

#include "engine/cuda/plugin.h"
#include "rerank/status.h"

namespace rerank::engine {

struct CudaPlaces {
  std::vector<std::string> libraries;       // paths of librerank_cuda.so, best first
  std::vector<std::string> cublas_folders;  // of cuBLASLt, where the loader's own places do not have it
};

// Next to the program, where it is installed, where it was built; cuBLASLt of a CUDA toolkit, or of the PyTorch (or
// nvidia-cublas) wheel of the Python environment that the program is installed in.
CudaPlaces cuda_places();

// The first of the libraries that is there. Unimplemented where there is none, it cannot be loaded or is of another
// major version: what is missing, where it was looked for, and what to do. What is loaded stays so. Functions that a
// library of an earlier minor version does not have are null.
Result<const cuda::Plugin*> load_cuda_library(const CudaPlaces& places);

// load_cuda_library(cuda_places()), once per process. Thread-safe.
const Result<const cuda::Plugin*>& cuda_library();

// "CUDA 13.0 for sm_80, sm_89, sm_90a; cuBLASLt 13.1.0 (/usr/local/cuda/lib64/libcublasLt.so.13)"
std::string about_cuda_library(const cuda::Plugin& plugin);

}  // namespace rerank::engine
