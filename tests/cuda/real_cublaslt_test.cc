// The real cuBLASLt, which needs no GPU to be told of products: it takes every descriptor, layout and preference that
// the engine makes, and gives back what was meant. What it has algorithms for only a GPU says.
#include <gtest/gtest.h>

#include "engine/cuda/kernels/gemm.h"

namespace rerank::engine::cuda {
namespace {

std::vector<ProductShape> shapes() {
  std::vector<ProductShape> all;
  for (const uint32_t m : {64u, 8704u, 16384u}) {
    for (const Epilogue epilogue : {Epilogue::kBias, Epilogue::kBiasGeluTanh}) {
      for (const Type type : {Type::kF32, Type::kF16, Type::kBf16}) {
        all.push_back({type, epilogue, m, 1536, 384});
        all.push_back({type, epilogue, m, 624, 312, 128});
      }
    }
    all.push_back({Type::kFp8, Epilogue::kNone, m, 3072, 1024});
    all.push_back({Type::kFp8, Epilogue::kScaledBias, m, 3072, 1024});
  }
  return all;
}

template <class Value>
Value attribute_of(const Plan& plan, cublasLtMatmulDescAttributes_t attribute) {
  Value value{};
  size_t written = 0;
  EXPECT_EQ(cublasLtMatmulDescGetAttribute(plan.operation.get(), attribute, &value, sizeof value, &written),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(written, sizeof value);
  return value;
}

template <class Value>
Value attribute_of(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute) {
  Value value{};
  size_t written = 0;
  EXPECT_EQ(cublasLtMatrixLayoutGetAttribute(layout, attribute, &value, sizeof value, &written), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(written, sizeof value);
  return value;
}

TEST(RealCublasLt, TakesTheProductsThatTheEngineMakes) {
  for (const ProductShape& shape : shapes()) {
    SCOPED_TRACE(text_of(shape));
    try {
      Plan plan(shape);
      EXPECT_EQ(attribute_of<int32_t>(plan, CUBLASLT_MATMUL_DESC_TRANSA), CUBLAS_OP_T);
      EXPECT_EQ(attribute_of<int32_t>(plan, CUBLASLT_MATMUL_DESC_TRANSB), CUBLAS_OP_N);
      EXPECT_EQ(attribute_of<int32_t>(plan, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE), CUBLAS_COMPUTE_32F);
      const auto epilogue = attribute_of<uint32_t>(plan, CUBLASLT_MATMUL_DESC_EPILOGUE);
      EXPECT_EQ(epilogue,
                static_cast<uint32_t>(shape.epilogue == Epilogue::kNone           ? CUBLASLT_EPILOGUE_DEFAULT
                                      : shape.epilogue == Epilogue::kBiasGeluTanh ? CUBLASLT_EPILOGUE_GELU_BIAS
                                                                                  : CUBLASLT_EPILOGUE_BIAS));
      if (shape.epilogue == Epilogue::kScaledBias) {
        EXPECT_EQ(attribute_of<int32_t>(plan, CUBLASLT_MATMUL_DESC_A_SCALE_MODE),
                  CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
        EXPECT_EQ(attribute_of<int32_t>(plan, CUBLASLT_MATMUL_DESC_B_SCALE_MODE),
                  CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
        plan.set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, static_cast<const float*>(nullptr));
        plan.set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, static_cast<const float*>(nullptr));
      }
      if (shape.type == Type::kFp8) plan.set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, int8_t{1});
      const void* const bias = &plan;
      if (shape.epilogue != Epilogue::kNone) {
        plan.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
        EXPECT_EQ(attribute_of<const void*>(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER), bias);
      }
      EXPECT_EQ(attribute_of<uint64_t>(plan.weight.get(), CUBLASLT_MATRIX_LAYOUT_ROWS), shape.k);
      EXPECT_EQ(attribute_of<uint64_t>(plan.weight.get(), CUBLASLT_MATRIX_LAYOUT_COLS), shape.n);
      EXPECT_EQ(attribute_of<uint64_t>(plan.x.get(), CUBLASLT_MATRIX_LAYOUT_COLS), shape.m);
      EXPECT_EQ(attribute_of<int64_t>(plan.y.get(), CUBLASLT_MATRIX_LAYOUT_LD), shape.n);
      EXPECT_EQ(attribute_of<uint32_t>(plan.y.get(), CUBLASLT_MATRIX_LAYOUT_TYPE),
                static_cast<uint32_t>(shape.type == Type::kF32   ? CUDA_R_32F
                                      : shape.type == Type::kF16 ? CUDA_R_16F
                                                                 : CUDA_R_16BF));
      const auto preference = make_preference(shape);
      uint32_t alignment = 0;
      size_t written = 0;
      EXPECT_EQ(cublasLtMatmulPreferenceGetAttribute(preference.get(), CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                                     &alignment, sizeof alignment, &written),
                CUBLAS_STATUS_SUCCESS);
      EXPECT_EQ(alignment, shape.alignment);
    } catch (const Failure& failure) {
      ADD_FAILURE() << failure.message;
    }
  }
}

// A wrong size is refused: that the test above passes means something.
TEST(RealCublasLt, RefusesWhatHasAWrongSize) {
  Plan plan({Type::kBf16, Epilogue::kBias, 64, 64, 64});
  EXPECT_THROW(plan.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint8_t{4}), Failure);
  EXPECT_THROW(plan.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, uint32_t{4}), Failure);
}

TEST(RealCublasLt, IsOfTheVersionThatTheLibraryIsBuiltWith) {
  EXPECT_GE(cublasLtGetVersion(), static_cast<size_t>(CUBLAS_VERSION));
}

}  // namespace
}  // namespace rerank::engine::cuda
