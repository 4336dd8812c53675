// A document as the model can take it: whole where it fits; else cut at an end, to its two ends, to the windows that
// share most with the query, or into chunks that are scored one by one. Plain functions over token ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "rerank/truncation.h"
#include "text/pair.h"

namespace rerank::text {

struct FitSpec {
  size_t max_length = 512;         // tokens of a pair, special tokens included
  size_t max_document_tokens = 0;  // tokens of a document in a pair; 0: no own limit
  Truncation truncation = Truncation::kHead;
  Chunking chunking;
  TruncationStrategy strategy = TruncationStrategy::kLongestFirst;
};

// A query's ids, and which they are: looked up for each document.
struct QueryTerms {
  explicit QueryTerms(std::span<const int32_t> query) : ids(query), distinct(query.begin(), query.end()) {}

  std::span<const int32_t> ids;
  std::unordered_set<int32_t> distinct;
};

struct FittedDocument {
  std::vector<EncodedPair> pairs;  // one; several for chunks
  std::vector<TokenRange> kept;    // of the document: parts of the one pair, or one part per chunk
  bool truncated = false;          // something of query or document is in no pair
  bool too_long = false;           // the pair was over max_length, and something had to be left out for it
};

// Joins query and document. What fits is joined as join_pair does; kHead and kTail cut exactly as it does. The others
// keep as much of the query as it would, and share out what is left for the document.
FittedDocument fit_document(const PairTemplate& pieces, const QueryTerms& query, std::span<const int32_t> document,
                            const FitSpec& spec);

// How many tokens the pairs of fit_document() have together, without making them.
size_t fitted_tokens(const PairTemplate& pieces, size_t query, size_t document, const FitSpec& spec);

// Cuts ids to `limit` (0: none) at the end that `truncation` gives up. Returns whether something went.
bool cut_to(std::vector<int32_t>& ids, size_t limit, Truncation truncation);

// The parts of a document of `length` tokens that chunks of at most `room` make: equal in length, each sharing
// `overlap` tokens with the next (at most half the room). At most max_chunks.
std::vector<TokenRange> chunk_ranges(size_t length, size_t room, const Chunking& chunking);

// Parts of a document, at most `room` tokens together, in order: its first window of 32 tokens, then those windows
// whose tokens of the query are most and rarest in this document; a window's neighbours count a little, so that
// passages stay together. Without a common token: its head.
std::vector<TokenRange> query_aware_ranges(std::span<const int32_t> document, size_t room,
                                           const std::unordered_set<int32_t>& query);

}  // namespace rerank::text
