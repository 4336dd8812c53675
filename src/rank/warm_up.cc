#include "rank/warm_up.h"

#include <algorithm>

#include "base/status_macros.h"

namespace rerank::rank {
namespace {

// A batch that is predicted to take longer is left out: large models on small machines should start soon, too.
constexpr double kLongestSeconds = 0.5;
// How far from the shape's word a measured attention cost is believed.
constexpr double kRange = 5;

struct Shape {
  size_t sequences;
  uint32_t length;
};
// From small to large, so that each predicts the next; the last two have the same tokens at other lengths.
constexpr Shape kShapes[] = {{1, 32}, {4, 32}, {8, 64}, {8, 128}, {2, 512}};

}  // namespace

schedule::AttentionCost attention_cost(const model::Architecture& a) {
  double linear = 0;
  schedule::AttentionCost cost;
  for (const model::Block& block : a.blocks) {
    const model::Attention& attention = block.attention;
    const bool causal = attention.mask == model::MaskKind::kCausal;
    linear += model::block_products(a, block);
    const double each = model::attention_products(block, 1);
    if (attention.window != 0 && attention.mask != model::MaskKind::kFull) {
      cost.windowed += each;
      cost.span = std::max(cost.span, static_cast<double>(causal ? attention.window : 2 * attention.window + 1));
    } else {
      cost.square += causal ? each / 2 : each;
    }
  }
  if (linear <= 0) return {.square = 1e-3};  // a graph of unknown shape: about that of 384 hidden units
  cost.square /= linear;
  cost.windowed /= linear;
  return cost;
}

Result<WarmUp> warm_up(engine::Backend& backend, std::span<const int32_t> ids, const schedule::AttentionCost& shape,
                       const std::function<double()>& clock, schedule::Turns::Seat* seat) {
  WarmUp result{{}, shape};
  const auto limit = static_cast<uint32_t>(std::max<size_t>(1, backend.info().max_length));
  const auto run = [&](Shape wanted) -> Result<schedule::MeasuredBatch> {
    schedule::MeasuredBatch batch{std::vector<uint32_t>(wanted.sequences, std::min(wanted.length, limit)), 0};
    engine::OwnedBatch pairs;
    for (size_t s = 0; s < batch.lengths.size(); ++s) {
      // Each begins elsewhere: what sequences begin with together an engine may compute once.
      std::vector<int32_t> tokens(batch.lengths[s]);
      for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = ids[(s + i) % ids.size()];
      pairs.add(tokens);
    }
    std::vector<float> logits(wanted.sequences);
    if (seat) seat->take(0);
    const double begin = clock();
    const Status status = backend.forward(pairs, logits);
    batch.seconds = clock() - begin;
    if (seat) seat->give_back(batch.seconds, std::nullopt);
    if (!status.ok()) return status;
    return batch;
  };
  RETURN_IF_ERROR(run(kShapes[0]).status());  // pages in; its time means nothing
  double seconds_per_token = 0;
  for (const Shape& wanted : kShapes) {
    const double tokens = static_cast<double>(wanted.sequences) * std::min(wanted.length, limit);
    if (seconds_per_token * tokens > kLongestSeconds) break;
    ASSIGN_OR_RETURN(auto first, run(wanted));
    ASSIGN_OR_RETURN(auto second, run(wanted));
    result.batches.push_back(first.seconds < second.seconds ? std::move(first) : std::move(second));
    seconds_per_token = result.batches.back().seconds / tokens;
  }
  if (result.batches.size() == std::size(kShapes) && limit >= kShapes[4].length) {
    // Equally many tokens, so t(long) / t(short) = (1 + f a(long)) / (1 + f a(short)): f, how much more than a, the
    // shape's word on a token's attention, it takes.
    const double ratio = result.batches[4].seconds / std::max(1e-9, result.batches[3].seconds);
    const double divisor = shape.of_token(kShapes[4].length) - ratio * shape.of_token(kShapes[3].length);
    const double factor = std::clamp(divisor > 0 ? (ratio - 1) / divisor : kRange, 1 / kRange, kRange);
    result.attention.square *= factor;
    result.attention.windowed *= factor;
  }
  return result;
}

}  // namespace rerank::rank
