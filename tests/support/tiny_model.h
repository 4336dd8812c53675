// Makes small random models in Hugging Face layout, for tests: any family, any shape, any dtype.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/safetensors.h"

namespace rerank::testing {

struct TinyModelSpec {
  std::string architecture = "BertForSequenceClassification";
  size_t layers = 2, hidden = 32, heads = 4, intermediate = 64, vocabulary = 100, positions = 64;
  size_t segments = 2, embedding = 0;  // embedding 0: as hidden
  size_t labels = 1;
  std::string activation = "gelu";
  model::DType dtype = model::DType::kF32;
  uint64_t seed = 1;
};

struct NamedTensor {
  std::string name;
  std::vector<size_t> shape;
  std::vector<float> values;
};

// The tensors that such a model has, with random values of a trained model's magnitude.
std::vector<NamedTensor> make_tensors(const TinyModelSpec& spec);

std::string make_config_json(const TinyModelSpec& spec);

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors, model::DType dtype);

// Writes config.json and model.safetensors into a fresh folder under the test's temporary directory; returns the
// folder.
std::string write_tiny_model(const TinyModelSpec& spec, const std::string& name);

}  // namespace rerank::testing
