// Attention of a block: masks, positions, products.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "engine/pjrt/stablehlo/parts.h"

namespace rerank::engine::pjrt {

class ForwardAttention : protected ForwardParts {
 protected:
  using ForwardParts::ForwardParts;

  void begin(const Value& lengths);

  // Whether a token lies inside its sequence, [rows, length].
  const Value& inside() const { return inside_; }
  const Value& lengths() const { return lengths_; }
  // Of [rows, length, ...]: the row of each sequence that the head reads, [rows, 1, ...].
  Value scored_rows(const Value& x);
  // [rows, length, heads x head size] of all rows of `input`, or of those that the head reads: [rows, 1, ...].
  Value context(size_t block, const Value& input, bool scored);
  // Names of the block whose tensors this one has.
  std::string tensors_of(size_t block) const;

 private:
  using Attention = model::Attention;
  struct Heads {
    Value query, key, value;  // [rows, length or 1, heads, head size]
  };

  Value mask(const Attention& attention);
  Value heads(const Value& x, const std::string& name, size_t count, const Attention& attention);
  Value rotated(const Value& x, const Attention& attention, bool scored);
  Value repeated(const Value& x, const Attention& attention);
  Value relative_numbers(const Attention& attention, bool by_key);
  Value skewed(const Value& x);
  Value with_positions(size_t block, Value products, const Heads& heads, bool scored);
  Value bias_by_distance(const Attention& attention);
  Value mixed(const Attention& attention, Value scores, const Value& seen, const Value& value);
  Value first_rows_context(size_t block, const Value& input);

  Value lengths_, inside_;
  std::optional<Value> last_tokens_, distances_;               // [rows], numbers of rows; query - key, [length, length]
  std::map<std::pair<model::MaskKind, size_t>, Value> masks_;  // [rows, length, length]
  std::map<model::Rope, std::string> ropes_;
  std::optional<Value> bias_;  // of buckets or ALiBi, [heads, length, length]
};

}  // namespace rerank::engine::pjrt
