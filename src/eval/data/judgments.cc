#include "eval/data/judgments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <unordered_set>

#include "base/strings.h"
#include "eval/data/line_reader.h"

namespace rerank::eval {
namespace {

using Fields = std::vector<std::string_view>;

// Ids may hold blanks where the columns are separated by tabs.
Fields columns_of(std::string_view line) {
  return line.find('\t') == std::string_view::npos ? split_words(line) : split_fields(line, '\t');
}

Status unreadable(const LineReader& lines, std::string_view expected) {
  return absl::InvalidArgumentError(str_cat(lines.where(), ": expected ", expected));
}

}  // namespace

Result<Qrels> read_qrels(const std::string& path) {
  auto lines = LineReader::open(path);
  if (!lines.ok()) return lines.status();
  Qrels qrels;
  bool first = true;
  for (std::string_view line; lines->next(line);) {
    if (line.empty()) continue;
    const Fields f = columns_of(line);
    const bool was_first = std::exchange(first, false);
    long grade = 0;
    if ((f.size() != 3 && f.size() != 4) || !parse_integer(f.back(), grade)) {
      if (was_first && f.size() == 3) continue;  // BEIR's header
      return unreadable(*lines, "\"query-id corpus-id grade\" or TREC's \"query 0 document grade\", grades whole");
    }
    qrels[std::string(f[0])][std::string(f[f.size() - 2])] = static_cast<int>(grade);
  }
  if (!lines->status().ok()) return lines->status();
  if (qrels.empty()) return absl::InvalidArgumentError(str_cat(path, ": holds no judgments"));
  return qrels;
}

Result<TrecRun> read_run(const std::string& path) {
  auto lines = LineReader::open(path);
  if (!lines.ok()) return lines.status();
  TrecRun run;
  std::unordered_set<std::string> seen;
  for (std::string_view line; lines->next(line);) {
    if (line.empty()) continue;
    const Fields f = columns_of(line);
    double score = 0;
    const size_t document = f.size() == 6 ? 2 : 1, at = f.size() == 6 ? 4 : f.size() - 1;
    if ((f.size() != 6 && f.size() != 4 && f.size() != 3) || !parse_number(f[at], score)) {
      return unreadable(*lines, "TREC's \"query Q0 document rank score tag\" (or \"query document rank score\")");
    }
    if (!seen.insert(str_cat(f[0], "\t", f[document])).second) {
      return absl::InvalidArgumentError(
          str_cat(lines->where(), ": document ", f[document], " comes twice for query ", f[0]));
    }
    run[std::string(f[0])].push_back({std::string(f[document]), score});
  }
  if (!lines->status().ok()) return lines->status();
  if (run.empty()) return absl::InvalidArgumentError(str_cat(path, ": holds no run"));
  return run;
}

Status write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  return out ? ok_status() : absl::UnavailableError(str_cat(path, ": cannot write"));
}

Status write_run(const std::string& path, const TrecRun& run, const std::string& tag) {
  std::string text;
  for (const auto& [query, documents] : run) {
    size_t rank = 0;
    for (const ScoredId& d : in_trec_order(documents)) {
      char digits[32];
      const std::string_view score(digits, std::to_chars(digits, digits + sizeof digits, d.score).ptr - digits);
      text += str_cat(query, "\tQ0\t", d.id, "\t", ++rank, "\t", score, "\t", tag, "\n");
    }
  }
  return write_file(path, text);
}

std::vector<ScoredId> in_trec_order(std::vector<ScoredId> documents) {
  std::sort(documents.begin(), documents.end(), [](const ScoredId& a, const ScoredId& b) {
    const auto x = static_cast<float>(a.score), y = static_cast<float>(b.score);
    return x != y ? x > y : a.id > b.id;
  });
  return documents;
}

}  // namespace rerank::eval
