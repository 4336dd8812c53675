#include "engine/cuda/gemm.h"

namespace rerank::cuda {
namespace {

constexpr size_t kWorkspaceBytes = 32u << 20;  // what cuBLAS's documentation asks for on sm_90

cudaDataType_t cuda_type(int type) {
  switch (static_cast<Type>(type)) {
    case Type::kF16:
      return CUDA_R_16F;
    case Type::kBf16:
      return CUDA_R_16BF;
    case Type::kF32:
      break;
  }
  return CUDA_R_32F;
}

}  // namespace

Gemm::Gemm() : workspace_(kWorkspaceBytes) { check(cublasLtCreate(&handle_), "cuBLASLt"); }

Gemm::~Gemm() {
  for (auto& [key, plan] : plans_) {
    (void)cublasLtMatmulDescDestroy(plan.operation);
    for (cublasLtMatrixLayout_t layout : {plan.weight, plan.x, plan.y}) (void)cublasLtMatrixLayoutDestroy(layout);
  }
  (void)cublasLtDestroy(handle_);
}

// cuBLASLt's matrices lie by columns: ours, read that way, are transposed, and y^T [n, m] = W [n, k] x^T [k, m].
Gemm::Plan& Gemm::plan_for(const Key& key) {
  const auto [type, m, n, k, epilogue] = key;
  const auto [found, fresh] = plans_.try_emplace(key);
  Plan& plan = found->second;
  if (!fresh) return plan;
  const cudaDataType_t data = cuda_type(type);
  check(cublasLtMatmulDescCreate(&plan.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulDescSetAttribute(plan.operation, attribute, &value, sizeof value), "describing a product");
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_EPILOGUE,
      epilogue == Epilogue::kBias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_GELU_BIAS);
  set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, data);
  check(cublasLtMatrixLayoutCreate(&plan.weight, data, k, n, k), "a matrix");
  check(cublasLtMatrixLayoutCreate(&plan.x, data, k, m, k), "a matrix");
  check(cublasLtMatrixLayoutCreate(&plan.y, data, n, m, n), "a matrix");
  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference), "asking for an algorithm");
  const size_t bytes = kWorkspaceBytes;
  (void)cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes);
  cublasLtMatmulHeuristicResult_t result = {};
  int results = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle_, plan.operation, plan.weight, plan.x, plan.y,
                                                               plan.y, preference, 1, &result, &results);
  (void)cublasLtMatmulPreferenceDestroy(preference);
  check(status, "asking for an algorithm");
  if (results == 0) throw Failure{Code::kUnsupported, "cuBLASLt has no algorithm for a product of this model"};
  plan.algorithm = result.algo;
  return plan;
}

template <class T>
void Gemm::run(const T* x, const T* weight, const T* bias, T* y, uint32_t m, uint32_t n, uint32_t k, Epilogue epilogue,
               cudaStream_t stream) {
  Plan& plan = plan_for({static_cast<int>(type_of<T>), m, n, k, epilogue});
  check(cublasLtMatmulDescSetAttribute(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias), "a bias");
  const float one = 1, zero = 0;
  check(cublasLtMatmul(handle_, plan.operation, &one, weight, plan.weight, x, plan.x, &zero, y, plan.y, y, plan.y,
                       &plan.algorithm, workspace_.data(), kWorkspaceBytes, stream),
        "a product");
}

#define RERANK_CUDA_GEMM(T)                                                                                    \
  template void Gemm::run<T>(const T*, const T*, const T*, T*, uint32_t, uint32_t, uint32_t, Epilogue, cudaStream_t)
RERANK_CUDA_GEMM(float);
RERANK_CUDA_GEMM(__half);
RERANK_CUDA_GEMM(__nv_bfloat16);

}  // namespace rerank::cuda
