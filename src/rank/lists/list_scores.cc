#include "rank/lists/list_scores.h"

#include <algorithm>
#include <cmath>

namespace rerank::rank {
namespace {

float cosine(std::span<const double> query, std::span<const float> document) {
  double product = 0, of_query = 0, of_document = 0;
  for (size_t i = 0; i < query.size(); ++i) {
    product += query[i] * document[i];
    of_query += query[i] * query[i];
    of_document += static_cast<double>(document[i]) * document[i];
  }
  return static_cast<float>(product / (std::sqrt(of_query) * std::sqrt(of_document)));
}

}  // namespace

std::vector<float> list_scores(std::span<const text::ListBlock> blocks, std::span<const float> vectors, size_t width) {
  std::vector<double> query(width), own(width);
  const auto each = [&](const auto& visit) {
    for (size_t b = 0, at = 0; b < blocks.size(); at += (blocks[b++].count + 1) * width)
      visit(vectors.subspan(at, blocks[b].count * width), vectors.subspan(at + blocks[b].count * width, width));
  };
  double weights = 0;
  each([&](std::span<const float> documents, std::span<const float> of_query) {
    std::copy(of_query.begin(), of_query.end(), own.begin());
    double best = -1;
    for (size_t at = 0; at < documents.size(); at += width)
      best = std::max(best, static_cast<double>(cosine(own, documents.subspan(at, width))));
    const double weight = blocks.size() == 1 ? 1 : (1 + best) / 2;
    for (size_t i = 0; i < width; ++i) query[i] += weight * of_query[i];
    weights += weight;
  });
  for (double& value : query) value /= weights;
  std::vector<float> scores;
  each([&](std::span<const float> documents, std::span<const float>) {
    for (size_t at = 0; at < documents.size(); at += width)
      scores.push_back(cosine(query, documents.subspan(at, width)));
  });
  return scores;
}

}  // namespace rerank::rank
