#include "engine/registry.h"

#include "base/strings.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/reference/reference_backend.h"

namespace rerank {
namespace {

using Open = Result<std::unique_ptr<Backend>> (*)(std::shared_ptr<const Model>, const BackendOptions&);
using Describe = Result<std::string> (*)(const ModelConfig&, const BackendOptions&);

struct Entry {
  const char* engine;
  bool automatic;
  Open open;
  Describe describe;
};

Result<std::unique_ptr<Backend>> open_reference(std::shared_ptr<const Model> model, const BackendOptions& options) {
  return make_reference_backend(std::move(model), options.exits);
}
Result<std::string> describe_reference(const ModelConfig&, const BackendOptions&) {
  return std::string("fp32, plain loops; for checking only");
}

// Best first, the judge last.
constexpr Entry kEngines[] = {
    {"cpu", true, make_cpu_backend, describe_cpu_backend},
    {"reference", false, open_reference, describe_reference},
};

}  // namespace

std::vector<EngineChoice> list_engines(const ModelConfig& config, const BackendOptions& options) {
  std::vector<EngineChoice> choices;
  for (const Entry& entry : kEngines) {
    auto detail = entry.describe(config, options);
    choices.push_back(
        {entry.engine, detail.ok() ? *detail : std::string(message_of(detail.status())), detail.ok(), entry.automatic});
  }
  return choices;
}

Result<std::unique_ptr<Backend>> open_backend(std::shared_ptr<const Model> model, const std::string& engine,
                                              const BackendOptions& options) {
  std::string refusals, known;
  for (const Entry& entry : kEngines) {
    known += str_cat(", ", entry.engine);
    if (engine == entry.engine) return entry.open(std::move(model), options);
    if (engine != "auto" || !entry.automatic) continue;
    auto backend = entry.open(model, options);
    if (backend.ok()) return backend;
    refusals += str_cat(refusals.empty() ? "" : "; ", entry.engine, ": ", message_of(backend.status()));
  }
  if (engine != "auto")
    return absl::InvalidArgumentError(str_cat("--engine ", engine, ": not known; there are auto", known));
  return absl::UnimplementedError(str_cat("no engine runs here: ", refusals));
}

}  // namespace rerank
