// Matrix products through cuBLASLt: y [m, n] = x [m, k] W^T + b, W [n, k]; fp32 sums; T in and out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <type_traits>

#include "engine/cuda/device.h"
#include "engine/cuda/kernels/fp8.h"
#include "engine/cuda/kernels/tuning.h"

namespace rerank::engine::cuda {

struct Destroyer {
  void operator()(cublasLtMatmulDesc_t desc) const { (void)cublasLtMatmulDescDestroy(desc); }
  void operator()(cublasLtMatrixLayout_t layout) const { (void)cublasLtMatrixLayoutDestroy(layout); }
  void operator()(cublasLtMatmulPreference_t preference) const { (void)cublasLtMatmulPreferenceDestroy(preference); }
};
template <class T>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, Destroyer>;

// A product in cuBLASLt's words.
struct Plan {
  explicit Plan(const ProductShape& shape);
  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulDescSetAttribute(operation.get(), attribute, &value, sizeof value), "describing a product");
  }
  Owned<cublasLtMatmulDesc_t> operation;
  Owned<cublasLtMatrixLayout_t> weight, x, y;
  Algorithm algorithm;
  uint64_t used = 0;  // when, in runs
};

// What cuBLASLt is asked for.
Owned<cublasLtMatmulPreference_t> make_preference(const ProductShape& shape);

class Gemm {
 public:
  // Numbers of rows up to 8192 (64), times products of a layer, of the last layer and of the head (8); twice that, for
  // larger batches. A plan takes about a kilobyte of the host's memory.
  static constexpr size_t kMostPlans = 1024;

  Gemm();
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // Pointers are device memory, 16-byte aligned; the bias is of type T. Rows of x and y are m, one of padded_rows().
  // The first product of its shape is run with several algorithms (tuning.h), to the same y.
  template <class T>
  void run(const T* x, const T* weight, const T* bias, T* y, uint32_t m, uint32_t n, uint32_t k, Epilogue epilogue,
           cudaStream_t stream);
  // y = x W^T of FP8 numbers as they are; n and k are multiples of 16.
  void run(const Fp8* x, const Fp8* weight, __nv_bfloat16* y, uint32_t m, uint32_t n, uint32_t k, cudaStream_t stream);
  // The same with scales of rows [m] and outputs [n] and a bias, where scales_outputs().
  struct Scales {
    const float *rows, *outputs;
  };
  void run(const Fp8* x, const Fp8* weight, const Scales& scales, const __nv_bfloat16* bias, __nv_bfloat16* y,
           uint32_t m, uint32_t n, uint32_t k, cudaStream_t stream);
  // Whether cuBLASLt scales rows and outputs of FP8 products here: on compute capability 9.0 alone, until one is
  // refused.
  bool scales_outputs() const { return scales_outputs_; }
  void scale_no_outputs() { scales_outputs_ = false; }
  // FP8 sums in the tensor cores' own precision (14 bits or so) between additions in fp32: faster, and less exact.
  void fast_accumulation(bool on) { fast_accumulation_ = on; }

  Tuning& tuning() { return tuning_; }

 private:
  struct Operands {
    const void *x, *weight, *bias;
    void* y;
    const float *row_scales = nullptr, *scales = nullptr;
  };

  void run(ProductShape shape, const Operands& operands, cudaStream_t stream);
  void make_room();
  Algorithm choose(const ProductShape& shape, const Plan& plan, const Operands& operands, cudaStream_t stream);
  bool can_run(const Plan& plan, const Algorithm& algorithm) const;
  std::vector<Algorithm> candidates(const ProductShape& shape, const Plan& plan) const;
  cublasStatus_t start(const Plan& plan, const Algorithm& algorithm, const Operands& operands,
                       cudaStream_t stream) const;

  cublasLtHandle_t handle_ = nullptr;
  DeviceBuffer<unsigned char> workspace_;
  Tuning tuning_;
  std::map<ProductShape, Plan> plans_;  // at most kMostPlans; the least recently used leaves
  uint64_t runs_ = 0;
  bool scales_outputs_, fast_accumulation_ = false;
};

}  // namespace rerank::engine::cuda
