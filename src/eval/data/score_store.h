// Scores of pairs kept in a file while an evaluation runs, so that one that was stopped goes on where it was, and one
// that is asked again answers at once. Records of 32 bytes, appended; a last one that is cut short is dropped.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/hash.h"
#include "rerank/status.h"

namespace rerank::eval {

struct KeptScore {
  float logit = 0;
  uint32_t tokens = 0;
  float seconds = 0;  // the pair's share of the time its request took
  uint32_t truncated = 0;
};

class ScoreStore {
 public:
  // Reads what `path` holds and opens it for more; an empty path keeps nothing on disk. Unavailable when the file
  // cannot be made, InvalidArgument when it is something else.
  static Result<std::unique_ptr<ScoreStore>> open(const std::string& path);
  ~ScoreStore();
  ScoreStore(const ScoreStore&) = delete;
  ScoreStore& operator=(const ScoreStore&) = delete;

  const KeptScore* find(const Hash128& key) const;  // null: not there
  Status add(const Hash128& key, const KeptScore& score);
  Status flush();
  size_t size() const { return scores_.size(); }

 private:
  ScoreStore() = default;
  struct KeyHash {
    size_t operator()(const Hash128& key) const { return static_cast<size_t>(key.low); }
  };
  std::string path_;
  std::FILE* file_ = nullptr;
  std::unordered_map<Hash128, KeptScore, KeyHash> scores_;
};

}  // namespace rerank::eval
