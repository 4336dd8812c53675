// Intel AMX as a small unit: eight tiles of 16 rows x 64 bytes and the bf16 and int8 products of two of them. Two
// versions with one interface: the instructions, and the same in plain C++, so that all code around them is tested on
// every CPU.
//
// The instructions are written as assembly: g++ 12's intrinsics declare neither that a tile load reads memory nor the
// size of the configuration, so that it drops or moves the stores before them.
//
// Source: Intel SDM, "AMX" (tile configuration: palette 1; TDPBF16PS: C[m][n] += sum over k of A[m][2k] B[k][2n] +
// sum over k of A[m][2k+1] B[k][2n+1]; subnormals count as zero. TDPBUSD: C[m][n] += sum over k and i < 4 of
// A[m][4k+i] B[k][4n+i], A without sign, B with one).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rerank::engine::cpu {

inline constexpr size_t kTileUnitRows = 16;
inline constexpr size_t kTileUnitBytes = 64;  // of a row

#if defined(__x86_64__)
// Must run only where unsupported_reason() of the amx tier is empty. configure() once per thread and piece of work;
// release() after it, so that the thread's state is small again when it is switched out.
struct HardwareTiles {
  static constexpr bool kHardware = true;
  static void configure() {
    alignas(64) struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t column_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int t = 0; t < 8; ++t) {
      config.column_bytes[t] = kTileUnitBytes;
      config.rows[t] = kTileUnitRows;
    }
    asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  static void release() { asm volatile("tilerelease" ::: "memory"); }
  template <int kTile>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  template <int kTile>
  static void load(const void* rows, size_t stride_bytes) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(rows), "r"(stride_bytes) : "memory");
  }
  // For a stream that should not push a resident panel out of the L1 cache.
  template <int kTile>
  static void load_stream(const void* rows, size_t stride_bytes) {
    asm volatile("tileloaddt1 (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(rows), "r"(stride_bytes) : "memory");
  }
  template <int kC, int kA, int kB>
  static void multiply_bf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
  }
  template <int kC, int kA, int kB>
  static void multiply_u8s8() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
  }
  template <int kTile>
  static void store(void* rows, size_t stride_bytes) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(kTile), "r"(rows), "r"(stride_bytes) : "memory");
  }
};
#endif

// The same, emulated; one set of tiles per thread, so that ThreadSanitizer need not look at products, only at loads and
// stores. Not inlined, to have less to compile in all that uses it.
struct EmulatedTiles {
  static constexpr bool kHardware = false;
  struct Tile {
    uint8_t bytes[kTileUnitRows][kTileUnitBytes];
  };
  [[gnu::no_sanitize_thread]] static Tile* tiles() {
    static thread_local Tile state[8];
    return state;
  }
  static void configure() { std::memset(tiles(), 0xee, 8 * sizeof(Tile)); }  // stale contents must show
  static void release() {}
  template <int kTile>
  static void zero() {
    std::memset(&tiles()[kTile], 0, sizeof(Tile));
  }
  template <int kTile>
  [[gnu::noinline]] static void load(const void* rows, size_t stride_bytes) {
    for (size_t r = 0; r < kTileUnitRows; ++r) {
      std::memcpy(tiles()[kTile].bytes[r], static_cast<const uint8_t*>(rows) + r * stride_bytes, kTileUnitBytes);
    }
  }
  template <int kTile>
  static void load_stream(const void* rows, size_t stride_bytes) {
    load<kTile>(rows, stride_bytes);
  }
  // Rounds as the instruction does: the even and the odd inputs of a tile are summed apart, then together, then onto C.
  // A product of two bf16 is exact in fp32, so that a fused multiply-add and this are one.
  template <int kC, int kA, int kB>
  [[gnu::noinline, gnu::no_sanitize_thread]] static void multiply_bf16() {
    for (size_t m = 0; m < kTileUnitRows; ++m) {
      float even[16] = {}, odd[16] = {};
      for (size_t k = 0; k < kTileUnitRows; ++k) {
        const float a0 = bf16(kA, m, 2 * k), a1 = bf16(kA, m, 2 * k + 1);
        for (size_t n = 0; n < 16; ++n) {
          even[n] += a0 * bf16(kB, k, 2 * n);
          odd[n] += a1 * bf16(kB, k, 2 * n + 1);
        }
      }
      for (size_t n = 0; n < 16; ++n) {
        const float sum = get<float>(kC, m, n) + (even[n] + odd[n]);
        std::memcpy(&tiles()[kC].bytes[m][4 * n], &sum, 4);
      }
    }
  }
  template <int kC, int kA, int kB>
  [[gnu::noinline, gnu::no_sanitize_thread]] static void multiply_u8s8() {
    for (size_t m = 0; m < kTileUnitRows; ++m) {
      for (size_t n = 0; n < 16; ++n) {
        int32_t sum = get<int32_t>(kC, m, n);
        for (size_t k = 0; k < kTileUnitBytes; ++k) {
          sum += get<uint8_t>(kA, m, k) * get<int8_t>(kB, k / 4, 4 * n + k % 4);
        }
        std::memcpy(&tiles()[kC].bytes[m][4 * n], &sum, 4);
      }
    }
  }
  template <int kTile>
  [[gnu::noinline]] static void store(void* rows, size_t stride_bytes) {
    for (size_t r = 0; r < kTileUnitRows; ++r) {
      std::memcpy(static_cast<uint8_t*>(rows) + r * stride_bytes, tiles()[kTile].bytes[r], kTileUnitBytes);
    }
  }

 private:
  template <class T>
  [[gnu::no_sanitize_thread]] static T get(int tile, size_t row, size_t column) {
    T value;
    std::memcpy(&value, &tiles()[tile].bytes[row][column * sizeof(T)], sizeof(T));
    return value;
  }
  [[gnu::no_sanitize_thread]] static float bf16(int tile, size_t row, size_t column) {
    const uint32_t bits = static_cast<uint32_t>(get<uint16_t>(tile, row, column)) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
};

}  // namespace rerank::engine::cpu
