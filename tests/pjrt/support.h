// The pjrt engine over the fake plugin.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/strings.h"
#include "engine/registry.h"
#include "model/weights.h"

namespace rerank::engine {

inline std::string fake_plugin(const std::string& kind) {
  return str_cat(RERANKD_FAKE_PJRT "/libfake_pjrt_", kind, ".so");
}

inline std::shared_ptr<const model::Model> bert() {
  auto loaded = model::load_model(RERANKD_SOURCE_DIR "/tests/data/models/bert-a");
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *loaded;
}

inline BackendOptions with_plugin(const std::string& plugin, const std::string& client_options = "") {
  BackendOptions options;
  options.pjrt_plugin = plugin;
  options.pjrt_options = client_options;
  options.pjrt_shapes = "1x64,8x16,4x32";
  options.pjrt_cache_bytes = size_t{1} << 20;
  return options;
}

inline Result<std::unique_ptr<Backend>> open(const BackendOptions& options) {
  return open_backend(bert(), EngineKind::kPjrt, options);
}

// Compiled, deserialized, executed, and buffers that live, of the plugin that answers.
inline std::array<int64_t, 4> counts() {
  std::array<int64_t, 4> found{};
  void* handle = ::dlopen(fake_plugin("good").c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto read = reinterpret_cast<void (*)(int64_t*)>(::dlsym(handle, "fake_pjrt_counts"));
  read(found.data());
  ::dlclose(handle);
  return found;
}

// Sequences of 3 to 60 tokens, and what the fake makes of them.
struct FakePairs {
  explicit FakePairs(size_t count) {
    for (size_t pair = 0; pair < count; ++pair) {
      std::vector<int32_t> ids(3 + pair * 37 % 58);
      float sum = 0;
      for (size_t i = 0; i < ids.size(); ++i) {
        ids[i] = static_cast<int32_t>(5 + (i * 11 + pair) % 90);
        sum += static_cast<float>(ids[i]) / 1000;
      }
      batch.add(ids);
      expected.push_back(sum);
    }
  }
  void expect_equal(const std::vector<float>& logits) const {
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_FLOAT_EQ(logits[i], expected[i]) << i;
  }
  OwnedBatch batch;
  std::vector<float> expected;
};

// A folder of this process, empty.
inline std::string fresh_folder(const std::string& name) {
  const std::string path = str_cat(::testing::TempDir(), "/pjrt_", name, "_", ::getpid());
  std::filesystem::remove_all(path);
  return path;
}

}  // namespace rerank::engine
