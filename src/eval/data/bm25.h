// BM25 over a collection, in memory: Lucene's formula, score = sum of idf tf / (tf + k1 (1 - b + b length / mean)),
// idf = ln(1 + (N - n + 0.5) / (n + 0.5)). The defaults of k1 and b are those of Anserini's published BEIR figures.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "eval/data/collection.h"
#include "eval/data/words.h"

namespace rerank::eval {

struct Bm25Options {
  double k1 = 0.9, b = 0.4;
  std::string stemmer = "auto";  // english where the documents are English, else none
};

class Bm25 {
 public:
  // `documents` must outlive the index.
  static Result<Bm25> build(const std::vector<CollectionText>& documents, const Bm25Options& options);

  // The best `k` documents (0: all) that share a word with the query; equal scores in the collection's order.
  std::vector<ScoredId> top(const std::string& query, size_t k);

  const std::string& stemmer() const { return splitter_.stemmer(); }

 private:
  struct Posting {
    uint32_t document, count;
  };
  Bm25(const std::vector<CollectionText>& documents, const Bm25Options& options, WordSplitter splitter);
  void add(uint32_t document, const std::vector<std::string>& words);

  const std::vector<CollectionText>& documents_;
  Bm25Options options_;
  WordSplitter splitter_;
  std::unordered_map<std::string, std::vector<Posting>> postings_;
  std::vector<uint32_t> lengths_;
  double mean_length_ = 1;
  std::vector<double> scores_;  // of one query, per document; all zero between queries
  std::vector<uint32_t> touched_;
};

}  // namespace rerank::eval
