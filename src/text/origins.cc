#include "text/origins.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "text/unicode/grapheme.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

using Transform = std::function<void(std::string_view, std::string&)>;

// What a grapheme cluster becomes, and for each byte of that the bytes of the cluster that it comes from.
struct Cluster {
  std::string text;
  Origins origins;

  void append(std::string_view part, TextSpan from) {
    text += part;
    origins.insert(origins.end(), part.size(), from);
  }
};

// A cluster that only became `after` in its whole: those of its characters that were merged into one count as the first
// of them, as `tokenizers` counts.
Cluster merged_cluster(std::string_view cluster, const Origins& own, std::string_view after) {
  size_t surplus = count_chars(cluster) - std::min(count_chars(cluster), count_chars(after));
  size_t from = 0;
  const auto step = [&] {
    if (from < cluster.size()) from += utf8_length(static_cast<unsigned char>(cluster[from]));
  };
  Cluster made;
  for (size_t at = 0; at < after.size();) {
    const std::string_view one = after.substr(at, utf8_length(static_cast<unsigned char>(after[at])));
    made.append(one, own[std::min(from, cluster.size() - 1)]);
    const bool same = from < cluster.size() && cluster.substr(from).starts_with(one);
    for (step(); !same && surplus > 0; --surplus) step();
    at += one.size();
  }
  return made;
}

// Character by character where that gives the same.
Cluster transformed_cluster(std::string_view cluster, const Transform& transform) {
  const Origins own = own_origins(cluster);
  std::string whole, single;
  transform(cluster, whole);
  Cluster made;
  for (size_t at = 0; at < cluster.size();) {
    const size_t length = utf8_length(static_cast<unsigned char>(cluster[at]));
    single.clear();
    transform(cluster.substr(at, length), single);
    made.append(single, own[at]);
    at += length;
  }
  return made.text == whole ? made : merged_cluster(cluster, own, whole);
}

}  // namespace

Origins own_origins(std::string_view text) {
  Origins origins;
  origins.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t length = std::min(utf8_length(static_cast<unsigned char>(text[at])), text.size() - at);
    origins.insert(origins.end(), length, {uint32_t(at), uint32_t(at + length)});
    at += length;
  }
  return origins;
}

Origins transformed_origins(std::string_view before, std::string_view after, const Origins& source,
                            const Transform& transform) {
  if (before == after) return source;
  std::string made;
  Origins origins;
  std::unordered_map<std::string_view, Cluster> seen;  // texts repeat their clusters
  const char* const end = before.data() + before.size();
  for (const char* p = before.data(); p < end;) {
    const char* const next = grapheme_end(p, end);
    const std::string_view text(p, static_cast<size_t>(next - p));
    auto found = seen.find(text);
    if (found == seen.end()) found = seen.emplace(text, transformed_cluster(text, transform)).first;
    made += found->second.text;
    const auto* const from = source.data() + (p - before.data());
    for (const TextSpan& span : found->second.origins)
      origins.push_back({from[span.begin].begin, from[span.end - 1].end});
    p = next;
  }
  if (made == after) return origins;
  origins.clear();
  for (size_t i = 0; i < after.size() && !before.empty(); ++i) {
    origins.push_back(source[i * before.size() / after.size()]);
  }
  return origins.empty() ? Origins(after.size()) : origins;
}

std::vector<TextSpan> token_spans(std::string_view piece, std::span<const int32_t> ids, const TokenStands& stands) {
  constexpr size_t kFarthest = 4096;  // bytes of one unknown word; keeps strange texts from taking quadratic time
  const auto char_end = [&](size_t at) {
    return std::min(piece.size(), at + utf8_length(static_cast<unsigned char>(piece[at])));
  };
  // Where a token that does not stand at `at` ends.
  const auto unknown_end = [&](size_t token, size_t at) {
    if (token + 1 == ids.size()) return piece.size();
    if (ids[token] == ids[token + 1]) return char_end(at);
    for (size_t end = char_end(at); end < std::min(piece.size(), at + kFarthest); end = char_end(end)) {
      if (stands(ids[token + 1], piece.substr(end), false) > 0) return end;
    }
    return char_end(at);
  };
  std::vector<TextSpan> spans;
  size_t at = 0;
  for (size_t token = 0; token < ids.size(); ++token) {
    size_t end = at;
    if (at < piece.size()) {
      const size_t length = stands(ids[token], piece.substr(at), at == 0);
      end = length > 0 ? std::min(piece.size(), at + length) : unknown_end(token, at);
    }
    spans.push_back({uint32_t(at), uint32_t(end)});
    at = end;
  }
  return spans;
}

}  // namespace rerank::text
