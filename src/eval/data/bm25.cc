#include "eval/data/bm25.h"
#include "base/status_macros.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace rerank::eval {

Bm25::Bm25(const std::vector<CollectionText>& documents, const Bm25Options& options, WordSplitter splitter)
    : documents_(documents), options_(options), splitter_(std::move(splitter)), scores_(documents.size()) {}

Result<Bm25> Bm25::build(const std::vector<CollectionText>& documents, const Bm25Options& options) {
  std::string stemmer = options.stemmer;
  if (stemmer == "auto") {
    std::vector<std::string_view> sample;
    const size_t step = std::max<size_t>(1, documents.size() / 500);
    for (size_t i = 0; i < documents.size(); i += step) sample.push_back(documents[i].text);
    stemmer = looks_english(sample) ? "porter" : "none";
  }
  ASSIGN_OR_RETURN(auto splitter, WordSplitter::make(stemmer));
  Bm25 index(documents, options, std::move(splitter));
  std::vector<std::string> words;
  for (uint32_t i = 0; i < documents.size(); ++i) {
    words.clear();
    index.splitter_.split(documents[i].text, words);
    index.add(i, words);
  }
  const double total = std::accumulate(index.lengths_.begin(), index.lengths_.end(), 0.0);
  index.mean_length_ = std::max(1.0, total / static_cast<double>(std::max<size_t>(1, documents.size())));
  return index;
}

void Bm25::add(uint32_t document, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    std::vector<Posting>& list = postings_[word];
    if (list.empty() || list.back().document != document) list.push_back({document, 0});
    ++list.back().count;
  }
  lengths_.push_back(static_cast<uint32_t>(words.size()));
}

std::vector<ScoredId> Bm25::top(const std::string& query, size_t k) {
  std::vector<std::string> words;
  splitter_.split(query, words);
  std::map<std::string, int> counts;
  for (std::string& word : words) ++counts[std::move(word)];
  const auto total = static_cast<double>(documents_.size());
  for (const auto& [word, count] : counts) {
    auto found = postings_.find(word);
    if (found == postings_.end()) continue;
    const auto n = static_cast<double>(found->second.size());
    const double weight = count * std::log1p((total - n + 0.5) / (n + 0.5));
    for (const Posting& posting : found->second) {
      const double length = lengths_[posting.document] / mean_length_;
      const double damped = posting.count + options_.k1 * (1 - options_.b + options_.b * length);
      if (scores_[posting.document] == 0) touched_.push_back(posting.document);
      scores_[posting.document] += weight * posting.count / damped;
    }
  }
  const size_t kept = k == 0 ? touched_.size() : std::min(k, touched_.size());
  std::partial_sort(touched_.begin(), touched_.begin() + static_cast<long>(kept), touched_.end(),
                    [&](uint32_t x, uint32_t y) { return scores_[x] != scores_[y] ? scores_[x] > scores_[y] : x < y; });
  std::vector<ScoredId> best;
  for (size_t i = 0; i < kept; ++i) best.push_back({documents_[touched_[i]].id, scores_[touched_[i]]});
  for (uint32_t document : touched_) scores_[document] = 0;
  touched_.clear();
  return best;
}

}  // namespace rerank::eval
