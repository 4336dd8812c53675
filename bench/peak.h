// What this machine's matrix units and vector units can do right now, measured by loops that do nothing else: the
// yardstick for "% of peak". These machines throttle in windows, so measure it beside what it is compared with.
#pragma once

#include <cstddef>

#include "engine/cpu/vector/kernels.h"

namespace rerank::bench {

enum class Unit { kAmxBf16, kAmxInt8, kFp32, kVectorBf16, kVectorInt8 };
inline constexpr size_t kUnits = 5;

// Processor time of this thread, in seconds: what other work takes on a busy machine does not count.
double thread_seconds();

// Operations (a multiply-add is two) per second of processor time of `threads` threads together, over about 40 ms:
// random operands, tiles loaded from the L1 cache as a matrix product does; vectors stay in registers: VDPBF16PS,
// VPDPBUSD (without VNNI VPMADDUBSW and what goes with it). 0 where this CPU lacks the unit.
double measure_peak(Unit unit, size_t threads);

// What a tier's layers multiply with.
Unit unit_of(const engine::cpu::KernelTable& table);

}  // namespace rerank::bench
