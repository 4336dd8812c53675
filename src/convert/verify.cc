#include "convert/verify.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/status_macros.h"
#include "engine/reference/reference_backend.h"

namespace rerank::convert {
namespace {

// Multiplications that the reference may spend: some ten seconds.
constexpr double kBudget = 1e10;
constexpr size_t kMaxPairs = 32, kMinPairs = 4;

struct Explained {
  Precision precision;
  double largest;  // where logits span 2, as those of most models do; in proportion where they span more
};

constexpr Explained kExplained[] = {
    {Precision::kFp32, 1e-3},  // ten times what tests allow, whose models are small
    {Precision::kBf16, 0.1},   // three times
    {Precision::kFp16, 0.1},   // as bf16: it rounds less, but not what is close to 0
};

// A query of a quarter and a document of the rest, of random tokens. Of a model that makes vectors one is at the end.
void add_pair(engine::OwnedBatch& pairs, const model::Architecture& a, size_t length, std::mt19937& random) {
  std::vector<int32_t> ids(length), segments(length);
  for (size_t i = 0; i < length; ++i) {
    ids[i] = static_cast<int32_t>(random() % a.embedding.vocabulary);
    segments[i] = a.embedding.segment_rows > 1 && i >= length / 4 ? 1 : 0;
  }
  if (a.scoring.marks) {
    const auto document = static_cast<int32_t>(a.scoring.marks->document_id),
               query = static_cast<int32_t>(a.scoring.marks->query_id);
    for (int32_t& id : ids)
      if (id == document || id == query) id = 0;
    ids.back() = document;
  }
  pairs.add(ids, segments);
}

}  // namespace

double explained_difference(Precision precision, double spread) {
  for (const Explained& row : kExplained)
    if (row.precision == precision) return row.largest * std::max(1.0, spread / 2);
  return INFINITY;  // 8 and 4 bits lose what they lose, which depends on the model
}

Result<Verification> verify_converted(std::shared_ptr<const model::Model> original, size_t layers,
                                      engine::Backend& converted,
                                      const std::function<void(uint64_t, uint64_t)>& progress) {
  const model::Architecture& a = original->architecture();
  const size_t limit = std::min(a.max_length, converted.info().max_length);
  double per_token = 0;
  for (size_t i = 0; i < (layers != 0 ? layers : a.layers()); ++i) per_token += model::block_products(a, a.blocks[i]);
  const auto tokens = static_cast<size_t>(kBudget / per_token);
  engine::OwnedBatch pairs;
  std::mt19937 random(1);
  while (pairs.size() < kMaxPairs && (pairs.size() < kMinPairs || pairs.tokens() < tokens)) {
    add_pair(pairs, a, std::min<size_t>(limit, 4 + random() % (pairs.offsets.size() % 4 == 0 ? 128 : 28)), random);
  }
  const size_t n = pairs.size(), width = a.scoring.marks ? a.scoring.labels : 1, values = n * width;
  std::vector<float> expected(values), found(values);
  const auto reference = engine::make_reference_backend(std::move(original), nullptr);
  for (size_t i = 0; i < n; ++i) {
    engine::OwnedBatch one;
    one.add(pairs, i);
    one.layers = {static_cast<uint8_t>(layers)};
    RETURN_IF_ERROR(reference->forward(one, std::span(expected).subspan(i * width, width)));
    if (progress) progress(i + 1, n);
  }
  RETURN_IF_ERROR(converted.forward(pairs, found));
  Verification result{.pairs = n, .tokens = pairs.tokens()};
  for (size_t i = 0; i < values; ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - expected[i]);
    result.largest = std::isfinite(difference) ? std::max(result.largest, difference) : difference;
    result.mean += difference / static_cast<double>(values);
  }
  const auto [low, high] = std::minmax_element(expected.begin(), expected.end());
  result.spread = *high - *low;
  return result;
}

}  // namespace rerank::convert
