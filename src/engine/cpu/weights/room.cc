#include "engine/cpu/weights/room.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "base/strings.h"

namespace rerank::engine::cpu {
namespace {

std::string gigabytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

}  // namespace

uint64_t packed_bytes(const model::Weights& weights, Precision precision) {
  uint64_t elements = 0;
  for (const model::UsedTensor& used : weights.used)
    if (used.block_matrix) elements += used.view.elements();
  return static_cast<uint64_t>(static_cast<double>(elements) * bytes_per_weight(precision));
}

Status check_room(const model::Weights& weights, Precision precision, uint64_t memory, uint64_t taken) {
  const uint64_t wanted = packed_bytes(weights, precision);
  const uint64_t left = memory - std::min(memory, taken);
  if (wanted <= left) return ok_status();
  std::string instead;
  for (const Precision other : {Precision::kBf16, Precision::kInt8, Precision::kInt4}) {
    if (const uint64_t bytes = packed_bytes(weights, other); bytes <= left && bytes < wanted)
      instead += str_cat(instead.empty() ? "" : ", ", "--precision ", word_of(other), " (", gigabytes(bytes), ")");
  }
  return absl::ResourceExhaustedError(str_cat(
      "cpu engine: the weights take ", gigabytes(wanted), " in ", word_of(precision), ", and there are ",
      gigabytes(memory), " of memory; ",
      taken == 0 ? std::string() : str_cat("other models' weights have ", gigabytes(taken), " of it; "),
      instead.empty() ? std::string("no precision makes them fit") : str_cat("these would have room: ", instead)));
}

}  // namespace rerank::engine::cpu
