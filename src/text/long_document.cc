#include "text/long_document.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

namespace rerank::text {
namespace {

constexpr size_t kWindow = 32;  // tokens: a sentence or two

TokenRange range(size_t begin, size_t end) { return {static_cast<uint32_t>(begin), static_cast<uint32_t>(end)}; }

// How much each window says about the query: for each of the query's tokens in it, how rare that token is among the
// document's windows. Tokens in most windows (the, of, the topic's own name) say little.
std::vector<double> window_weights(std::span<const int32_t> document, size_t windows,
                                   const std::unordered_set<int32_t>& query) {
  std::vector<std::vector<int32_t>> found(windows);
  std::unordered_map<int32_t, size_t> frequency;
  for (size_t i = 0; i < document.size(); ++i) {
    if (!query.contains(document[i])) continue;
    std::vector<int32_t>& in_window = found[i / kWindow];
    if (std::find(in_window.begin(), in_window.end(), document[i]) != in_window.end()) continue;
    in_window.push_back(document[i]);
    ++frequency[document[i]];
  }
  std::vector<double> weights(windows);
  const auto total = static_cast<double>(windows);
  for (size_t w = 0; w < windows; ++w) {
    for (int32_t id : found[w]) {
      const auto n = static_cast<double>(frequency[id]);
      weights[w] += std::log1p((total - n + 0.5) / (n + 0.5));
    }
  }
  return weights;
}

std::vector<TokenRange> joined_neighbours(std::vector<TokenRange> parts) {
  std::sort(parts.begin(), parts.end(), [](const TokenRange& a, const TokenRange& b) { return a.begin < b.begin; });
  std::vector<TokenRange> joined;
  for (const TokenRange& part : parts) {
    if (!joined.empty() && joined.back().end == part.begin) {
      joined.back().end = part.end;
    } else {
      joined.push_back(part);
    }
  }
  return joined;
}

std::vector<int32_t> gather(std::span<const int32_t> document, const std::vector<TokenRange>& parts) {
  std::vector<int32_t> ids;
  for (const TokenRange& part : parts)
    ids.insert(ids.end(), document.begin() + part.begin, document.begin() + part.end);
  return ids;
}

// Head and tail, as Hugging Face cuts.
FittedDocument fit_at_end(const PairTemplate& pieces, const QueryTerms& query, std::span<const int32_t> document,
                          const FitSpec& spec) {
  const bool tail = spec.truncation == Truncation::kTail;
  const size_t whole = document.size();
  if (spec.max_document_tokens != 0 && whole > spec.max_document_tokens)
    document = tail ? document.last(spec.max_document_tokens) : document.first(spec.max_document_tokens);
  TruncationSpec how{.max_length = spec.max_length, .strategy = spec.strategy};
  how.side = tail ? TruncationSide::kLeft : TruncationSide::kRight;
  const PairLengths lengths = truncated_lengths(query.ids.size(), document.size(), pieces.added_to_pair(), how);
  FittedDocument fitted;
  fitted.pairs.push_back(join_pair(pieces, query.ids, document, how));
  fitted.too_long = fitted.pairs[0].truncated;
  fitted.truncated = fitted.too_long || document.size() < whole;
  const size_t kept = std::min(lengths.second, document.size());
  fitted.kept.push_back(tail ? range(whole - kept, whole) : range(0, kept));
  return fitted;
}

}  // namespace

std::vector<TokenRange> chunk_ranges(size_t length, size_t room, const Chunking& chunking) {
  if (room == 0 || length == 0) return {range(0, 0)};
  const size_t overlap = std::min(chunking.overlap, room / 2);
  const size_t step = std::max<size_t>(1, room - overlap);
  size_t count = length <= room ? 1 : 1 + (length - room + step - 1) / step;
  if (count > std::max<size_t>(1, chunking.max_chunks)) {
    count = std::max<size_t>(1, chunking.max_chunks);
    length = std::min(length, room + (count - 1) * step);
  }
  // Equal chunks instead of full ones and a rest: the rest would be judged on a sentence.
  const size_t size = std::min(room, (length + (count - 1) * overlap + count - 1) / count);
  std::vector<TokenRange> ranges;
  for (size_t c = 0; c < count; ++c) {
    const size_t begin = count == 1 ? 0 : c * (length - size) / (count - 1);
    ranges.push_back(range(begin, begin + size));
  }
  return ranges;
}

std::vector<TokenRange> query_aware_ranges(std::span<const int32_t> document, size_t room,
                                           const std::unordered_set<int32_t>& query) {
  if (document.size() <= room) return {range(0, document.size())};
  const size_t windows = (document.size() + kWindow - 1) / kWindow;
  const std::vector<double> own = window_weights(document, windows, query);
  std::vector<double> weights = own;
  for (size_t w = 0; w < windows; ++w) {
    if (w > 0) weights[w] += own[w - 1] / 4;
    if (w + 1 < windows) weights[w] += own[w + 1] / 4;
  }
  std::vector<size_t> order(windows);
  std::iota(order.begin(), order.end(), 0);
  // The first window says what the document is about.
  std::stable_sort(order.begin() + 1, order.end(), [&](size_t a, size_t b) { return weights[a] > weights[b]; });
  std::vector<TokenRange> parts;
  for (size_t w : order) {
    if (room == 0) break;
    const size_t begin = w * kWindow, length = std::min({kWindow, document.size() - begin, room});
    parts.push_back(range(begin, begin + length));
    room -= length;
  }
  return joined_neighbours(std::move(parts));
}

FittedDocument fit_document(const PairTemplate& pieces, const QueryTerms& query, std::span<const int32_t> document,
                            const FitSpec& spec) {
  const size_t limit = spec.max_document_tokens == 0 ? SIZE_MAX : spec.max_document_tokens;
  const TruncationSpec how{.max_length = spec.max_length, .strategy = spec.strategy};
  const PairLengths lengths = truncated_lengths(query.ids.size(), document.size(), pieces.added_to_pair(), how);
  const bool fits = !lengths.truncated && document.size() <= limit;
  if (fits || spec.truncation == Truncation::kHead || spec.truncation == Truncation::kTail)
    return fit_at_end(pieces, query, document, spec);

  const auto kept_query = query.ids.first(std::min(lengths.first, query.ids.size()));
  const size_t room = std::min({lengths.second, document.size(), limit});
  FittedDocument fitted;
  if (spec.truncation == Truncation::kChunks) {
    fitted.kept = chunk_ranges(document.size(), room, spec.chunking);
    for (const TokenRange& part : fitted.kept)
      fitted.pairs.push_back(join_pair(pieces, kept_query, document.subspan(part.begin, part.end - part.begin), how));
    fitted.truncated = kept_query.size() < query.ids.size() || fitted.kept.back().end < document.size();
    fitted.too_long = fitted.truncated;
    return fitted;
  }
  if (spec.truncation == Truncation::kQueryAware) {
    fitted.kept = query_aware_ranges(document, room, query.distinct);
  } else {
    fitted.kept = joined_neighbours({range(0, room - room / 2), range(document.size() - room / 2, document.size())});
  }
  fitted.pairs.push_back(join_pair(pieces, kept_query, gather(document, fitted.kept), how));
  fitted.truncated = true;
  fitted.too_long = lengths.truncated;
  return fitted;
}

size_t fitted_tokens(const PairTemplate& pieces, size_t query, size_t document, const FitSpec& spec) {
  const size_t limit = spec.max_document_tokens == 0 ? SIZE_MAX : spec.max_document_tokens;
  const TruncationSpec how{.max_length = spec.max_length, .strategy = spec.strategy};
  const PairLengths lengths = truncated_lengths(query, document, pieces.added_to_pair(), how);
  const bool fits = !lengths.truncated && document <= limit;
  if (fits || spec.truncation != Truncation::kChunks) {
    return joined_length(pieces, query, std::min(document, limit), how);
  }
  const size_t room = std::min({lengths.second, document, limit});
  size_t tokens = 0;
  for (const TokenRange& part : chunk_ranges(document, room, spec.chunking))
    tokens += joined_length(pieces, std::min(lengths.first, query), part.end - part.begin, how);
  return tokens;
}

bool cut_to(std::vector<int32_t>& ids, size_t limit, Truncation truncation) {
  if (limit == 0 || ids.size() <= limit) return false;
  if (truncation == Truncation::kTail) {
    ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(limit));
  } else {
    ids.resize(limit);
  }
  return true;
}

}  // namespace rerank::text
