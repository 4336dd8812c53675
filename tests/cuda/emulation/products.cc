// cublasLtMatmul in plain loops. Matrices lie by columns: D [m, n] = op(A) op(B), + bias [m] to each column.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "cublasLt.h"
#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "cuda_fp8.h"
#include "emulation.h"

struct cublasLtContext {};
struct cublasLtPreference {
  uint32_t alignment = 256;  // of A; what algorithms rely on
};
struct cublasLtLayout {
  cudaDataType_t type;
  size_t rows, columns, leading;
};
struct cublasLtMatmulDescription {
  int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N, epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  int32_t bias_type = CUDA_R_32F;
  const void* bias = nullptr;
  int32_t a_scale_mode = 0, b_scale_mode = 0;
  const float *a_scale = nullptr, *b_scale = nullptr;
  int8_t fast = 0;

  bool scales() const { return a_scale_mode == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F; }
};

namespace {

float read(const void* data, cudaDataType_t type, size_t i) {
  if (type == CUDA_R_16F) return __half2float(static_cast<const __half*>(data)[i]);
  if (type == CUDA_R_16BF) return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]);
  if (type == CUDA_R_8F_E4M3) return emulation::value_of(static_cast<const __nv_fp8_e4m3*>(data)[i]);
  return static_cast<const float*>(data)[i];
}

void write(void* data, cudaDataType_t type, size_t i, float value) {
  if (type == CUDA_R_16F) {
    static_cast<__half*>(data)[i] = __float2half_rn(value);
  } else if (type == CUDA_R_16BF) {
    static_cast<__nv_bfloat16*>(data)[i] = __float2bfloat16_rn(value);
  } else {
    static_cast<float*>(data)[i] = value;
  }
}

float gelu_tanh(float x) { return 0.5f * x * (1.0f + std::tanh(0.79788456f * (x + 0.044715f * x * x * x))); }

struct Work {
  cublasLtMatmulDescription desc;
  const void *a, *b;
  void* d;
  cublasLtLayout a_layout, b_layout, d_layout;
};

// A is read by columns of op(A)^T, so that the inner loop runs along m.
void multiply(const Work& w) {
  const size_t m = w.d_layout.rows, n = w.d_layout.columns, k = w.a_layout.rows;
  std::vector<float> a(k * m), sum(m), bias(m);
  for (size_t i = 0; i < m; ++i) {
    for (size_t p = 0; p < k; ++p) a[p * m + i] = read(w.a, w.a_layout.type, i * w.a_layout.leading + p);
    if (w.desc.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
      bias[i] = read(w.desc.bias, static_cast<cudaDataType_t>(w.desc.bias_type), i);
  }
  for (size_t j = 0; j < n; ++j) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (size_t p = 0; p < k; ++p) {
      const float factor = read(w.b, w.b_layout.type, j * w.b_layout.leading + p);
      for (size_t i = 0; i < m; ++i) sum[i] += a[p * m + i] * factor;
    }
    for (size_t i = 0; i < m; ++i) {
      const float scale = w.desc.scales() ? w.desc.a_scale[i] * w.desc.b_scale[j] : 1.0f;
      const float value = scale * sum[i] + bias[i];
      write(w.d, w.d_layout.type, j * w.d_layout.leading + i,
            w.desc.epilogue == CUBLASLT_EPILOGUE_GELU_BIAS ? gelu_tanh(value) : value);
    }
  }
}

// cuBLAS, "cublasLtMatmul": FP8 since compute capability 8.9, in TN format only; all sides, and so all columns, are
// multiples of 16 bytes. Scales of rows and columns (CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F), of both operands,
// on 9.0 alone; bias of the result's type.
bool is_supported_fp8(const cublasLtMatmulDescription& desc, const cublasLtLayout& a, const cublasLtLayout& b,
                      const cublasLtLayout& d) {
  const auto whole = [](size_t side) { return side % 16 == 0; };
  const int capability = emulation::settings().compute_capability;
  const bool plain = desc.epilogue == CUBLASLT_EPILOGUE_DEFAULT && !desc.scales();
  const bool scaled = desc.scales() && desc.b_scale_mode == desc.a_scale_mode && desc.bias_type == CUDA_R_16BF &&
                      desc.epilogue == CUBLASLT_EPILOGUE_BIAS && capability == 90 &&
                      !emulation::settings().refuses_scales;
  return capability >= 89 && (plain || scaled) && d.type == CUDA_R_16BF && whole(a.rows) && whole(a.columns) &&
         whole(a.leading) && whole(b.columns) && whole(b.leading) && whole(d.leading);
}

// What this emulation, and cuBLASLt, computes: the products of the engine's kind.
bool is_supported(const cublasLtMatmulDescription& desc, const cublasLtLayout& a, const cublasLtLayout& b,
                  const cublasLtLayout& d) {
  return desc.transpose_a == CUBLAS_OP_T && desc.transpose_b == CUBLAS_OP_N && a.rows == b.rows &&
         a.columns == d.rows && b.columns == d.columns && a.leading >= a.rows && b.leading >= b.rows &&
         d.leading >= d.rows && a.type == b.type &&
         (a.type == CUDA_R_8F_E4M3
              ? is_supported_fp8(desc, a, b, d)
              : a.type == d.type && desc.bias_type == d.type &&
                    (desc.epilogue == CUBLASLT_EPILOGUE_BIAS || desc.epilogue == CUBLASLT_EPILOGUE_GELU_BIAS));
}

// Algorithms are numbers, in words that nothing else has.
constexpr uint64_t kAlgorithm = 0x656d756c61746564;

cublasLtMatmulAlgo_t algorithm_of(size_t number, uint32_t alignment) { return {{kAlgorithm, number, alignment}}; }

std::optional<size_t> number_of(const cublasLtMatmulAlgo_t& algorithm) {
  const size_t number = algorithm.data[1];
  if (algorithm.data[0] != kAlgorithm || number >= emulation::settings().algorithms_us.size()) return std::nullopt;
  return number;
}

bool is_aligned(const void* data, size_t to = 16) { return reinterpret_cast<uintptr_t>(data) % to == 0; }

}  // namespace

emulation::Products& emulation::products() {
  static Products all;
  return all;
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
         : status == CUBLAS_STATUS_ALLOC_FAILED  ? "CUBLAS_STATUS_ALLOC_FAILED"
         : status == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
         : status == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                                 : "CUBLAS_STATUS_EXECUTION_FAILED";
}

size_t cublasLtGetVersion() { return 130100; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (emulation::next_call() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t, cudaDataType_t) {
  *desc = new cublasLtMatmulDescription;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  const auto put = [&](auto& field) {
    if (bytes != sizeof field) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  };
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return put(desc->transpose_a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return put(desc->transpose_b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return put(desc->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return put(desc->bias);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return put(desc->bias_type);
    case CUBLASLT_MATMUL_DESC_A_SCALE_MODE:
      return put(desc->a_scale_mode);
    case CUBLASLT_MATMUL_DESC_B_SCALE_MODE:
      return put(desc->b_scale_mode);
    case CUBLASLT_MATMUL_DESC_A_SCALE_POINTER:
      return put(desc->a_scale);
    case CUBLASLT_MATMUL_DESC_B_SCALE_POINTER:
      return put(desc->b_scale);
    case CUBLASLT_MATMUL_DESC_FAST_ACCUM:
      return put(desc->fast);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
  *layout = new cublasLtLayout{type, rows, columns, static_cast<size_t>(leading)};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtPreference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  if (bytes != (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8 : 4)) return CUBLAS_STATUS_INVALID_VALUE;
  if (attribute == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES) std::memcpy(&preference->alignment, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference,
                                              int wanted, cublasLtMatmulHeuristicResult_t* results, int* found) {
  if (emulation::next_call() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  ++emulation::products().questions;
  *found = 0;
  if (!is_supported(*desc, *a, *b, *d)) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (size_t i = 0; i < emulation::settings().algorithms_us.size() && *found < wanted; ++i)
    results[(*found)++] = {
        .algo = algorithm_of(i, preference->alignment), .workspaceSize = 1u << 20, .state = CUBLAS_STATUS_SUCCESS};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result) {
  if (emulation::next_call() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (!is_supported(*desc, *a, *b, *d) || !number_of(*algorithm)) return CUBLAS_STATUS_NOT_SUPPORTED;
  result->workspaceSize = 1u << 20;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void*, cublasLtMatrixLayout_t, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void*, size_t,
                              cudaStream_t stream) {
  if (emulation::next_call() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (*static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0)
    emulation::misuse("a product with factors");
  for (const void* data : {a, b, static_cast<const void*>(d), desc->bias, static_cast<const void*>(desc->a_scale),
                           static_cast<const void*>(desc->b_scale)}) {
    if (!is_aligned(data)) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (!is_supported(*desc, *a_layout, *b_layout, *d_layout)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const std::optional<size_t> number = number_of(*algorithm);
  if (!number) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!is_aligned(a, algorithm->data[2])) emulation::misuse("a product of an algorithm that wants more alignment");
  const auto& broken = emulation::settings().broken_algorithms;
  if (std::count(broken.begin(), broken.end(), *number) > 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  auto& runs = emulation::products().runs;
  runs.resize(std::max(runs.size(), *number + 1));
  ++runs[*number];
  const Work work{*desc, a, b, d, *a_layout, *b_layout, *d_layout};
  const double microseconds = emulation::settings().algorithms_us[*number];
  emulation::enqueue(stream, [=] {
    multiply(work);
    emulation::take_time(microseconds);
  });
  return CUBLAS_STATUS_SUCCESS;
}
