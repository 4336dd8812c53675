// The recorded models under tests/data/models and what transformers computes for them
// (tools/goldens/make_model_goldens.py).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rerank::testing {

struct GoldenPair {
  std::string query, document;
  std::vector<int32_t> ids, segments;
  double logit = 0;
};

// Folders of all recorded models, sorted by name.
std::vector<std::string> golden_models();

std::vector<GoldenPair> read_golden_pairs(const std::string& folder);

}  // namespace rerank::testing
