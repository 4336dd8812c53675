#include "engine/padded/padding.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace rerank::engine {
namespace {

// Blocks of more rows gain nothing and would make the search below slow.
constexpr size_t kMaxRows = 256;

size_t padded_length(size_t length, const PaddingRule& rule) {
  if (rule.fixed_length != 0) return rule.fixed_length;
  const size_t step = std::max<size_t>(1, rule.length_step);
  const size_t rounded = (length + step - 1) / step * step;
  return rule.max_length != 0 ? std::max(length, std::min(rounded, rule.max_length)) : rounded;
}

// The smallest of the shapes that holds so many sequences; null: none does.
const PaddedShape* shape_for(const PaddingRule& rule, size_t sequences, size_t length) {
  const PaddedShape* best = nullptr;
  for (const PaddedShape& shape : rule.shapes) {
    if (shape.rows < sequences || shape.length < length) continue;
    if (best == nullptr || shape.tokens() < best->tokens()) best = &shape;
  }
  return best;
}

// What a block of sequences [begin, end) in the order of falling lengths is: its rows, its length; 0 rows: it cannot
// be.
PaddedShape shape_of(const PaddingRule& rule, size_t sequences, size_t longest, size_t block_tokens) {
  if (!rule.shapes.empty()) {
    const PaddedShape* shape = shape_for(rule, sequences, longest);
    return shape == nullptr ? PaddedShape{} : *shape;
  }
  const size_t length = padded_length(longest, rule);
  if (sequences > 1 && sequences * length > block_tokens) return {};
  return {rule.fixed_rows != 0 ? rule.fixed_rows : sequences, length};
}

}  // namespace

std::vector<PaddedBlock> share_out_padded(const Batch& batch, const PaddingRule& rule, size_t parts) {
  const size_t n = batch.size();
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return batch.length(a) > batch.length(b); });
  size_t block_tokens = rule.block_tokens;
  if (parts > 1 && n > 0) {  // at most a part's share, rounded up to a whole row
    size_t total = 0;
    for (size_t i = 0; i < n; ++i) total += padded_length(batch.length(i), rule);
    block_tokens =
        std::min(block_tokens, (total + parts - 1) / parts + padded_length(batch.length(order[0]), rule) - 1);
  }
  size_t max_rows = rule.fixed_rows != 0 ? rule.fixed_rows : kMaxRows;
  for (const PaddedShape& shape : rule.shapes) max_rows = std::max(max_rows, shape.rows);
  // cost[i]: of the best blocks for the first i sequences; first[i]: where the last of them begins.
  std::vector<size_t> cost(n + 1, std::numeric_limits<size_t>::max()), first(n + 1, 0);
  cost[0] = 0;
  for (size_t begin = 0; begin < n; ++begin) {
    for (size_t end = begin + 1; end <= std::min(n, begin + max_rows); ++end) {
      const PaddedShape shape = shape_of(rule, end - begin, batch.length(order[begin]), block_tokens);
      if (shape.rows == 0) break;
      const size_t with = cost[begin] + rule.block_cost + shape.tokens();
      if (with < cost[end]) {
        cost[end] = with;
        first[end] = begin;
      }
    }
  }
  std::vector<PaddedBlock> blocks;
  for (size_t end = n; end > 0; end = first[end]) {
    PaddedBlock block;
    block.sequences.assign(order.begin() + static_cast<ptrdiff_t>(first[end]),
                           order.begin() + static_cast<ptrdiff_t>(end));
    const PaddedShape shape = shape_of(rule, block.sequences.size(), batch.length(block.sequences[0]), block_tokens);
    block.rows = shape.rows;
    block.length = shape.length;
    blocks.push_back(std::move(block));
  }
  std::reverse(blocks.begin(), blocks.end());
  return blocks;
}

}  // namespace rerank::engine
