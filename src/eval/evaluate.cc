#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <future>

#include "base/status_macros.h"
#include "base/strings.h"
#include "eval/measures/statistics.h"

namespace rerank::eval {
namespace {

// Requests under way at once: the engine never waits for the tokenizer.
constexpr size_t kWindow = 3;
// Documents of one request: one of all documents of a collection would be tokenized whole before the first is scored.
constexpr size_t kPortion = 512;
// Where documents stand that a request with top_n has not brought back: below every logit.
constexpr double kBehind = -1e6;

std::string key_of_request(const ScoringOptions& options) {
  const RerankRequest& r = options.request;
  return str_cat(options.settings, "|", r.top_n, "|", r.max_length, "|", static_cast<int>(r.truncation_side), "|",
                 r.max_query_tokens, "|", r.max_document_tokens, "|",
                 r.truncation ? static_cast<int>(*r.truncation) : -1, "|", r.max_chunks, "|",
                 r.chunk_overlap.value_or(SIZE_MAX), "|", r.chunk_best.value_or(SIZE_MAX), "|",
                 r.instruction.value_or(""));
}

// Scores the candidates of one collection: portions of a query's documents, a few under way, answers in order.
class Scoring {
 public:
  Scoring(Reranker& reranker, const Collection& collection, const ScoringOptions& options, ScoreStore& store)
      : reranker_(reranker), collection_(collection), options_(options), store_(store) {
    common_ = FieldHasher().add(reranker.info().fingerprint).add(key_of_request(options)).finish();
  }

  Status add(const std::string& query, const std::vector<ScoredId>& documents) {
    const std::string* text = collection_.query(query);
    auto& results = scored_.run[query];
    std::vector<ScoredId> known;
    for (const ScoredId& d : documents) {
      if (text != nullptr && collection_.document(d.id) != nullptr) known.push_back(d);
    }
    scored_.cost.unknown += documents.size() - known.size();
    results.resize(known.size());
    const size_t portion = options_.listwise ? std::max<size_t>(1, known.size()) : kPortion;
    for (size_t begin = 0; begin < known.size(); begin += portion) {
      const size_t end = std::min(known.size(), begin + portion);
      Status status = submit({&results, begin}, *text, std::span(known).subspan(begin, end - begin));
      if (!status.ok()) return status;
    }
    return ok_status();
  }

  Result<Scored> finish() {
    while (!under_way_.empty()) {
      RETURN_IF_ERROR(take_first());
    }
    RETURN_IF_ERROR(store_.flush());
    return std::move(scored_);
  }

  uint64_t total = 0;  // pairs, for the progress

 private:
  struct Place {
    std::vector<ScoredId>* results;
    size_t begin;
  };
  struct UnderWay {
    Place place;
    std::vector<size_t> wanted;  // places in the portion, as the request's documents
    std::vector<Hash128> keys;
    std::future<Result<RerankResponse>> answer;
  };

  std::vector<Hash128> keys_of(const std::string& query, std::span<const ScoredId> documents) const {
    FieldHasher list;
    if (options_.listwise) {
      for (const ScoredId& d : documents) list.add(*collection_.document(d.id));
    }
    const Hash128 whole = list.finish();
    std::vector<Hash128> keys;
    for (const ScoredId& d : documents) {
      FieldHasher hasher;
      hasher.add(common_.low).add(common_.high).add(query).add(*collection_.document(d.id));
      if (options_.listwise) hasher.add(whole.low).add(whole.high);
      keys.push_back(hasher.finish());
    }
    return keys;
  }

  Status submit(Place place, const std::string& query, std::span<const ScoredId> documents) {
    UnderWay u{place, {}, keys_of(query, documents), {}};
    auto request = std::make_shared<RerankRequest>(options_.request);
    request->query = query;
    request->use_cache = false;  // times are those of computing
    // A list of which a part is missing is asked for anew, for its scores are those of the whole.
    const bool whole = !options_.listwise || std::all_of(u.keys.begin(), u.keys.end(), [&](const Hash128& key) {
      return store_.find(key) != nullptr;
    });
    for (size_t i = 0; i < documents.size(); ++i) {
      (*place.results)[place.begin + i] = {documents[i].id, kBehind - static_cast<double>(i)};
      if (const KeptScore* kept = whole ? store_.find(u.keys[i]) : nullptr) {
        count(*kept, (*place.results)[place.begin + i]);
        ++scored_.cost.from_store;
        continue;
      }
      u.wanted.push_back(i);
      request->documents.push_back(*collection_.document(documents[i].id));
    }
    if (u.wanted.empty()) return ok_status();
    if (under_way_.empty()) last_ = Clock::now();
    auto promise = std::make_shared<std::promise<Result<RerankResponse>>>();
    u.answer = promise->get_future();
    under_way_.push_back(std::move(u));
    reranker_.submit(std::move(request), [promise](Result<RerankResponse> r) { promise->set_value(std::move(r)); });
    return under_way_.size() < kWindow ? ok_status() : take_first();
  }

  Status take_first() {
    UnderWay u = std::move(under_way_.front());
    under_way_.pop_front();
    ASSIGN_OR_RETURN(auto response, u.answer.get());
    // Answers come one after another: the time between two is what the second took.
    const TimePoint now = Clock::now();
    const double each =
        std::chrono::duration<double>(now - last_).count() / static_cast<double>(std::max<size_t>(1, u.wanted.size()));
    last_ = now;
    for (const RankedDocument& r : response.results) {
      const size_t place = u.wanted[r.index];
      const KeptScore kept{r.logit, r.tokens, static_cast<float>(each), r.truncated};
      count(kept, (*u.place.results)[u.place.begin + place]);
      RETURN_IF_ERROR(store_.add(u.keys[place], kept));
    }
    RETURN_IF_ERROR(keep_rest(u, response, static_cast<float>(each)));
    return store_.flush();
  }

  // Documents that a request with top_n has not brought back were computed all the same: the answer has their sums.
  Status keep_rest(const UnderWay& u, const RerankResponse& response, float each) {
    std::vector<bool> back(u.wanted.size());
    uint64_t tokens = response.total_tokens, truncated = response.truncated_documents;
    for (const RankedDocument& r : response.results) {
      back[r.index] = true;
      tokens -= r.tokens;
      truncated -= r.truncated;
    }
    uint64_t left = u.wanted.size() - response.results.size();
    for (size_t i = 0; i < back.size(); ++i) {
      if (back[i]) continue;
      const size_t place = u.wanted[i];
      const KeptScore kept{static_cast<float>(kBehind - static_cast<double>(place)),
                           static_cast<uint32_t>(tokens / left), each, truncated > 0};
      tokens -= kept.tokens;
      truncated -= kept.truncated;
      --left;
      count(kept, (*u.place.results)[u.place.begin + place]);
      if (store_.find(u.keys[place]) != nullptr) continue;  // the same text twice, and one of them is among the best
      RETURN_IF_ERROR(store_.add(u.keys[place], kept));
    }
    return ok_status();
  }

  void count(const KeptScore& score, ScoredId& out) {
    out.score = score.logit;
    ++scored_.cost.pairs;
    scored_.cost.tokens += score.tokens;
    scored_.cost.truncated += score.truncated;
    scored_.cost.seconds += score.seconds;
    if (options_.progress) options_.progress(scored_.cost.pairs, total);
  }

  Reranker& reranker_;
  const Collection& collection_;
  const ScoringOptions& options_;
  ScoreStore& store_;
  Hash128 common_;
  std::deque<UnderWay> under_way_;
  TimePoint last_ = Clock::now();
  Scored scored_;
};

}  // namespace

Result<Scored> score_candidates(Reranker& reranker, const Collection& collection,
                                const std::vector<std::string>& queries, const TrecRun& candidates,
                                const ScoringOptions& options, ScoreStore& store) {
  Scoring scoring(reranker, collection, options, store);
  for (const std::string& query : queries) {
    if (auto found = candidates.find(query); found != candidates.end()) scoring.total += found->second.size();
  }
  for (const std::string& query : queries) {
    auto found = candidates.find(query);
    if (found == candidates.end()) continue;
    if (Status status = scoring.add(query, found->second); !status.ok()) {
      return with_context(status, str_cat("query ", query));
    }
  }
  return scoring.finish();
}

TrecRun all_candidates(const Collection& collection, const std::vector<std::string>& queries) {
  std::vector<ScoredId> all;
  for (const CollectionText& document : collection.documents) all.push_back({document.id, 0});
  TrecRun run;
  for (const std::string& query : queries) run[query] = all;
  return run;
}

TrecRun cut_run(const TrecRun& run, const std::vector<std::string>& queries, size_t k) {
  TrecRun cut;
  for (const std::string& query : queries) {
    auto found = run.find(query);
    if (found == run.end()) continue;
    auto& documents = cut[query] = in_trec_order(found->second);
    if (k != 0 && documents.size() > k) documents.resize(k);
  }
  return cut;
}

Agreement agreement(const TrecRun& a, const TrecRun& b) {
  Agreement sum;
  sum.kendall_tau = sum.top1 = sum.top5 = sum.top10 = 0;
  auto sigmoid = [](double logit) { return 1 / (1 + std::exp(-logit)); };
  double changes = 0, pairs = 0;
  for (const auto& [query, documents] : a) {
    auto found = b.find(query);
    if (found == b.end() || found->second.size() != documents.size() || documents.empty()) continue;
    std::vector<double> x, y;
    for (size_t i = 0; i < documents.size(); ++i) {
      x.push_back(documents[i].score);
      y.push_back(found->second[i].score);
      if (x[i] <= kBehind || y[i] <= kBehind) continue;  // not brought back: there is no logit to compare
      const double change = std::abs(x[i] - y[i]);
      changes += change;
      sum.largest_logit_change = std::max(sum.largest_logit_change, change);
      sum.largest_score_change = std::max(sum.largest_score_change, std::abs(sigmoid(x[i]) - sigmoid(y[i])));
    }
    pairs += static_cast<double>(std::count_if(x.begin(), x.end(), [](double score) { return score > kBehind; }));
    sum.kendall_tau += kendall_tau(x, y);
    sum.top1 += top_overlap(x, y, 1);
    sum.top5 += top_overlap(x, y, 5);
    sum.top10 += top_overlap(x, y, 10);
    ++sum.queries;
  }
  if (sum.queries == 0) return {};
  for (double* mean : {&sum.kendall_tau, &sum.top1, &sum.top5, &sum.top10}) *mean /= static_cast<double>(sum.queries);
  sum.mean_logit_change = changes / pairs;
  return sum;
}

}  // namespace rerank::eval
