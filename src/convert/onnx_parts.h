// What an ONNX graph of an encoder is made of: weights in the graph's type, linear layers in it or in int8, norms and
// activations as ONNX Runtime's fusions look for them (convert/write_onnx.cc). Includes libonnx' classes: for this
// room's .cc files only.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "convert/graph_builder.h"
#include "convert/writers.h"
#include "model/weights.h"

namespace rerank::convert {

// Names of values are results; names of nodes are given. Those that several nodes use are made at their first use.
class OnnxParts {
 protected:
  using Attributes = GraphBuilder::Attributes;

  OnnxParts(const model::Model& model, const ConvertOptions& options, GraphBuilder& graph);

  // True at the first call with this name.
  bool is_new(const std::string& name) { return shared_.insert(name).second; }

  // x W^T + b, in int8 where that is wanted.
  std::string linear(const std::string& x, const model::Linear& w, const std::string& name);
  // The same for one row per sequence, never quantized.
  std::string dense_of(const std::string& x, const model::Linear& w, const std::string& name);
  // ... and for all rows of each.
  std::string dense_of_rows(const std::string& x, const model::Linear& w, const std::string& name);
  std::string norm(const std::string& x, const model::Norm& w, const std::string& name, float epsilon);
  std::string capped(const std::string& x, float cap, const std::string& name);  // cap x tanh(x / cap)
  std::string activate(const std::string& x, model::Activation activation, const std::string& name);
  // A layer's feed-forward, or one expert's: `w` has up, down, and perhaps a gate.
  template <class FeedForwardWeights>
  std::string feed_forward(const std::string& x, const FeedForwardWeights& w, const model::FeedForward& ff,
                           const std::string& at) {
    std::string inner = linear(x, w.up, at + "up");
    if (w.gate) {
      const std::string gate = activate(linear(x, *w.gate, at + "gate"), ff.activation, at + "activation");
      inner = graph_.node("Mul", {gate, inner}, at + "gated");
    } else {
      inner = activate(inner, ff.activation, at + "activation");
    }
    return linear(inner, w.down, at + "down");
  }
  // A feed-forward of experts, of rows of any rank (onnx_experts.cc).
  std::string experts(const std::string& input, const model::LayerWeights& w, const model::FeedForward& ff,
                      const std::string& at);

  std::string weights(const std::string& name, const std::vector<int64_t>& shape, const std::vector<float>& values);
  std::string table_of(const std::string& name, const model::TensorView& view);
  std::string scalar(const std::string& name, float value) { return weights(name, {}, {value}); }
  std::string shared(const std::string& name, float value) { return is_new(name) ? scalar(name, value) : name; }
  std::string one() { return shared("one", 1); }

  // The number of tokens, [1], and the first so many rows of a table by position.
  std::string length();
  std::string used_rows(const std::string& table, const std::string& name);
  // i - j of every two positions, fp32 [length, length].
  std::string signed_distances();

  const model::Architecture& a_;
  const model::Weights& weights_;
  const ConvertOptions& options_;
  GraphBuilder& graph_;
  onnx::TensorProto::DataType type_ = onnx::TensorProto::FLOAT;

 private:
  struct Quantized {
    std::string values, scale, zero;
  };
  std::string expert_shares(const std::string& rows, const model::LayerWeights& w, const model::Experts& experts,
                            const std::string& at);
  std::string rms_norm(const std::string& x, const model::Norm& w, const std::string& name);
  bool is_quantized(const model::Linear& w) const;
  Quantized quantize_batch(const std::string& x);
  Quantized quantize_tokens(const std::string& x);
  std::string integer_product(const std::string& x, const model::Linear& w, const std::string& name);
  std::string matrix(const model::Linear& w, const std::string& name);
  // Blocks may share tensors: the name of the first use, or an empty one, which `name` becomes.
  std::string& placed(const model::TensorView& view, const char* form);
  void report(size_t values);

  std::map<std::string, Quantized> quantized_;  // by what was quantized
  std::map<std::pair<const std::byte*, std::string>, std::string> placed_;
  std::set<std::string> shared_;
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace rerank::convert
