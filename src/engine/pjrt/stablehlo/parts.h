// What the forward pass is made of: weights as arguments, linear layers, norms, activations.
#pragma once

#include <string>

#include "engine/pjrt/stablehlo/forward.h"

namespace rerank::engine::pjrt {

class ForwardParts {
 protected:
  ForwardParts(const model::Architecture& architecture, const Rectangle& shape, Element matrices, StableHlo& graph)
      : a_(architecture),
        rows_(static_cast<int64_t>(shape.rows)),
        length_(static_cast<int64_t>(shape.length)),
        matrices_(matrices),
        graph_(graph) {}

  // A weight in the precision of matrices; one that is always fp32.
  Value matrix(const std::string& name, const Dims& dims) { return graph_.argument(name, {matrices_, dims}); }
  Value exact(const std::string& name, const Dims& dims) { return graph_.argument(name, {Element::kF32, dims}); }

  // x [..., in] -> [..., out]
  Value linear(const Value& x, const std::string& name, size_t out, bool bias, bool is_exact = false);
  // Over the last dimension.
  Value norm(const Value& x, const std::string& name, float epsilon, bool beta);
  Value block_norm(const Value& x, const std::string& name) { return norm(x, name, a_.norm_epsilon, a_.norm_bias); }
  Value activate(const Value& x, model::Activation activation);
  Value softmax(const Value& x);  // over the last dimension
  Value capped(const Value& x, float cap);

  // `part` [last dimension], and [all but the last], along `dims`.
  Value along_last(const Value& part, const Dims& dims) { return graph_.broadcast(part, dims, {dims.size() - 1}); }
  Value along_rows(const Value& part, const Dims& dims);

  const model::Architecture& a_;
  const int64_t rows_, length_;
  const Element matrices_;
  StableHlo& graph_;

 private:
  Value erf(const Value& x);
};

}  // namespace rerank::engine::pjrt
