#include "text/origins.h"

#include <algorithm>
#include <string>

#include "text/grapheme.h"
#include "text/utf8.h"

namespace rerank {
namespace {

using Transform = std::function<void(std::string_view, std::string&)>;

// Appends what `part` becomes, all of it coming from `span`.
void append(std::string& made, Origins& origins, std::string_view part, TextSpan span) {
  made += part;
  origins.insert(origins.end(), part.size(), span);
}

// Appends what a cluster became in its whole: character by character, those that were merged into one counting as the
// first of them, as `tokenizers` counts.
void append_merged(std::string_view before, size_t begin, size_t end, const Origins& source, std::string_view after,
                   std::string& made, Origins& origins) {
  const size_t old_count = count_chars(before.substr(begin, end - begin));
  size_t surplus = old_count - std::min(old_count, count_chars(after));
  size_t from = begin;
  for (size_t at = 0; at < after.size();) {
    const size_t length = utf8_length(static_cast<unsigned char>(after[at]));
    const std::string_view one = after.substr(at, length);
    append(made, origins, one, source[std::min(from, end - 1)]);
    const bool same = from < end && before.substr(from).starts_with(one);
    const auto step = [&] {
      if (from < end) from += utf8_length(static_cast<unsigned char>(before[from]));
    };
    for (step(); !same && surplus > 0; --surplus) step();
    at += length;
  }
}

TextSpan span_of(const Origins& origins, size_t begin, size_t end) { return {origins[begin].begin, origins[end - 1].end}; }

// One cluster: character by character where that gives the same.
void append_cluster(std::string_view text, size_t begin, size_t end, const Origins& source, const Transform& transform,
                    std::string& made, Origins& origins) {
  std::string whole, single, parts;
  transform(text.substr(begin, end - begin), whole);
  Origins fine;
  for (size_t at = begin; at < end;) {
    const size_t next = at + utf8_length(static_cast<unsigned char>(text[at]));
    single.clear();
    transform(text.substr(at, next - at), single);
    append(parts, fine, single, span_of(source, at, next));
    at = next;
  }
  if (parts == whole) {
    made += parts;
    origins.insert(origins.end(), fine.begin(), fine.end());
  } else {
    append_merged(text, begin, end, source, whole, made, origins);
  }
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
  const char* const end = before.data() + before.size();
  for (const char* p = before.data(); p < end;) {
    const char* const next = grapheme_end(p, end);
    append_cluster(before, p - before.data(), next - before.data(), source, transform, made, origins);
    p = next;
  }
  if (made == after) return origins;
  origins.clear();
  for (size_t i = 0; i < after.size() && !before.empty(); ++i) {
    origins.push_back(source[i * before.size() / after.size()]);
  }
  return origins.empty() ? Origins(after.size()) : origins;
}

std::vector<TextSpan> token_spans(std::string_view piece, size_t count, const TokenStands& stands) {
  const auto char_end = [&](size_t at) {
    return std::min(piece.size(), at + utf8_length(static_cast<unsigned char>(piece[at])));
  };
  // Where a token that does not stand at `at` ends.
  const auto unknown_end = [&](size_t token, size_t at) {
    if (token + 1 == count) return piece.size();
    for (size_t end = char_end(at); end < piece.size(); end = char_end(end)) {
      if (stands(token + 1, piece.substr(end), false) > 0) return end;
    }
    return char_end(at);
  };
  std::vector<TextSpan> spans;
  size_t at = 0;
  for (size_t token = 0; token < count; ++token) {
    size_t end = at;
    if (at < piece.size()) {
      const size_t length = stands(token, piece.substr(at), at == 0);
      end = length > 0 ? std::min(piece.size(), at + length) : unknown_end(token, at);
    }
    spans.push_back({uint32_t(at), uint32_t(end)});
    at = end;
  }
  return spans;
}

}  // namespace rerank
