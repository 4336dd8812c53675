// One model on one device, whatever its type. What each call does: plugin.h. Errors are thrown (device.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/cuda/kernels/tuning.h"
#include "engine/cuda/plugin.h"

namespace rerank::engine::cuda {

struct Engine {
  virtual ~Engine() = default;
  virtual void start(uint32_t slot, const BatchSpec& batch) = 0;
  virtual void step(float* pooled) = 0;
  virtual void keep(std::span<const uint32_t> sequences) = 0;
  virtual void launch(uint32_t layers) = 0;
  virtual void finish(uint32_t slot, float* logits) = 0;
  virtual uint64_t batch_tokens() = 0;
  virtual Tuning& tuning() = 0;
  virtual void use_graphs(bool on) = 0;
  virtual std::string use_wgmma(bool on) = 0;
  virtual uint32_t keep_prefixes(uint64_t bytes) = 0;
};

std::unique_ptr<Engine> make_engine(const ModelSpec& model, Type precision, int device);

}  // namespace rerank::engine::cuda
