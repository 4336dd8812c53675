// The requests of a load test: the same seed gives the same requests, in whatever order they are asked for.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"
#include "rerank/types.h"

namespace rerank::load {

// Document lengths in tokens: "128" (all alike), "32-512" (uniform), "lognormal:200,0.6" (median and sigma of the
// logarithm; chunks of real corpora look like this). Always between 1 and 100,000.
class LengthDistribution {
 public:
  static Result<LengthDistribution> parse(std::string_view text);
  // The length at `u`, uniform in [0, 1).
  size_t at(double u) const;

 private:
  enum class Kind { kUniform, kLogNormal } kind_ = Kind::kUniform;
  double first_ = 128, second_ = 128;
};

struct WorkloadOptions {
  size_t documents_per_request = 8;
  std::string document_tokens = "128";
  size_t query_tokens = 12;
  size_t top_n = 0;
  // Requests repeat: the i-th asks the query and documents of one of `distinct` requests, picked by a Zipf law with
  // this exponent. 0 distinct: every request is new.
  size_t distinct = 0;
  double zipf = 1.0;
  uint64_t seed = 1;
};

// Immutable and thread-safe.
class Workload {
 public:
  // `count`: how many tokens a word is; lengths are met by adding words until they are reached. `texts`: where words
  // come from; empty: a built-in list. Each is drawn at random: texts of consecutive words, of which a short list has
  // few, would be the same in many requests.
  using TokenCount = std::function<size_t(std::string_view word)>;
  static Result<Workload> make(const WorkloadOptions& options, const std::vector<std::string>& texts,
                               const TokenCount& count);

  // The requests themselves, in order and over again (or picked by Zipf's law, with options.distinct of them). Not
  // empty.
  static Result<Workload> of_requests(const WorkloadOptions& options, std::vector<RerankRequest> requests,
                                      TokenCount count);

  std::shared_ptr<const RerankRequest> request(uint64_t number) const;
  // Tokens of the documents of the first requests, for a histogram.
  std::vector<size_t> document_lengths(size_t requests) const;
  const WorkloadOptions& options() const { return options_; }

 private:
  std::string text(size_t tokens, uint64_t& state) const;
  WorkloadOptions options_;
  LengthDistribution lengths_;
  void set_popularity();
  uint64_t pick(uint64_t number) const;

  std::vector<RerankRequest> requests_;  // empty: made of words
  TokenCount count_;
  std::vector<std::string> words_;
  std::vector<uint32_t> tokens_;    // of each word
  std::vector<double> popularity_;  // cumulated, of the distinct requests
};

// JSON lines {"query", "documents": [text, ...]}; InvalidArgument naming file and line.
Result<std::vector<RerankRequest>> read_requests(const std::string& path);

// "lognormal:MEDIAN,SIGMA" of these lengths in tokens; not empty.
std::string fit_log_normal(const std::vector<size_t>& lengths);

// Arrivals as they were recorded: each line is a number of seconds, or a line of rerankd's JSON log, of which those
// about requests count, at the time they came. From 0 on, rising. InvalidArgument naming the line.
Result<std::vector<double>> read_trace(const std::vector<std::string>& lines);
// The same trace with the mean rate `rate` (0: its own), up to `seconds`.
std::vector<double> replay(std::vector<double> trace, double rate, double seconds);

// When requests arrive, in seconds from the start, rising; empty when `seconds` is not positive.
// kind: "poisson", "constant", or "bursts:N" (N at a time, the bursts Poisson).
Result<std::vector<double>> arrivals(std::string_view kind, double rate, double seconds, uint64_t seed);

}  // namespace rerank::load
