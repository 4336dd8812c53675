// A model as librerank_cuda.so is told of it.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <vector>

#include "engine/cuda/plugin.h"
#include "model/weights.h"

namespace rerank::engine {

class CudaModelSpec {
 public:
  explicit CudaModelSpec(const model::Model& model);  // outlived by the model
  CudaModelSpec(const CudaModelSpec&) = delete;
  CudaModelSpec& operator=(const CudaModelSpec&) = delete;

  const cuda::ModelSpec& get() const { return spec_; }

 private:
  // Attention's pattern, in tables that layers share. Pointers into the maps stay valid.
  cuda::PatternSpec pattern_of(const model::Architecture& architecture, const model::Attention& attention);

  void add_experts(const model::LayerWeights& weights, const model::Experts& experts, cuda::LayerSpec& layer);
  cuda::RelativeSpec relative_of(const model::Model& model, size_t block);
  cuda::Tensor tensor_of(const model::TensorView& view);
  cuda::Tensor tensor_of(const std::optional<model::TensorView>& view);
  cuda::LinearSpec linear_of(const model::Linear& linear);
  cuda::LinearSpec linear_of(const std::optional<model::Linear>& linear);
  cuda::NormSpec norm_of(const model::Norm& norm);
  cuda::NormSpec norm_of(const std::optional<model::Norm>& norm);
  // Kept as long as this object.
  cuda::Tensor keep(std::vector<float> values);

  cuda::ModelSpec spec_;
  std::vector<cuda::LayerSpec> layers_;
  std::vector<cuda::LinearSpec> outputs_;
  std::list<std::vector<cuda::ExpertSpec>> experts_;  // of the blocks that have some
  std::vector<float> slopes_;
  std::map<model::Rope, std::vector<float>> angles_;
  std::list<std::vector<float>> kept_;
  cuda::Tensor distance_bias_;  // which blocks share
};

}  // namespace rerank::engine
