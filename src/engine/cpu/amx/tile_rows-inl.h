// What happens to whole rows of tiles: LayerNorm, conversion, quantization; and the packing of weights.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kNormRows = 8;  // at a time: two sums and a shift of each fill the registers

HWY_INLINE void store_both(const TileNorm& job, size_t tile, size_t r, const Row& low, const Row& high) {
  store_bf16(low, high, job.a + tile / 2 * kTileBytes + r * kTileRow);
}

// Mean and variance in one pass: sums of x - shift and of its square, where the shift is the mean of the row's first
// sixteen columns, near enough to the mean that nothing is lost in the difference of the two. An RMS norm takes both to
// be 0.
template <bool kKeep, bool kRms>
void norm_rows(const TileNorm& job, size_t first) {
  auto at = [&](size_t tile, size_t r) { return job.c + (tile * 16 + first + r) * 16; };
  auto bias = [&](size_t tile) HWY_ATTR { return job.bias ? load(job.bias + tile * 16) : set(0); };
  Row shift[kNormRows], sum[kNormRows], squares[kNormRows];
  for (size_t r = 0; r < kNormRows; ++r) {
    shift[r] = kRms ? set(0) : set(sum_of(load(at(0, r)) + bias(0)) / 16);
    sum[r] = squares[r] = set(0);
  }
  const size_t whole = job.columns / 16, left = job.columns % 16;
  for (size_t tile = 0; tile < whole; ++tile) {
    const Row b = bias(tile);
    for (size_t r = 0; r < kNormRows; ++r) {
      const Row x = load(at(tile, r)) + b - shift[r];
      sum[r] = sum[r] + x;
      squares[r] = multiply_add(x, x, squares[r]);
    }
  }
  for (size_t r = 0; left != 0 && r < kNormRows; ++r) {
    const Row x = first_lanes(load(at(whole, r)) + bias(whole) - shift[r], left);
    sum[r] = sum[r] + x;
    squares[r] = multiply_add(x, x, squares[r]);
  }
  Row* const mean = sum;
  Row* const scale = squares;
  for (size_t r = 0; r < kNormRows; ++r) {
    const float n = static_cast<float>(job.columns), off = kRms ? 0 : sum_of(sum[r]) / n;
    const float variance = std::max(sum_of(squares[r]) / n - off * off, 0.0f);
    mean[r] = shift[r] + set(off);
    scale[r] = set(1 / std::sqrt(variance + job.epsilon));
  }
  for (size_t tile = 0; tile < job.column_tiles; tile += 2) {
    const Row gamma[2] = {load(job.gamma + tile * 16), load(job.gamma + tile * 16 + 16)};
    const Row beta[2] = {load(job.beta + tile * 16), load(job.beta + tile * 16 + 16)};
    const Row b[2] = {bias(tile), bias(tile + 1)};
    for (size_t r = 0; r < kNormRows; ++r) {
      const Row low = multiply_add((load(at(tile, r)) + b[0] - mean[r]) * scale[r], gamma[0], beta[0]);
      const Row high = multiply_add((load(at(tile + 1, r)) + b[1] - mean[r]) * scale[r], gamma[1], beta[1]);
      if constexpr (!kKeep) {
        store(low, at(tile, r));
        store(high, at(tile + 1, r));
      }
      store_both(job, tile, first + r, low, high);
    }
  }
}

template <bool kRms>
void norm_tile(const TileNorm& job) {
  for (size_t first = 0; first < 16; first += kNormRows)
    job.keep ? norm_rows<true, kRms>(job, first) : norm_rows<false, kRms>(job, first);
}

void tile_norm(const TileNorm& job) {
  if (job.gamma != nullptr) return job.rms ? norm_tile<true>(job) : norm_tile<false>(job);
  for (size_t tile = 0; tile < job.column_tiles; tile += 2) {
    for (size_t r = 0; r < 16; ++r) {
      store_both(job, tile, r, load(job.c + (tile * 16 + r) * 16), load(job.c + (tile * 16 + 16 + r) * 16));
    }
  }
}

// The smallest value of each of sixteen rows of bf16, or 0 where none is below it, and the largest, or 0; of a row with
// NaN one of them is NaN. As whole numbers with a sign those above 0 sort like their bits, as ones without it those
// below 0 come last, the smallest at the end. Tile after tile, as they lie in memory: along the rows, 1 KiB apart, a
// few sets of the cache would have to hold them all.
HWY_INLINE void ends_of_rows(const std::byte* from, size_t tiles, float* smallest, float* largest) {
  const hn::ScalableTag<int16_t> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  constexpr size_t kWhole = hn::MaxLanes(d), kOfRow = 32 / kWhole;
  hn::Vec<decltype(d)> high[16];
  hn::Vec<decltype(du)> low[16];
  for (size_t r = 0; r < 16; ++r) {
    high[r] = hn::Zero(d);
    low[r] = hn::Set(du, 0x8000);
  }
  for (size_t tile = 0; tile < tiles; ++tile, from += kTileBytes) {
    const auto* values = reinterpret_cast<const int16_t*>(from);
    for (size_t i = 0; i < 16 * kOfRow; ++i) {
      const auto x = hn::Load(d, values + i * kWhole);
      high[i / kOfRow] = hn::Max(high[i / kOfRow], x);
      low[i / kOfRow] = hn::Max(low[i / kOfRow], hn::BitCast(du, x));
    }
  }
  for (size_t r = 0; r < 16; ++r) {
    smallest[r] = from_bf16(hn::GetLane(hn::MaxOfLanes(du, low[r])));
    largest[r] = from_bf16(static_cast<uint16_t>(hn::GetLane(hn::MaxOfLanes(d, high[r]))));
  }
}

// A row of two tiles of bf16 as one of int8; `second` null: zeros.
HWY_INLINE void quantize_row(const std::byte* first, const std::byte* second, float inverse, float offset,
                             std::byte* to) {
#if HWY_TARGET <= HWY_AVX3
  if (second != nullptr) {
    // Two values are in a lane: the lower is moved up, the upper's result is computed where it belongs.
    const __m512 low_factor = _mm512_set1_ps(inverse), low_offset = _mm512_set1_ps(offset);
    const __m512 high_factor = _mm512_set1_ps(inverse * 65536), high_offset = _mm512_set1_ps(offset * 65536 + 32768);
    const __m512i upper_half = _mm512_set1_epi32(-65536);
    const auto words = [&](const std::byte* values) HWY_ATTR {
      const __m512i both = _mm512_load_si512(values);
      const __m512 low = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
      const __m512 high = _mm512_castsi512_ps(_mm512_and_si512(both, upper_half));
      return _mm512_ternarylogic_epi32(upper_half, _mm512_cvtps_epi32(_mm512_fmadd_ps(high, high_factor, high_offset)),
                                       _mm512_cvtps_epi32(_mm512_fmadd_ps(low, low_factor, low_offset)),
                                       0xca);  // a ? b : c
    };
    alignas(64) static constexpr uint64_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};  // the pack goes by 128 bits
    _mm512_store_si512(
        to, _mm512_permutexvar_epi64(_mm512_load_si512(kOrder), _mm512_packus_epi16(words(first), words(second))));
    return;
  }
#endif
  const hn::Rebind<uint16_t, D> d16;
  const hn::Rebind<uint8_t, D> d8;
  const V factor = hn::Set(D(), inverse), bias = hn::Set(D(), offset);
  for (const std::byte* values : {first, second}) {
    for (size_t i = 0; i < 32; i += kLanes, to += kLanes) {
      auto* out = reinterpret_cast<uint8_t*>(to);
      if (values == nullptr) {
        hn::Store(hn::Zero(d8), d8, out);
        continue;
      }
      const auto bits = hn::Load(d16, reinterpret_cast<const uint16_t*>(values + 2 * i));
      const V x = hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), bits)));
      hn::Store(hn::DemoteTo(d8, hn::NearestInt(hn::MulAdd(x, factor, bias))), d8, out);
    }
  }
}

// One row tile.
void tile_quantize(const std::byte* from, size_t tiles, std::byte* to, RowRange* ranges) {
  float smallest[16], largest[16], inverse[16], offset[16];
  ends_of_rows(from, tiles, smallest, largest);
  for (size_t r = 0; r < 16; ++r) {
    const float range = largest[r] - smallest[r];
    inverse[r] = range > 1e-30f ? 255 / range : 0;
    offset[r] = -smallest[r] * inverse[r];
    ranges[r] = {range / 255, smallest[r]};
  }
  for (size_t tile = 0; tile < tiles; tile += 2, from += 2 * kTileBytes, to += kTileBytes) {
    for (size_t r = 0; r < 16; ++r) {
      const std::byte* first = from + r * kTileRow;
      const std::byte* second = tile + 1 < tiles ? first + kTileBytes : nullptr;
      quantize_row(first, second, inverse[r], offset[r], to + r * kTileRow);
    }
  }
}

void tile_rotate(std::byte* low, std::byte* high, const float* angles) {
  constexpr size_t kValues = kTileBytes / 2;
  for (size_t i = 0; i < kValues; i += 32, low += 64, high += 64, angles += 32) {
    const Row a[2] = {load_bf16(low), load_bf16(low + 32)}, b[2] = {load_bf16(high), load_bf16(high + 32)};
    const Row cosine[2] = {load(angles), load(angles + 16)};
    const Row sine[2] = {load(angles + kValues), load(angles + kValues + 16)};
    store_bf16(a[0] * cosine[0] - b[0] * sine[0], a[1] * cosine[1] - b[1] * sine[1], low);
    store_bf16(multiply_add(b[0], cosine[0], a[0] * sine[0]), multiply_add(b[1], cosine[1], a[1] * sine[1]), high);
  }
}

template <class Inputs>
void tile_pack(const float* rows, size_t inputs, std::byte* panel, float* scales, float* sums) {
  constexpr size_t kGroup = Inputs::kInt8 ? 4 : 2, kInputs = 16 * kGroup, kChunk = kChunkSteps * kInputs;
  for (size_t n = 0; n < kPanelColumns; ++n) {
    const float* row = rows + n * inputs;
    float inverse = 1;
    if constexpr (Inputs::kInt8) {
      float largest = 0;
      for (size_t k = 0; k < inputs; ++k) largest = std::max(largest, std::abs(row[k]));
      scales[n] = largest / 127;
      inverse = largest > 1e-30f ? 127 / largest : 0;
      for (size_t k = 0; k < inputs; k += kChunk) sums[k / kChunk * kPanelColumns + n] = 0;
    }
    for (size_t k = 0; k < inputs; ++k) {
      std::byte* tile = panel + k / kInputs * kStepBytes + n / 16 * kTileBytes;
      const size_t at = k % kInputs / kGroup * 16 * kGroup + n % 16 * kGroup + k % kGroup;
      if constexpr (Inputs::kInt8) {
        const auto whole = static_cast<int8_t>(std::lrint(row[k] * inverse));
        reinterpret_cast<int8_t*>(tile)[at] = whole;
        sums[k / kChunk * kPanelColumns + n] += static_cast<float>(whole) * scales[n];
      } else {
        reinterpret_cast<uint16_t*>(tile)[at] = to_bf16(row[k]);
      }
    }
  }
}

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
