// What this machine's matrix units and vector units can do right now, measured by loops that do nothing else: the
// yardstick for "% of peak". These machines throttle in windows, so measure it beside what it is compared with.
#pragma once

#include <cstddef>

namespace rerank::bench {

enum class Unit { kAmxBf16, kAmxInt8, kFp32 };

// Operations (a multiply-add is two) per second of `threads` threads together, over about 40 ms: random operands, tiles
// loaded from the L1 cache as a matrix product does. 0 where this CPU lacks the unit.
double measure_peak(Unit unit, size_t threads);

}  // namespace rerank::bench
