// The service over recorded models, as tests open it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "rerank/reranker.h"

namespace rerank::rank {

inline std::unique_ptr<Reranker> open(const std::string& folder, const std::function<void(Options&)>& change = {}) {
  Options options;
  options.model.source.model = folder;
  options.model.engine.precision = Precision::kFp32;
  options.host.threads = 2;
  if (change) change(options);
  auto reranker = Reranker::open(options);
  EXPECT_TRUE(reranker.ok()) << reranker.status();
  return std::move(*reranker);
}

inline std::string bert() { return RERANKD_SOURCE_DIR "/tests/data/models/bert-a"; }

}  // namespace rerank::rank
