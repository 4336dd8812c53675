// Attention in an ONNX graph: masks, positions and the products of a block.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "convert/onnx_parts.h"

namespace rerank::convert {

class OnnxAttention : protected OnnxParts {
 protected:
  using OnnxParts::OnnxParts;

  // What all blocks use.
  void begin();
  // The result of attention of block `number`, [batch, length, hidden], of the rows that it reads.
  std::string context(size_t number, const std::string& input, const std::string& at);

 private:
  struct Mask {                          // of a block's tokens
    bool causal = false, first = false;  // first: the first token is seen from everywhere
    size_t window = 0;
    auto operator<=>(const Mask&) const = default;
  };
  static Mask mask_of(const model::Attention& attention);
  void make_masks();
  std::string masked(const Mask& mask, const std::string& name);
  std::string of_groups(const std::string& heads, const model::Attention& attention, const std::string& name);
  std::string distances();  // |i - j| of every two positions, fp32 [length, length]
  std::string rotated(const std::string& x, const model::Attention& attention, const std::string& name);
  std::string with_global_row(const std::string& mixed, size_t number, const std::string& input, const std::string& at);
  std::pair<std::string, std::string> angles(const model::Attention& attention);
  std::string alibi(const model::Attention& attention);
  std::string relative_rows(const model::Attention& attention);
  std::string bucket_bias(const model::Attention& attention);
  std::string positions_of(const model::Linear& projection, const std::string& name);
  std::string with_positions(size_t number, std::string products, const std::string& query, const std::string& key,
                             const std::string& at);

  std::string context_shape_, head_shape_, key_head_shape_, root_;
  std::map<Mask, std::string> masks_;  // of full attention: of padding alone
  std::map<model::Rope, std::pair<std::string, std::string>> angles_;
  std::vector<float> relative_;  // the table of relative positions
};

}  // namespace rerank::convert
