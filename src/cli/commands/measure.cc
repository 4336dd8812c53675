#include "cli/commands/measure.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "engine/encoder.h"
#include "rerank/types.h"

namespace rerank::cli {

namespace {
constexpr int kRounds = 5;
}

double seconds_of_pair(engine::Backend& backend, const model::Architecture& architecture, size_t tokens,
                       size_t vocabulary, double least_seconds) {
  const size_t pairs = std::clamp<size_t>(4096 / tokens, 1, 64);
  engine::OwnedBatch batch;
  std::vector<int32_t> ids(tokens);
  for (size_t p = 0; p < pairs; ++p) {
    for (size_t i = 0; i < tokens; ++i) ids[i] = static_cast<int32_t>((p * tokens + i) * 7919 % vocabulary);
    batch.add(ids);
  }
  std::vector<float> logits(engine::result_count(architecture, batch));
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const TimePoint begin = Clock::now();
    double seconds = 0;
    size_t times = 0;
    while (seconds < least_seconds) {
      if (!backend.forward(batch, logits).ok()) return 0;
      seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      ++times;
    }
    const double each = seconds / static_cast<double>(times * pairs);
    best = round == 0 ? each : std::min(best, each);
  }
  return best;
}

}  // namespace rerank::cli
