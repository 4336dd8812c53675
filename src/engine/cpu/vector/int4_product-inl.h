// Weights of 4 bits in memory, for products in another precision: a panel is unpacked into scratch, then multiplied by
// the base policy. A group of 32 inputs of a column has a scale in bf16; a weight is scale x (number - 8), number in
// 0..15, and the weight of largest magnitude is number 0, where the weights do not bring their units. Included once per
// target by kernels.cc.
//
// A panel: for each eight inputs the numbers of each column in 32 bits, lowest bits first; then for each group the
// scales of all columns.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kInt4Group = kUnitInputs;  // inputs of a scale: as GGUF's Q4_0

// Rows as the base prepares them, and room for a panel.
template <class BaseRows, class Element>
struct Int4Rows {
  BaseRows rows;
  Element* unpacked;
};

template <class Base>
struct Int4Product {
  using Element = uint8_t;  // bytes of a panel
  static constexpr size_t kGroup = 8;
  static constexpr bool kPacksUnits = true;
  static constexpr size_t kColumns = Base::kColumns;
  // A panel is unpacked once for them.
  static size_t block_rows(size_t in) { return std::max(Base::block_rows(in), 2 * kBlockTiles * kTileRows); }

  HWY_INLINE static void begin() { Base::begin(); }
  HWY_INLINE static void end() { Base::end(); }
  HWY_INLINE static size_t steps_of(size_t in) { return round_up_to(in, kInt4Group); }
  static size_t panel_bytes(size_t in) {
    return round_up_to(steps_of(in) * kColumns / 2 + steps_of(in) / kInt4Group * kColumns * sizeof(uint16_t), 64);
  }
  static size_t rows_bytes(size_t in) { return round_up_to(Base::scratch_bytes(in, block_rows(in)), 64); }
  static size_t scratch_bytes(size_t in, size_t) {
    return rows_bytes(in) + steps_of(in) * kColumns * sizeof(typename Base::Element);
  }

  static void pack_rows(const float* weight, size_t stride, size_t rows, size_t in, uint8_t* out, size_t lanes,
                        size_t block, std::byte* panel, const float* units) {
    auto* scales = reinterpret_cast<uint16_t*>(panel + steps_of(in) * kColumns / 2) + block;
    for (size_t r = 0; r < kBlockColumns; ++r) {
      auto* const to = reinterpret_cast<uint32_t*>(out) + r * lanes;
      for (size_t lane = 0; lane < lanes; ++lane) to[lane] = 0x88888888u;  // zeros
      for (size_t group = 0; group < steps_of(in) / kInt4Group; ++group) {
        const size_t first = group * kInt4Group, count = r < rows ? std::min(kInt4Group, in - first) : 0;
        const float* const unit = units != nullptr && count > 0 ? units + r * (in / kInt4Group) + group : nullptr;
        scales[group * kColumns + r] =
            pack_group(weight + r * stride + first, count, unit, to + group * kInt4Group / 8);
      }
    }
  }

  HWY_INLINE static auto prepare(const float* a, size_t a_stride, size_t rows, size_t in, std::byte* scratch) {
    return Int4Rows{Base::prepare(a, a_stride, rows, in, scratch),
                    reinterpret_cast<typename Base::Element*>(scratch + rows_bytes(in))};
  }

  template <class BaseRows>
  HWY_INLINE static void multiply(const Int4Rows<BaseRows, typename Base::Element>& a, size_t rows, size_t in,
                                  const uint8_t* panel, const Target& t) {
    unpack(reinterpret_cast<const std::byte*>(panel), in, a.unpacked);
    Base::multiply(a.rows, rows, in, a.unpacked, t);
  }

 private:
  // The scale in bf16; the numbers into 4 lanes. With `known`, the weights are whole numbers of it.
  static uint16_t pack_group(const float* weights, size_t count, const float* known, uint32_t* lanes) {
    float largest = 0;
    for (size_t i = 0; i < count; ++i)
      if (std::abs(weights[i]) > std::abs(largest)) largest = weights[i];
    const uint16_t scale = to_bf16(known != nullptr ? *known : largest / -8);
    const float unit = known != nullptr ? *known : from_bf16(scale);
    const float inverse = unit != 0 && std::isfinite(1 / unit) ? 1 / unit : 0;
    for (size_t i = 0; i < count; ++i) {
      const auto number = static_cast<uint32_t>(std::clamp(std::lrint(weights[i] * inverse) + 8, 0L, 15L));
      lanes[i / 8] ^= (number ^ 8u) << (i % 8 * 4);
    }
    return scale;
  }

  HWY_NOINLINE static void unpack(const std::byte* panel, size_t in, typename Base::Element* to) {
    const D d;
    const DI di;
    const hn::Rebind<uint16_t, D> d16;
    const size_t steps = steps_of(in);
    const auto* numbers = reinterpret_cast<const int32_t*>(panel);
    const auto* scales = reinterpret_cast<const uint16_t*>(panel + steps * kColumns / 2);
    for (size_t group = 0; group < steps / kInt4Group; ++group, scales += kColumns) {
      for (size_t n = 0; n < kColumns; n += kLanes) {
        const hn::RebindToUnsigned<D> du;
        const V scale = hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, scales + n))));
        for (size_t eight = 0; eight < kInt4Group / 8; ++eight) {
          VI lanes = hn::LoadU(di, numbers + (group * kInt4Group / 8 + eight) * kColumns + n);
          V values[8];
#pragma GCC unroll 8
          for (size_t i = 0; i < 8; ++i) {
            const VI number = hn::Sub(hn::And(lanes, hn::Set(di, 15)), hn::Set(di, 8));
            values[i] = hn::Mul(hn::ConvertTo(d, number), scale);
            lanes = hn::ShiftRight<4>(lanes);
          }
          store_eight(values, to + (group * kInt4Group + eight * 8) * kColumns, n);
        }
      }
    }
  }

  HWY_INLINE static void store_eight(const V (&values)[8], typename Base::Element* to, size_t n) {
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i += Base::kGroup) {
      if constexpr (Base::kGroup == 1) {
        hn::Store(values[i], D(), to + i * kColumns + n);
      } else {
        Base::Step::store_interleaved(values[i], values[i + 1], to + i * kColumns + n * 2);
      }
    }
  }
};

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
