// The values of a program's weights, by the names of its arguments (forward.h).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/pjrt/stablehlo/text.h"
#include "model/weights.h"

namespace rerank::engine::pjrt {

class NamedWeights {
 public:
  // `model` must have weights, and outlive this.
  explicit NamedWeights(const model::Model& model);

  // Of an argument that is not an input, row-major. Internal where the model has none of that name and size: the
  // program was written for another architecture.
  Result<std::vector<float>> floats(const Value& argument) const;

  // The tensors of the model's files that an argument is made of, for people; empty: it is computed.
  std::string source(const Value& argument) const;

 private:
  struct Entry {
    std::string source;
    std::function<std::vector<float>()> read;
  };
  void add(const std::string& name, const model::TensorView& view);
  void add(const std::string& name, const model::Linear& linear);
  void add(const std::string& name, const model::Norm& norm);
  template <class T>
  void add(const std::string& name, const std::optional<T>& there) {
    if (there) add(name, *there);
  }
  void add_layer(size_t number, const model::Architecture& architecture);
  void add_ropes(const model::Architecture& architecture);

  const model::Weights& weights_;
  std::map<std::string, Entry> entries_;
  std::vector<float> relative_;  // DeBERTa's table of relative positions
};

// fp32 -> the bytes of an element type, kF32 or kBF16.
std::string element_data(const std::vector<float>& values, Element element);

}  // namespace rerank::engine::pjrt
