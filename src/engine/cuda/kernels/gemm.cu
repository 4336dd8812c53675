#include "engine/cuda/kernels/gemm.h"

#include <algorithm>

namespace rerank::engine::cuda {
namespace {

constexpr size_t kWorkspaceBytes = 32u << 20;  // what cuBLAS's documentation asks for on sm_90

cudaDataType_t cuda_type(Type type) {
  switch (type) {
    case Type::kF16:
      return CUDA_R_16F;
    case Type::kBf16:
      return CUDA_R_16BF;
    case Type::kFp8:
      return CUDA_R_8F_E4M3;
    case Type::kF32:
      break;
  }
  return CUDA_R_32F;
}

template <class Owner, class Create, class... Arguments>
Owner make(const char* what, Create create, Arguments... arguments) {
  typename Owner::pointer made = nullptr;
  check(create(&made, arguments...), what);
  return Owner(made);
}

// Of an address, as far as algorithms care.
uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  return static_cast<uint32_t>(std::min<uintptr_t>(address & (~address + 1), 256));
}

}  // namespace

Gemm::Gemm() : workspace_(kWorkspaceBytes), scales_outputs_(is_hopper()) {
  check(cublasLtCreate(&handle_), "cuBLASLt");
}

Gemm::~Gemm() { (void)cublasLtDestroy(handle_); }

// cuBLASLt's matrices lie by columns: ours, read that way, are transposed, and y^T [n, m] = W [n, k] x^T [k, m].
Plan::Plan(const ProductShape& shape) {
  const auto [type, epilogue, m, n, k, alignment] = shape;
  const cudaDataType_t data = cuda_type(type);
  operation = make<Owned<cublasLtMatmulDesc_t>>("describing a product", cublasLtMatmulDescCreate, CUBLAS_COMPUTE_32F,
                                                CUDA_R_32F);
  set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  if (epilogue != Epilogue::kNone) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE,
        epilogue == Epilogue::kBiasGeluTanh ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type == Type::kFp8 ? CUDA_R_16BF : data);
  }
  if (epilogue == Epilogue::kScaledBias) {
    set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, int32_t{CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F});
    set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, int32_t{CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F});
  }
  weight = make<Owned<cublasLtMatrixLayout_t>>("a matrix", cublasLtMatrixLayoutCreate, data, k, n, k);
  x = make<Owned<cublasLtMatrixLayout_t>>("a matrix", cublasLtMatrixLayoutCreate, data, k, m, k);
  const cudaDataType_t out = type == Type::kFp8 ? CUDA_R_16BF : data;
  y = make<Owned<cublasLtMatrixLayout_t>>("a matrix", cublasLtMatrixLayoutCreate, out, n, m, n);
}

Owned<cublasLtMatmulPreference_t> make_preference(const ProductShape& shape) {
  auto preference = make<Owned<cublasLtMatmulPreference_t>>("asking for an algorithm", cublasLtMatmulPreferenceCreate);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
          "asking for an algorithm");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  // Parts of a sum are added up in fp32, never in the type of the result.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, shape.alignment);
  return preference;
}

void Gemm::run(ProductShape shape, const Operands& operands, cudaStream_t stream) {
  shape.alignment = alignment_of(operands.weight);
  auto found = plans_.find(shape);
  const bool fresh = found == plans_.end();
  if (fresh) {
    make_room();
    found = plans_.emplace(shape, Plan(shape)).first;
  }
  Plan& plan = found->second;
  plan.used = ++runs_;
  try {
    if (fresh && shape.type == Type::kFp8) plan.set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, int8_t{fast_accumulation_});
    if (operands.bias != nullptr) plan.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.bias);
    if (operands.scales != nullptr) {
      plan.set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, operands.scales);
      plan.set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, operands.row_scales);
    }
    if (fresh) plan.algorithm = choose(shape, plan, operands, stream);
  } catch (...) {
    plans_.erase(found);  // it is not whole
    throw;
  }
  if (const cublasStatus_t status = start(plan, plan.algorithm, operands, stream); status != CUBLAS_STATUS_SUCCESS)
    check(status, ("the product " + text_of(shape)).c_str());
}

void Gemm::make_room() {
  if (plans_.size() < kMostPlans) return;
  plans_.erase(std::min_element(plans_.begin(), plans_.end(),
                                [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
}

Algorithm Gemm::choose(const ProductShape& shape, const Plan& plan, const Operands& operands, cudaStream_t stream) {
  if (const auto known = tuning_.find(shape)) {
    if (can_run(plan, *known)) return *known;
    tuning_.forget(shape);
  }
  const auto run = [&](const Algorithm& algorithm) { return start(plan, algorithm, operands, stream); };
  return tuning_.fastest(shape, candidates(shape, plan), run, stream);
}

bool Gemm::can_run(const Plan& plan, const Algorithm& algorithm) const {
  cublasLtMatmulHeuristicResult_t result = {};
  return cublasLtMatmulAlgoCheck(handle_, plan.operation.get(), plan.weight.get(), plan.x.get(), plan.y.get(),
                                 plan.y.get(), &algorithm.words, &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= kWorkspaceBytes;
}

// What cuBLASLt guesses to be fast, best first.
std::vector<Algorithm> Gemm::candidates(const ProductShape& shape, const Plan& plan) const {
  const Owned<cublasLtMatmulPreference_t> preference = make_preference(shape);
  cublasLtMatmulHeuristicResult_t results[Tuning::kCandidates] = {};
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle_, plan.operation.get(), plan.weight.get(), plan.x.get(), plan.y.get(),
                                     plan.y.get(), preference.get(), Tuning::kCandidates, results, &count);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED && status != CUBLAS_STATUS_SUCCESS)
    check(status, ("asking for an algorithm for " + text_of(shape)).c_str());
  std::vector<Algorithm> found;
  for (int i = 0; i < count; ++i) {
    if (results[i].state == CUBLAS_STATUS_SUCCESS) found.push_back({results[i].algo});
  }
  if (found.empty()) throw Failure{Code::kUnsupported, "cuBLASLt has no algorithm for " + text_of(shape)};
  return found;
}

cublasStatus_t Gemm::start(const Plan& plan, const Algorithm& algorithm, const Operands& o, cudaStream_t stream) const {
  const float one = 1, zero = 0;
  return cublasLtMatmul(handle_, plan.operation.get(), &one, o.weight, plan.weight.get(), o.x, plan.x.get(), &zero, o.y,
                        plan.y.get(), o.y, plan.y.get(), &algorithm.words, workspace_.data(), kWorkspaceBytes, stream);
}

template <class T>
void Gemm::run(const T* x, const T* weight, const T* bias, T* y, uint32_t m, uint32_t n, uint32_t k, Epilogue epilogue,
               cudaStream_t stream) {
  run({type_of<T>, epilogue, m, n, k}, {x, weight, bias, y}, stream);
}

void Gemm::run(const Fp8* x, const Fp8* weight, __nv_bfloat16* y, uint32_t m, uint32_t n, uint32_t k,
               cudaStream_t stream) {
  run({Type::kFp8, Epilogue::kNone, m, n, k}, {x, weight, nullptr, y}, stream);
}

void Gemm::run(const Fp8* x, const Fp8* weight, const Scales& scales, const __nv_bfloat16* bias, __nv_bfloat16* y,
               uint32_t m, uint32_t n, uint32_t k, cudaStream_t stream) {
  run({Type::kFp8, Epilogue::kScaledBias, m, n, k}, {x, weight, bias, y, scales.rows, scales.outputs}, stream);
}

#define RERANK_CUDA_GEMM(T) \
  template void Gemm::run<T>(const T*, const T*, const T*, T*, uint32_t, uint32_t, uint32_t, Epilogue, cudaStream_t)
RERANK_CUDA_GEMM(float);
RERANK_CUDA_GEMM(__half);
RERANK_CUDA_GEMM(__nv_bfloat16);

}  // namespace rerank::engine::cuda
