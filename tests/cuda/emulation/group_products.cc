#include "group_products.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "emulation.h"
#include "grid.h"

namespace emulation {
namespace {

constexpr uint32_t kWindow = 1 << 18;  // bytes that a descriptor can say

template <class T>
float value_of(uint16_t bits) {
  if constexpr (std::is_same_v<T, __half>) return __half2float({bits});
  return __bfloat162float({bits});
}

// Number `n` of column (K) `k` of an operand of 16 x N. The unit of a swizzle is eight rows of 128 bytes, in which the
// 16-byte pieces stand at their number xor their row; the hardware takes both from the address.
uint16_t element(const Operand& operand, uint32_t n, uint32_t k) {
  const auto begin = static_cast<uint32_t>(operand.descriptor & 0x3fff) << 4;
  const auto leading = static_cast<uint32_t>(operand.descriptor >> 16 & 0x3fff) << 4;
  const auto stride = static_cast<uint32_t>(operand.descriptor >> 32 & 0x3fff) << 4;
  uint32_t at = begin;
  if (operand.transposed) {  // 64 numbers of N in a row; rows are K's
    at += n / 64 * leading + k / 8 * stride + k % 8 * 128 + n % 64 * 2;
  } else {  // numbers of K in a row; rows are N's
    at += n / 8 * stride + n % 8 * 128 + k * 2;
  }
  if (!settings().wrong_wgmma) at ^= (at >> 7 & 7) << 4;
  uint16_t bits = 0;
  std::memcpy(&bits, shared_bytes(at, 2), 2);
  return bits;
}

// The left operand of a warp: each lane gets its two rows whole.
struct Left {
  const unsigned* a;
  GroupProduct* product;
};

void exchange_rows(void* const (&lanes)[kLanes]) {
  uint16_t a[16][16];
  for (int lane = 0; lane < kLanes; ++lane) {
    const unsigned* mine = static_cast<Left*>(lanes[lane])->a;
    for (int i = 0; i < 8; ++i)
      a[lane / 4 + i / 2 % 2 * 8][lane % 4 * 2 + i % 2 + i / 4 * 8] =
          static_cast<uint16_t>(mine[i / 2] >> (16 * (i % 2)));
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int r = 0; r < 2; ++r) std::memcpy(static_cast<Left*>(lanes[lane])->product->rows[r], a[lane / 4 + 8 * r], 32);
  }
}

// One product of all lanes of a warp, who have the same right operand.
void multiply(GroupProduct* (&lanes)[kLanes]) {
  const auto [c, parts, add, operand, value, rows] = *lanes[0];
  std::vector<float> right(size_t{16} * parts * 8);
  for (int k = 0; k < 16; ++k) {
    for (int n = 0; n < parts * 8; ++n)
      right[k * parts * 8 + n] = value(element(operand, static_cast<uint32_t>(n), static_cast<uint32_t>(k)));
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const GroupProduct& p = *lanes[lane];
    if (p.parts != parts || p.add != add || p.b.descriptor != operand.descriptor)
      misuse("wgmma: lanes of a warp that multiply differently");
    for (int r = 0; r < 2; ++r) {
      float left[16];
      for (int k = 0; k < 16; ++k) left[k] = value(p.rows[r][k]);
      for (int i = 0; i < parts * 2; ++i) {
        const int n = i / 2 * 8 + lane % 4 * 2 + i % 2;
        float sum = 0;
        for (int k = 0; k < 16; ++k) sum += left[k] * right[k * parts * 8 + n];
        float& out = p.c[n / 8 * 4 + r * 2 + n % 2];
        out = (add ? out : 0) + sum;
      }
    }
  }
}

void multiply_all(void* const (&lanes)[kLanes]) {
  const size_t count = static_cast<std::vector<GroupProduct>*>(lanes[0])->size();
  for (size_t i = 0; i < count; ++i) {
    GroupProduct* products[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      auto& mine = *static_cast<std::vector<GroupProduct>*>(lanes[lane]);
      if (mine.size() != count) misuse("wgmma: lanes of a warp that multiply differently");
      products[lane] = &mine[i];
    }
    multiply(products);
  }
}

}  // namespace

uint64_t describe_operand(const void* shared, uint32_t leading, uint32_t stride) {
  const size_t at = place_in_shared(shared);
  if (at % 16 != 0 || at >= kWindow || leading % 16 != 0 || leading >= kWindow || stride % 16 != 0 || stride >= kWindow)
    misuse("wgmma: an operand that no descriptor can say");
  return at >> 4 | uint64_t{leading >> 4} << 16 | uint64_t{stride >> 4} << 32 | uint64_t{1} << 62;
}

void begin_products() {
  if (!begun_products().empty()) misuse("wgmma.fence behind products that were not waited for");
}

void end_products() {
  std::vector<GroupProduct> mine = std::exchange(begun_products(), {});
  together(multiply_all, &mine);
}

template <class T>
void group_multiply_add(float* c, int parts, const unsigned (&a)[4], Operand b, bool add) {
  if (b.descriptor >> 62 != 1 || (b.descriptor >> 49 & 7) != 0) misuse("wgmma: a descriptor of another swizzle");
  GroupProduct product{c, parts, add, b, value_of<T>, {}};
  Left mine{a, &product};
  together(exchange_rows, &mine);
  begun_products().push_back(product);
}
template void group_multiply_add<__half>(float*, int, const unsigned (&)[4], Operand, bool);
template void group_multiply_add<__nv_bfloat16>(float*, int, const unsigned (&)[4], Operand, bool);

}  // namespace emulation
