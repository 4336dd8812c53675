// The ranking service: text in, sorted scores out. One object per served model; all methods are thread-safe.
//
//   auto reranker = rerank::Reranker::open(options);
//   auto response = (*reranker)->rerank(request);
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/options.h"
#include "rerank/status.h"
#include "rerank/types.h"

namespace rerank {

class Metrics;
namespace rank {
class Host;
}

// How far open() is. `done` and `total`: of the phase; total 0: not known.
struct LoadProgress {
  std::string_view phase;  // "downloading", "reading weights", "preparing the engine", "warming up"
  uint64_t done = 0;
  uint64_t total = 0;
};

// What a model has in common with the others of its process. See rank/host.h.
struct SharedHost {
  std::shared_ptr<rank::Host> host;  // null: threads and caches of its own
  double weight = 1;                 // of compute time, where several models want it at once; above 0
  double cache_share = 0;            // of the caches' bytes, for itself alone; 0: the part that the others share
  std::function<void(const LoadProgress&)> progress;  // called on the thread that opens; may be null
};

// What an operator and a client may know about the served model. Fixed after open().
struct ModelInfo {
  std::string id;            // as served: --served-model-name, else the folder's or the hub's name
  std::string architecture;  // "BertForSequenceClassification", ...
  std::string fingerprint;   // hex digest of the weights and tokenizer; changes whenever scores could
  // Texts to show. Of a model on several devices, engine and precision are those of all: "cuda+cpu".
  std::string engine;     // "cpu", "reference", ...
  std::string precision;  // "fp32", "bf16", ...
  std::string kernel;     // what multiplies, as the engine calls it: "avx512", "amx", "sm_90, wgmma", ...
  size_t threads = 0;
  size_t max_length = 0;        // tokens per pair that are scored: min(model limit, --max-length)
  size_t model_max_length = 0;  // tokens per pair that the model could take
  uint64_t parameters = 0;
  Truncation truncation = Truncation::kHead;      // of documents over the limit, where a request does not say
  std::string label = "LABEL_0";                  // config.json's id2label[0]
  ScoreScale score_scale = ScoreScale::kSigmoid;  // where a request does not say; never kAuto
  std::string activation;  // PyTorch's class that its makers' scores are made with, as its files say; empty: not said

  // What answers say they were made by: "name@" and the first twelve digits of the fingerprint.
  std::string version() const { return id + "@" + fingerprint.substr(0, 12); }
};

// Part of a text, in bytes: [begin, end).
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
};

struct Token {
  int32_t id = 0;
  std::string text;  // as the vocabulary writes it
  bool special = false;
  // The bytes of the text that it stands for; none for tokens that the model's template adds.
  std::optional<ByteRange> place;
};

class Reranker {
 public:
  using Done = std::function<void(Result<RerankResponse>)>;

  // Loads the model named by `options` and starts its threads. `metrics` may be null; it must outlive nothing: shared.
  // Errors: everything a wrong folder, file or flag can cause, naming file and field.
  static Result<std::unique_ptr<Reranker>> open(const Options& options, std::shared_ptr<Metrics> metrics = nullptr,
                                                const SharedHost& shared = {});

  // Finishes what was accepted, then stops the threads.
  virtual ~Reranker() = default;

  // Returns at once. `done` is called exactly once, on a thread of the service or on the caller's; it must not block.
  virtual void submit(std::shared_ptr<const RerankRequest> request, Done done) = 0;

  // submit() and wait.
  Result<RerankResponse> rerank(RerankRequest request);

  // The tokens of one text; with `add_special_tokens`, also those that the model's template puts around it. Text that
  // is not UTF-8 is read as if repaired, and places are in the repaired text.
  virtual std::vector<Token> tokenize(std::string_view text, bool add_special_tokens) const = 0;

  // The text of token ids, joined as the model's tokenizer.json says. Ids that are no token are left out. Unimplemented
  // when it says so in a way that is not supported.
  virtual Result<std::string> decode(std::span<const int32_t> ids, bool skip_special_tokens) const = 0;

  virtual const ModelInfo& info() const = 0;

  // Whether requests are answered now. A service that open() returned is warm and ready; it is not for ten seconds
  // after the third batch in a row that its engine could not compute, and each that follows. Any thread.
  virtual bool ready() const = 0;
};

}  // namespace rerank
