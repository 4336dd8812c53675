#include "emulated_instructions.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

float half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  float value = 0;
  if (exponent == 31) {
    value = fraction == 0 ? INFINITY : NAN;
  } else {
    value = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                          : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  }
  return bits & 0x8000 ? -value : value;
}

}  // namespace

float __half2float(__half x) {
  static const std::vector<float> values = [] {
    std::vector<float> all(65536);
    for (size_t i = 0; i < all.size(); ++i) all[i] = half_value(static_cast<uint16_t>(i));
    return all;
  }();
  return values[x.bits];
}

__half __float2half_rn(float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isnan(x)) return {static_cast<uint16_t>(0x7fff)};
  const float size = std::fabs(x);
  if (size >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00)};  // rounds beyond the largest, 65504
  if (size < 6.103515625e-5f) {                                         // below 2^-14 numbers are multiples of 2^-24
    return {static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(size * 16777216.0f)))};
  }
  uint32_t bits = std::bit_cast<uint32_t>(size);
  bits += 0xfff + (bits >> 13 & 1);  // to nearest, ties to even; a carry goes into the exponent
  return {static_cast<uint16_t>(sign | ((bits >> 13) - (112 << 10)))};
}

float __bfloat162float(__nv_bfloat16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

__nv_bfloat16 __float2bfloat16_rn(float x) {
  if (std::isnan(x)) return {0x7fff};
  uint32_t bits = std::bit_cast<uint32_t>(x);
  bits += 0x7fff + (bits >> 16 & 1);
  return {static_cast<uint16_t>(bits >> 16)};
}

namespace emulation {
namespace {

struct Shuffle {
  float value;
  int mask;
};
void shuffle(void* const (&lanes)[kLanes]) {
  float before[kLanes];
  for (int i = 0; i < kLanes; ++i) before[i] = static_cast<Shuffle*>(lanes[i])->value;
  for (int i = 0; i < kLanes; ++i)
    static_cast<Shuffle*>(lanes[i])->value = before[i ^ static_cast<Shuffle*>(lanes[i])->mask];
}

// PTX ISA, "ldmatrix": lane 8 j + i has the address of row i of matrix j. Each lane gets of each matrix row lane / 4,
// elements 2 (lane % 4) and the next; with .trans, of the transposed matrix.
struct Load {
  const void* row;
  unsigned* result;
};
template <bool kTransposed>
void load(void* const (&lanes)[kLanes]) {
  for (int j = 0; j < 4; ++j) {
    uint16_t matrix[8][8];
    for (int i = 0; i < 8; ++i) {
      const void* row = static_cast<Load*>(lanes[8 * j + i])->row;
      if (reinterpret_cast<uintptr_t>(row) % 16 != 0) misuse("ldmatrix: a row that is not aligned to 16 bytes");
      std::memcpy(matrix[i], row, 16);
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      const int r = lane / 4, c = lane % 4 * 2;
      const uint16_t low = kTransposed ? matrix[c][r] : matrix[r][c];
      const uint16_t high = kTransposed ? matrix[c + 1][r] : matrix[r][c + 1];
      static_cast<Load*>(lanes[lane])->result[j] = low | uint32_t{high} << 16;
    }
  }
}

// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type": group = lane / 4, thread = lane % 4.
//   A: a0 a1 in row group, a2 a3 in group + 8, a4 a5 in group, a6 a7 in group + 8; columns 2 thread + (i & 1), from a4
//   on + 8 B: rows 2 thread + (i & 1), from b2 on + 8; column group C: c0 c1 in row group, c2 c3 in group + 8; columns
//   2 thread + (i & 1)
struct Product {
  float* c;
  const unsigned* a;
  unsigned b[2];
};
template <class T>
float element(unsigned pair, int which) {
  const auto bits = static_cast<uint16_t>(pair >> (16 * which));
  if constexpr (std::is_same_v<T, __half>) return __half2float({bits});
  return __bfloat162float({bits});
}
template <class T>
void multiply(void* const (&lanes)[kLanes]) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < kLanes; ++lane) {
    const Product& p = *static_cast<Product*>(lanes[lane]);
    const int group = lane / 4, thread = lane % 4;
    for (int i = 0; i < 8; ++i) {
      const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
      const int column = thread * 2 + (i & 1) + (i >= 4 ? 8 : 0);
      a[row][column] = element<T>(p.a[i / 2], i & 1);
    }
    for (int i = 0; i < 4; ++i) b[thread * 2 + (i & 1) + (i >= 2 ? 8 : 0)][group] = element<T>(p.b[i / 2], i & 1);
  }
  float product[16][8] = {};
  for (int m = 0; m < 16; ++m) {
    for (int k = 0; k < 16; ++k) {
      for (int n = 0; n < 8; ++n) product[m][n] += a[m][k] * b[k][n];
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const Product& p = *static_cast<Product*>(lanes[lane]);
    for (int i = 0; i < 4; ++i) p.c[i] += product[lane / 4 + (i < 2 ? 0 : 8)][lane % 4 * 2 + (i & 1)];
  }
}

}  // namespace
}  // namespace emulation

float __shfl_xor_sync(unsigned mask, float value, int lane_mask) {
  if (mask != 0xffffffffu) emulation::misuse("__shfl_xor_sync of a part of a warp");
  emulation::Shuffle mine{value, lane_mask};
  emulation::together(emulation::shuffle, &mine);
  return mine.value;
}

void __syncwarp() {
  emulation::together([](void* const(&)[emulation::kLanes]) {}, nullptr);
}

namespace rerank::engine::cuda {

void load_matrices(unsigned (&r)[4], const void* shared) {
  emulation::Load mine{shared, r};
  emulation::together(emulation::load<false>, &mine);
}
void load_matrices_transposed(unsigned (&r)[4], const void* shared) {
  emulation::Load mine{shared, r};
  emulation::together(emulation::load<true>, &mine);
}

template <class T>
void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  emulation::Product mine{c, a, {b0, b1}};
  emulation::together(emulation::multiply<T>, &mine);
}
template void multiply_add<__half>(float (&)[4], const unsigned (&)[4], unsigned, unsigned);
template void multiply_add<__nv_bfloat16>(float (&)[4], const unsigned (&)[4], unsigned, unsigned);

}  // namespace rerank::engine::cuda
