// How a batch is shared out over threads: into groups of whole sequences, each computed by one thread without waiting
// for the others. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rerank::engine::cpu {

struct Grouping {
  std::vector<std::vector<uint32_t>> groups;  // sequence numbers; every sequence is in exactly one group
  bool together = false;  // shared out so unevenly that all threads had better work on one group after another
};

// Groups of about `group_tokens` tokens (large enough to use a weight panel many times, small enough for the
// activations to stay in the cache), as even as whole sequences allow: longest first, each into the lightest group.
Grouping share_out(std::span<const uint32_t> offsets, size_t threads, size_t group_tokens);

}  // namespace rerank::engine::cpu
