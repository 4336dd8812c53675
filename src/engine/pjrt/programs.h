// A model's programs on one client, by shape: the first two are compiled when it is opened, the others one after
// another in a thread. Compiled programs come from a cache where there is one. Thread-safe.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/pjrt/client.h"
#include "engine/pjrt/program_cache.h"
#include "engine/pjrt/shapes.h"
#include "model/weights.h"

namespace rerank::engine::pjrt {

struct ProgramSetup {
  std::shared_ptr<const model::Model> model;
  std::shared_ptr<Client> client;
  Element matrices = Element::kF32;
  std::vector<Rectangle> shapes;  // in the order of compiling
  std::vector<size_t> devices;    // of the client, by number
  std::optional<ProgramCache> cache;
};

// A program that can be run.
struct ReadyProgram {
  Rectangle shape;
  std::vector<Value> arguments;
  size_t inputs = 0;
  // One for each device of the setup, or one for all, which is told its device when it is run.
  std::vector<std::unique_ptr<LoadedProgram>> loaded;
  bool portable = false;
  double seconds = 0;  // that compiling took, now or when it was put into the cache
  bool cached = false;
};

class Programs {
 public:
  // Errors are the plugin's: what a compiler refuses, or a device without memory.
  static Result<std::shared_ptr<Programs>> open(ProgramSetup setup);
  ~Programs();  // waits for the program that is being compiled

  // Those that are ready, at least the first of the setup.
  std::vector<std::shared_ptr<const ReadyProgram>> ready() const;
  // Until all are compiled, or were refused.
  void wait_for_all() const;

  const ProgramSetup& setup() const { return setup_; }

 private:
  explicit Programs(ProgramSetup setup) : setup_(std::move(setup)) {}
  Status add(const Rectangle& shape);
  Result<std::unique_ptr<LoadedProgram>> get(const ForwardProgram& program, const std::string& options, size_t device,
                                             ReadyProgram& ready);
  void compile_rest(size_t first);

  ProgramSetup setup_;
  Placement placement_ = Placement::kFirst;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::shared_ptr<const ReadyProgram>> ready_;  // this and the next two: guarded by mutex_
  bool stop_ = false, done_ = false;
  std::thread thread_;
};

// What decides whether a cached program fits, but for its device.
Result<ProgramKey> key_of(const Client& client, size_t device, const std::string& text, const std::string& options);

}  // namespace rerank::engine::pjrt
