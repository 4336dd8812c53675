// The backends compiled into this program, best first. A backend that cannot run says why.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "rerank/options.h"

namespace rerank::engine {

struct EngineChoice {
  EngineKind engine = EngineKind::kAuto;  // one of the others
  std::string detail;                     // kernel tier and precision it would run with, or why it would not
  bool runs = false;
  bool automatic = false;  // "auto" may pick it
};

// What each engine would do for this model and these options; loads no weights.
std::vector<EngineChoice> list_engines(const model::Model& model, const BackendOptions& options);

// The part of a program's settings that engines read.
BackendOptions backend_options(const Options& options, std::shared_ptr<const model::Exits> exits = nullptr);

// Opens `engine`, or for kAuto the first that runs, and logs why the others were not picked. The message of a failure
// names each refusal.
Result<std::unique_ptr<Backend>> open_backend(std::shared_ptr<const model::Model> model, EngineKind engine,
                                              const BackendOptions& options);

}  // namespace rerank::engine
