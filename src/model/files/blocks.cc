#include "model/files/blocks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace rerank::model {
namespace {

constexpr size_t kLargest = 256;
using Values = std::array<float, kLargest>;

float half_at(const uint8_t* from) {
  uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  return half_to_float(bits);
}

// Of 32: the low halves of 16 bytes, then the high ones; `high`: a fifth bit of each, or zero.
int nibble(const uint8_t* bytes, uint32_t high, size_t i) {
  const int low = i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
  return low | static_cast<int>((high >> i & 1) << 4);
}

void read_32(DType dtype, const uint8_t* block, Values& out) {
  const bool five = dtype == DType::kQ50 || dtype == DType::kQ51, least = dtype == DType::kQ41 || dtype == DType::kQ51;
  const float scale = half_at(block), lowest = least ? half_at(block + 2) : 0;
  const uint8_t* at = block + (least ? 4 : 2);
  uint32_t high = 0;
  if (five) {
    std::memcpy(&high, at, sizeof high);
    at += sizeof high;
  }
  const int middle = least ? 0 : five ? 16 : 8;
  for (size_t i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(nibble(at, high, i) - middle) + lowest;
}

void read_q8(const uint8_t* block, Values& out) {
  const float scale = half_at(block);
  for (size_t i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

// Of Q4_K and Q5_K: 6 bits each of the scale and the least value of group `i` of eight.
std::pair<int, int> scale_and_least(const uint8_t* s, size_t i) {
  if (i < 4) return {s[i] & 63, s[i + 4] & 63};
  return {(s[i + 4] & 15) | (s[i - 4] >> 6 << 4), (s[i + 4] >> 4) | (s[i] >> 6 << 4)};
}

void read_q45_k(bool five, const uint8_t* block, Values& out) {
  const float scale = half_at(block), least = half_at(block + 2);
  const uint8_t *high = block + 16, *low = high + (five ? 32 : 0);
  for (size_t group = 0; group < 8; ++group) {
    const auto [s, m] = scale_and_least(block + 4, group);
    for (size_t i = 0; i < 32; ++i) {
      const uint8_t byte = low[group / 2 * 32 + i];
      const int number = (group % 2 == 0 ? byte & 15 : byte >> 4) | (five ? (high[i] >> group & 1) << 4 : 0);
      out[group * 32 + i] = scale * static_cast<float>(s) * static_cast<float>(number) - least * static_cast<float>(m);
    }
  }
}

void read_q6_k(const uint8_t* block, Values& out) {
  const float scale = half_at(block + 208);
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128, quarter = i % 128 / 32, place = i % 32;
    const uint8_t low = block[half * 64 + quarter % 2 * 32 + place], high = block[128 + half * 32 + place];
    const int number = (quarter < 2 ? low & 15 : low >> 4) | (high >> (2 * quarter) & 3) << 4;
    const auto own = static_cast<int8_t>(block[192 + i / 16]);
    out[i] = scale * static_cast<float>(own) * static_cast<float>(number - 32);
  }
}

void read_block(DType dtype, const uint8_t* block, Values& out) {
  switch (dtype) {
    case DType::kQ80:
      return read_q8(block, out);
    case DType::kQ4K:
      return read_q45_k(false, block, out);
    case DType::kQ5K:
      return read_q45_k(true, block, out);
    case DType::kQ6K:
      return read_q6_k(block, out);
    default:
      return read_32(dtype, block, out);
  }
}

}  // namespace

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t biased = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (biased << 23) | (mantissa << 13));
}

void read_blocks(DType dtype, std::span<const std::byte> blocks, size_t begin, std::span<float> out) {
  const auto [elements, bytes] = block_size(dtype);
  Values values;
  for (size_t done = 0; done < out.size();) {
    const size_t at = begin + done, first = at % elements, count = std::min(elements - first, out.size() - done);
    read_block(dtype, reinterpret_cast<const uint8_t*>(blocks.data()) + at / elements * bytes, values);
    std::copy_n(values.begin() + static_cast<ptrdiff_t>(first), count, out.begin() + static_cast<ptrdiff_t>(done));
    done += count;
  }
}

float block_scale(std::span<const std::byte> blocks, size_t block) {
  return half_at(reinterpret_cast<const uint8_t*>(blocks.data()) + block * block_size(DType::kQ40).bytes);
}

}  // namespace rerank::model
