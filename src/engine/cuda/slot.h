// A batch's place among those in flight: what it cannot share with the batches before and after it, which run on the
// same stream and with the same activations. Its copies have a stream of their own, so that they go on beside what is
// computed.
#pragma once

#include <cstring>
#include <span>

#include "engine/cuda/batch_input.h"

namespace rerank::engine::cuda {

class Slot {
 public:
  BatchInput input;

  // Takes a whole batch to the device; what is started on `stream` from now on finds it there. `width`: of the vectors
  // of marked tokens, where the model makes them.
  void load(const BatchSpec& spec, bool scores_last, uint32_t width, cudaStream_t stream) {
    input.load(spec, scores_last, copies_.get());
    width_ = width;
    logits_.resize(floats(input.full().sequences, input.full().marked, width));
    results_.resize(floats(input.full().sequences, input.full().marked, width) * sizeof(float));
    check(cudaEventRecord(arrived_.get(), copies_.get()), "a batch");
    check(cudaStreamWaitEvent(stream, arrived_.get()), "a batch");
  }

  // On the device. Of vectors with room for as many as a product has rows.
  float* logits() const { return logits_.data(); }

  // Logits that `stream` computes are on their way back from then on; receive() waits for them, and for nothing that is
  // started later.
  void send_back(cudaStream_t stream) {
    check(cudaEventRecord(computed_.get(), stream), "results");
    check(cudaStreamWaitEvent(copies_.get(), computed_.get()), "results");
    check(cudaMemcpyAsync(results_.as<void>(), logits_.data(), result_bytes(), cudaMemcpyDeviceToHost, copies_.get()),
          "results");
  }
  void receive(float* logits) {
    check(cudaStreamSynchronize(copies_.get()), "computing a batch");
    std::memcpy(logits, results_.as<void>(), result_bytes());
  }

  // Other results of the batch; waits for all that is on the stream.
  void receive_now(const float* from, std::span<float> to, cudaStream_t stream) {
    results_.resize(to.size_bytes());
    check(cudaMemcpyAsync(results_.as<void>(), from, to.size_bytes(), cudaMemcpyDeviceToHost, stream), "results");
    check(cudaStreamSynchronize(stream), "computing a batch");
    std::memcpy(to.data(), results_.as<void>(), to.size_bytes());
  }

  // After a failure: none of its copies is under way when this returns.
  void drain() { (void)cudaStreamSynchronize(copies_.get()); }

  static size_t device_bytes(uint32_t tokens, uint32_t sequences, uint32_t marked, uint32_t width) {
    return BatchInput::device_bytes(tokens, sequences, marked) +
           floats(padded_sequences(sequences), marked, width) * sizeof(float);
  }

 private:
  static size_t floats(uint32_t sequences, uint32_t marked, uint32_t width) {
    return marked == 0 ? sequences : padded_rows(marked) * size_t{width};
  }
  // Of the sequences that are still there, or of the marked tokens.
  size_t result_bytes() const {
    const size_t marked = input.exact().marked;
    return (marked == 0 ? input.batch().size() : marked * width_) * sizeof(float);
  }

  Stream copies_;
  Event arrived_, computed_;
  uint32_t width_ = 0;
  DeviceBuffer<float> logits_;
  PinnedBuffer results_;
};

}  // namespace rerank::engine::cuda
