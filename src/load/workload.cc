#include "load/workload.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::load {
namespace {

constexpr size_t kMaxWords = 4u << 20;
constexpr size_t kMaxTokens = 100000;
constexpr const char* kWords =
    "the search index keeps every document that a user may ask for and returns the best of them in order while the "
    "server waits for more work to arrive from many clients at once so each answer has to be fast and right because "
    "people read only what stands first and a wrong passage at the top costs more than a slow one below it engineers "
    "measure latency under load with open arrivals and report the tail not the mean since a queue that grows without "
    "bound hides behind averages water flows through the turbine and heat leaves the boiler by convection a patient "
    "with high blood pressure should ask a doctor before taking this medicine which can cause dizziness or nausea the "
    "court found that the contract was void when one party had not agreed to its terms before the date of delivery";

// splitmix64: one step of a small, well-mixed generator.
uint64_t next(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
double uniform(uint64_t& state) { return static_cast<double>(next(state) >> 11) * 0x1p-53; }

Status bad_lengths(std::string_view text) {
  return absl::InvalidArgumentError(str_cat("--document-tokens ", text,
                                            ": want N, A-B or lognormal:MEDIAN,SIGMA with "
                                            "1 to 100000 tokens"));
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const bool read = absl::SimpleAtod(absl::string_view(text.data(), text.size()), &value) && std::isfinite(value);
  return read ? std::optional(value) : std::nullopt;
}

// Abramowitz and Stegun 26.2.23: the normal quantile, absolute error below 4.5e-4.
double normal_quantile(double p) {
  const double t = std::sqrt(-2 * std::log(std::min(p, 1 - p)));
  const double x =
      t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  return p < 0.5 ? -x : x;
}

}  // namespace

Result<LengthDistribution> LengthDistribution::parse(std::string_view text) {
  LengthDistribution made;
  std::string_view rest = text;
  char between = '-';
  if (rest.starts_with("lognormal:")) made.kind_ = Kind::kLogNormal, rest.remove_prefix(10), between = ',';
  const size_t cut = rest.find(between);
  const auto first = number(rest.substr(0, cut));
  const auto second = cut == rest.npos ? first : number(rest.substr(cut + 1));
  if (!first || !second || *first < 1 || *first > kMaxTokens) return bad_lengths(text);
  if (made.kind_ == Kind::kUniform && (*second < *first || *second > kMaxTokens)) return bad_lengths(text);
  if (made.kind_ == Kind::kLogNormal && (cut == rest.npos || *second < 0 || *second > 5)) return bad_lengths(text);
  made.first_ = *first, made.second_ = *second;
  return made;
}

size_t LengthDistribution::at(double u) const {
  const double value = kind_ == Kind::kUniform
                           ? first_ + std::floor(u * (second_ - first_ + 1))
                           : first_ * std::exp(second_ * normal_quantile(std::clamp(u, 1e-9, 1 - 1e-9)));
  return static_cast<size_t>(std::clamp(value, 1.0, static_cast<double>(kMaxTokens)));
}

Result<Workload> Workload::make(const WorkloadOptions& options, const std::vector<std::string>& texts,
                                const TokenCount& count) {
  Workload made;
  made.options_ = options;
  if (options.documents_per_request == 0) return absl::InvalidArgumentError("--documents-per-request: at least 1");
  ASSIGN_OR_RETURN(auto lengths, LengthDistribution::parse(options.document_tokens));
  made.lengths_ = lengths;
  auto add = [&](std::string_view text) {
    for (absl::string_view piece :
         absl::StrSplit(absl::string_view(text.data(), text.size()), absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty())) {
      if (made.words_.size() >= kMaxWords) return;
      const std::string_view word(piece.data(), piece.size());
      const size_t tokens = count(word);
      if (tokens == 0) continue;
      made.words_.emplace_back(word);
      made.tokens_.push_back(static_cast<uint32_t>(tokens));
    }
  };
  for (const std::string& text : texts) add(text);
  if (made.words_.empty()) add(kWords);
  if (made.words_.empty()) return absl::InvalidArgumentError("the texts have no words");
  made.count_ = count;
  made.set_popularity();
  return made;
}

Result<Workload> Workload::of_requests(const WorkloadOptions& options, std::vector<RerankRequest> requests,
                                       TokenCount count) {
  if (requests.empty()) return absl::InvalidArgumentError("there are no requests to send");
  Workload made;
  made.options_ = options;
  made.options_.distinct = std::min(options.distinct, requests.size());
  made.requests_ = std::move(requests);
  for (RerankRequest& request : made.requests_) request.top_n = options.top_n;
  made.count_ = std::move(count);
  made.set_popularity();
  return made;
}

void Workload::set_popularity() {
  double sum = 0;
  for (size_t rank = 1; rank <= options_.distinct; ++rank) {
    popularity_.push_back(sum += std::pow(static_cast<double>(rank), -options_.zipf));
  }
}

// Which of the distinct requests is asked as number `number`.
uint64_t Workload::pick(uint64_t number) const {
  if (popularity_.empty()) return number;
  uint64_t state = options_.seed * 0x2545f4914f6cdd1du + number;
  const double place = uniform(state) * popularity_.back();
  return static_cast<uint64_t>(std::lower_bound(popularity_.begin(), popularity_.end(), place) - popularity_.begin());
}

std::vector<size_t> Workload::document_lengths(size_t requests) const {
  std::vector<size_t> lengths;
  for (size_t i = 0; i < requests; ++i) {
    const auto asked = request(i);
    for (const std::string& document : asked->documents) lengths.push_back(count_(document));
  }
  return lengths;
}

std::string Workload::text(size_t tokens, uint64_t& state) const {
  std::string made;
  for (size_t have = 0; have < tokens;) {
    const size_t word = next(state) % words_.size();
    if (!made.empty()) made += ' ';
    made += words_[word];
    have += tokens_[word];
  }
  return made;
}

std::shared_ptr<const RerankRequest> Workload::request(uint64_t number) const {
  const uint64_t asked = pick(number);
  if (!requests_.empty()) return std::make_shared<RerankRequest>(requests_[asked % requests_.size()]);
  uint64_t state = options_.seed * 0x2545f4914f6cdd1du + asked;
  auto made = std::make_shared<RerankRequest>();
  made->query = text(options_.query_tokens, state);
  made->top_n = options_.top_n;
  for (size_t i = 0; i < options_.documents_per_request; ++i) {
    made->documents.push_back(text(lengths_.at(uniform(state)), state));
  }
  return made;
}

Result<std::vector<double>> arrivals(std::string_view kind, double rate, double seconds, uint64_t seed) {
  if (!(rate > 0) || rate > 1e6) return absl::InvalidArgumentError("--rate: want requests per second above 0");
  size_t together = 1;
  const bool constant = kind == "constant";
  if (kind.starts_with("bursts:")) {
    const auto size = number(kind.substr(7));
    if (!size || *size < 1 || *size > 1e5)
      return absl::InvalidArgumentError(str_cat("--arrivals ", kind, ": bursts:N"));
    together = static_cast<size_t>(*size);
  } else if (!constant && kind != "poisson") {
    return absl::InvalidArgumentError(str_cat("--arrivals ", kind, ": want poisson, constant, bursts:N or trace:FILE"));
  }
  std::vector<double> made;
  uint64_t state = seed;
  const double gap = static_cast<double>(together) / rate;
  for (double now = 0;;) {
    now += constant ? gap : -gap * std::log1p(-uniform(state));
    if (!(now < seconds)) return made;
    made.insert(made.end(), together, now);
  }
}

}  // namespace rerank::load
