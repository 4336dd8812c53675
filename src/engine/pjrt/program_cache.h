// Compiled programs in files, so that a later start need not compile. A file is a header (magic, sizes, hash), the text
// of its key, and the program as its plugin serialized it. Its name is made from the key; it is written under another
// name and renamed when it is whole. A file that is none, or another's, is passed over.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "rerank/status.h"

namespace rerank::engine::pjrt {

// All that decides whether a serialized program can be used: what it computes, and what made it. Another version of a
// plugin may crash on it, so that the plugin's bytes are in the key.
struct ProgramKey {
  std::string plugin;    // plugin_digest()
  std::string platform;  // "tpu"
  std::string device;    // kind, "TPU v5 lite"; of a CPU with its model
  std::string program;   // hash of its text
  std::string options;   // how it was compiled
  std::string text() const;
};

struct CachedProgram {
  std::string bytes;
  double compile_seconds = 0;  // that it took when it was compiled
};

class ProgramCache {
 public:
  // `folder` is made when something is kept. `max_bytes`: of all files in it; the least recently used leave.
  ProgramCache(std::string folder, size_t max_bytes) : folder_(std::move(folder)), max_bytes_(max_bytes) {}

  // InvalidArgument where other users could put files there: what is loaded from it is run.
  Status check() const;

  // nullopt: not there, or damaged, which the log says.
  std::optional<CachedProgram> find(const ProgramKey& key) const;
  bool has(const ProgramKey& key) const;
  // Unavailable where it cannot be written; ResourceExhausted where it alone is larger than the cache may be.
  Status keep(const ProgramKey& key, const CachedProgram& program) const;

  std::string path(const ProgramKey& key) const;

 private:
  Result<CachedProgram> read(const ProgramKey& key) const;

  std::string folder_;
  size_t max_bytes_;
};

// Hash of a plugin's file; its bytes are read once for each file and process.
Result<std::string> plugin_digest(const std::string& path);

// What a program is compiled for: the kind of a device; of CPUs with their model and features.
std::string device_text(const std::string& platform, const std::string& kind);

}  // namespace rerank::engine::pjrt
