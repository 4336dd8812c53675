// ONNX graphs of a few nodes. A sequence's logit is the sum of its ids (and positions), for every way that exporters
// write one down.
#pragma once

#include <cstdint>
#include <string>

namespace rerank::testing {

enum class LogitShape { kN, kNx1, kNx2 };

struct SmallGraph {
  LogitShape shape = LogitShape::kNx1;
  bool int32_ids = false;  // else int64
  bool half_logits = false;
  bool positions = false;  // has an input position_ids, and adds them
  int64_t greedy_id = 0;   // batches with this id ask for 2^52 bytes; 0: none does
};

// Writes it to the test's temporary folder; returns the path.
std::string write_small_graph(const SmallGraph& spec, const std::string& name);

}  // namespace rerank::testing
