#include "eval/data/judgments.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <unordered_set>

#include "base/status_macros.h"
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

// BEIR's first line, and what others write there. Anything else that is no judgment is an error, not a header.
bool is_header(const Fields& f) {
  std::string first(f[0]);
  for (char& c : first) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* name : {"query_id", "queryid", "qid", "query", "topic", "topic_id"})
    if (first == name) return true;
  return false;
}

// Whole, also where it is written as "2.0".
bool read_grade(std::string_view text, int& grade) {
  double number = 0;
  if (!parse_number(text, number) || number != std::floor(number) || std::abs(number) > 1e6) return false;
  grade = static_cast<int>(number);
  return true;
}

}  // namespace

Result<Qrels> read_qrels(const std::string& path) {
  ASSIGN_OR_RETURN(auto lines, LineReader::open(path));
  Qrels qrels;
  bool first = true;
  for (std::string_view line; lines.next(line);) {
    if (line.empty()) continue;
    const Fields f = columns_of(line);
    const bool was_first = std::exchange(first, false);
    int grade = 0;
    if ((f.size() != 3 && f.size() != 4) || !read_grade(f.back(), grade)) {
      if (was_first && f.size() >= 3 && is_header(f)) continue;
      return unreadable(lines, "\"query-id corpus-id grade\" or TREC's \"query 0 document grade\", grades whole");
    }
    const std::string_view document = f[f.size() - 2];
    const auto [judged, is_new] = qrels[std::string(f[0])].try_emplace(std::string(document), grade);
    if (!is_new && judged->second != grade) {
      return absl::InvalidArgumentError(str_cat(lines.where(), ": document ", document, " has another grade for query ",
                                                f[0], " before: ", judged->second, ", now ", grade));
    }
  }
  RETURN_IF_ERROR(lines.status());
  if (qrels.empty()) return absl::InvalidArgumentError(str_cat(path, ": holds no judgments"));
  return qrels;
}

Result<TrecRun> read_run(const std::string& path) {
  ASSIGN_OR_RETURN(auto lines, LineReader::open(path));
  TrecRun run;
  std::unordered_set<std::string> seen;
  for (std::string_view line; lines.next(line);) {
    if (line.empty()) continue;
    const Fields f = columns_of(line);
    double score = 0;
    const size_t document = f.size() == 6 ? 2 : 1, at = f.size() == 6 ? 4 : f.size() - 1;
    if ((f.size() != 6 && f.size() != 4 && f.size() != 3) || !parse_number(f[at], score)) {
      return unreadable(lines, "TREC's \"query Q0 document rank score tag\" (or \"query document rank score\")");
    }
    if (!seen.insert(str_cat(f[0], "\t", f[document])).second) {
      return absl::InvalidArgumentError(
          str_cat(lines.where(), ": document ", f[document], " comes twice for query ", f[0]));
    }
    run[std::string(f[0])].push_back({std::string(f[document]), score});
  }
  RETURN_IF_ERROR(lines.status());
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
