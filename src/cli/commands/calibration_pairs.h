// Pairs that int8 weights are calibrated on, as a batch: a file of the user's, or a few of our own.
#pragma once

#include <string>

#include "engine/batch.h"
#include "model/weights.h"
#include "rerank/status.h"

namespace rerank::cli {

class CalibrationPairs {
 public:
  // `path`: {"query", "document"} lines, as `rerankd score` reads them; empty: our own. At most 256 tokens of each
  // pair, at most 64 pairs. Uses the model's tokenizer.
  Status read(const std::string& path, const model::Model& model);

  engine::Batch batch() const { return batch_; }

 private:
  engine::OwnedBatch batch_;
};

}  // namespace rerank::cli
