// One ONNX Runtime session over a cross-encoder's graph: [rows, length] ids -> a logit for each row. run() may be
// called by several threads at once, each with a Worker of its own.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/onnx/providers.h"
#include "engine/padded/padding.h"
#include "model/graph_file.h"
#include "rerank/status.h"

namespace rerank::engine::onnx {

struct SessionSpec {
  model::GraphFile file;
  std::vector<ProviderChoice> providers;
  size_t threads = 1;  // of one run, the caller's included
  bool arena = true;   // ONNX Runtime keeps memory for activations; where runs stand side by side, malloc is faster
  PadValues pad;
};

class GraphSession {
 public:
  // What a thread needs to run the session: buffers that grow to the largest block and stay, bound to inputs and
  // output.
  class Worker {
   public:
    explicit Worker(GraphSession& session);

   private:
    friend class GraphSession;
    Ort::IoBinding binding_;
    std::vector<std::vector<std::byte>> inputs_;
    std::vector<std::byte> output_;
  };

  // Loads the graph, and runs it once on a few tokens to see that it is a cross-encoder's. Errors name the file and the
  // input or output that does not fit.
  static Result<std::unique_ptr<GraphSession>> open(const SessionSpec& spec);

  // logits[s] of each sequence s of the block. Internal when ONNX Runtime fails, with what it says.
  Status run(Worker& worker, const Batch& batch, const PaddedBlock& block, std::span<float> logits);

  size_t fixed_rows() const { return fixed_rows_; }      // 0: any
  size_t fixed_length() const { return fixed_length_; }  // 0: any
  bool wants_segments() const;

 private:
  struct Input {
    std::string name;
    TokenInput what = TokenInput::kIds;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  };

  explicit GraphSession(const SessionSpec& spec) : path_(spec.file.path), pad_(spec.pad) {}
  Status find_inputs();
  Status find_output();
  Status probe();
  void bind(Worker& worker, const Batch& batch, const PaddedBlock& block);

  std::string path_;
  PadValues pad_;
  Ort::Session session_{nullptr};
  Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<Input> inputs_;
  std::string output_;
  ONNXTensorElementDataType output_type_ = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  size_t output_rank_ = 2, labels_ = 1;
  size_t fixed_rows_ = 0, fixed_length_ = 0;
};

}  // namespace rerank::engine::onnx
