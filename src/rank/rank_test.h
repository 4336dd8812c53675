// The service over recorded models, as tests open it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>

#include "base/metrics.h"
#include "base/strings.h"
#include "rerank/reranker.h"

namespace rerank::rank {

using ChangeOptions = std::function<void(Options&)>;

inline Options options_for(const std::string& folder, const ChangeOptions& change = {}) {
  Options options;
  options.model.source.model = folder;
  options.model.engine.precision = Precision::kFp32;
  options.host.threads = 2;
  if (change) change(options);
  return options;
}

inline std::unique_ptr<Reranker> open(const std::string& folder, const ChangeOptions& change = {},
                                      std::shared_ptr<Metrics> metrics = nullptr, const SharedHost& shared = {}) {
  auto reranker = Reranker::open(options_for(folder, change), std::move(metrics), shared);
  EXPECT_TRUE(reranker.ok()) << reranker.status();
  return std::move(*reranker);
}

// Why it is not opened.
inline Status refusal(const std::string& folder, const ChangeOptions& change = {}) {
  return Reranker::open(options_for(folder, change)).status();
}

inline std::string bert() { return RERANKD_SOURCE_DIR "/tests/data/models/bert-a"; }

// A path of this process's own; gone when it ends.
inline std::string temporary(const std::string& name) {
  static const struct Folder {
    const std::string path = str_cat(::testing::TempDir(), "/rank_test.", getpid());
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } folder;
  return str_cat(folder.path, "/", name);
}

// A recorded decoder that takes prompts longer than the recorded sequences: RoPE has no table.
inline std::string decoder_with_room(const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path from = fs::path(RERANKD_SOURCE_DIR) / "tests/data/decoders" / name;
  const fs::path to = temporary(name);
  fs::create_directories(to);
  fs::copy(from, to, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  std::ostringstream config;
  config << std::ifstream(from / "config.json").rdbuf();
  const std::string limit = "\"max_position_embeddings\": 192";
  std::string text = config.str();
  text.replace(text.find(limit), limit.size(), "\"max_position_embeddings\": 4096");
  std::ofstream(to / "config.json") << text;
  return to.string();
}

// The value of a line of metrics that begins with `name` and its labels.
inline double metric(const Metrics& metrics, const std::string& name) {
  const std::string text = "\n" + metrics.to_text();
  const size_t at = text.find("\n" + name + " ");
  EXPECT_NE(at, std::string::npos) << name;
  return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size() + 2));
}

}  // namespace rerank::rank
