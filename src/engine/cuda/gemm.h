// Matrix products through cuBLASLt: y [m, n] = x [m, k] W^T + b, W [n, k]; fp32 sums; T in and out.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>

#include "engine/cuda/device.h"

namespace rerank::cuda {

enum class Epilogue { kBias, kBiasGeluTanh };  // cuBLASLt's GELU is the tanh form

class Gemm {
 public:
  Gemm();
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // Pointers are device memory, 16-byte aligned; the bias is of type T. Rows of x and y are m.
  template <class T>
  void run(const T* x, const T* weight, const T* bias, T* y, uint32_t m, uint32_t n, uint32_t k, Epilogue epilogue,
           cudaStream_t stream);

 private:
  struct Plan {
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t weight = nullptr, x = nullptr, y = nullptr;
    cublasLtMatmulAlgo_t algorithm = {};
  };
  using Key = std::tuple<int, uint32_t, uint32_t, uint32_t, Epilogue>;  // type, m, n, k
  Plan& plan_for(const Key& key);

  cublasLtHandle_t handle_ = nullptr;
  DeviceBuffer<unsigned char> workspace_;
  std::map<Key, Plan> plans_;  // one per shape that was met; m comes in steps of 64
};

}  // namespace rerank::cuda
