// The models that one process serves, by name. All methods are thread-safe; none but open_catalog() waits for a load.
//
// A name is a model's own, an alias, or the hub id that it was loaded by; upper and lower case are the same, and what
// follows "___" is dropped (RAGFlow appends its provider's name so). An alias may be split among models: then the query
// decides, and the same query always has the same model.
//
// Whoever has found a model keeps it by the pointer: a model that is unloaded finishes what it has accepted, and its
// memory is given back when the last request that uses it is over.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rerank/options.h"
#include "rerank/reranker.h"
#include "rerank/status.h"

namespace rerank {

// A model to load. Its name is options.source.served_model_name; empty: made from options.source.model.
struct ModelSpec {
  ModelOptions options;
  std::vector<std::string> aliases;
  double weight = 1;       // of compute time, where several models want it at once; above 0
  double cache_share = 0;  // of the caches' bytes, for this model alone; 0: the part that the others share
};

// One model's part of a split alias. Shares of an alias add up to 1.
struct AliasPart {
  std::string model;
  double share = 1;

  bool operator==(const AliasPart&) const = default;
};

enum class ModelState {
  kStarting,  // not loaded yet since the process started
  kReady,
  kFailed,   // could not be loaded; `error` says why
  kLoading,  // at run time
  kIdle,     // unloaded, since nobody asked for it; comes back on request
};

struct ModelReport {
  std::string name;
  std::vector<std::string> aliases;  // also those of which it has a share
  ModelState state = ModelState::kStarting;
  bool is_default = false;
  bool answers = false;  // loaded, and its engine does not fail
  std::string phase;     // while it loads: "downloading", "reading weights", ...
  int percent = 0;       // of the whole load
  std::string error;     // why it could not be loaded, or loaded anew
  double weight = 1;
  ModelInfo info;  // of one that is loaded; else its id alone
};

struct AliasReport {
  std::string alias;
  std::vector<AliasPart> parts;
};

// What a request says of the model it wants.
struct ModelChoice {
  std::string_view name;   // empty: the default
  std::string_view query;  // decides where an alias is split
  bool wait = true;        // whether a request to a model that is coming back may wait for it
};

class Catalog {
 public:
  virtual ~Catalog() = default;

  // NotFound: no such model, where that is an error. Unavailable, with a time to retry: it is not loaded yet, or could
  // not be. The model may be one that is coming back: its submit() waits for it then, and info() is its own once a
  // request has been answered.
  virtual Result<std::shared_ptr<Reranker>> find(const ModelChoice& choice) = 0;

  // Whether a model or an alias has this name.
  virtual bool knows(std::string_view name) const = 0;

  // In the order in which they were named.
  virtual std::vector<ModelReport> list() const = 0;
  virtual std::vector<AliasReport> aliases() const = 0;

  // Loads a model beside the others; where one of this name is served it is replaced when the new one is ready, and
  // stays when that fails. Returns once what can be checked at once has been; list() says how it ends.
  // InvalidArgument: a name, weight or share that is not one, or one that something else has.
  virtual Status load(const ModelSpec& spec) = 0;
  // Requests in flight are finished. NotFound: no such model; FailedPrecondition: the default, or an alias names it.
  virtual Status unload(std::string_view name) = 0;
  // Of one part, or of several whose shares add up to 1; none: removes it. From the next request on. NotFound: a part
  // names no model; InvalidArgument: shares do not add up, or a model has this name.
  virtual Status set_alias(std::string_view alias, std::vector<AliasPart> parts) = 0;
  virtual Status set_default(std::string_view name) = 0;
};

}  // namespace rerank
