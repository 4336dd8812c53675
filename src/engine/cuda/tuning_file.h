// What the CUDA engine has found to be fastest (plugin.h), in a file for each kind of device: all models and precisions
// there share it, and processes too.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/cuda/plugin.h"
#include "rerank/status.h"

namespace rerank::engine {

class TuningFile {
 public:
  // `identity`: what the products hold for. The folder is made when something is kept.
  TuningFile(const std::string& folder, const std::string& identity);

  const std::string& path() const { return path_; }

  // None where there is no file, and, with a line in the log, where it is broken or not of this identity.
  std::vector<cuda::TunedProduct> read() const;

  // Adds them to what is there, or replaces it where it cannot be read. Who reads meanwhile sees one or the other. Of
  // two who write at once one may be lost: its products are tuned again some day.
  Status keep(std::span<const cuda::TunedProduct> products) const;

 private:
  Result<std::vector<cuda::TunedProduct>> load() const;

  std::string identity_, path_;
};

}  // namespace rerank::engine
