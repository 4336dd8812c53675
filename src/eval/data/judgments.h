// Judgments (qrels) and runs, and their files. Ids are strings, as in TREC and BEIR.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rerank/status.h"

namespace rerank::eval {

using Grades = std::map<std::string, int>;    // document id -> grade; above 0: relevant
using Qrels = std::map<std::string, Grades>;  // query id -> its judged documents

struct ScoredId {
  std::string id;
  double score = 0;
};
using TrecRun = std::map<std::string, std::vector<ScoredId>>;  // query id -> documents, in the file's or ranker's order

// Reads judgments: BEIR's "query-id TAB corpus-id TAB score" with or without its header line, or TREC's four columns
// "query 0 document grade", grades whole ("2.0" is 2). Anything else is InvalidArgument naming file and line, and so is
// a document with two grades for one query.
Result<Qrels> read_qrels(const std::string& path);

// Reads a run: TREC's six columns "query Q0 document rank score tag", or "query document rank score", or "query
// document score". A document that comes twice for one query is InvalidArgument.
Result<TrecRun> read_run(const std::string& path);

// Writes TREC's six columns, best first with ranks from 1, scores so that they read back exactly.
Status write_run(const std::string& path, const TrecRun& run, const std::string& tag);

// As trec_eval orders a run: by score as a 32-bit float, descending, then by document id, descending.
std::vector<ScoredId> in_trec_order(std::vector<ScoredId> documents);

// The whole text to a file; Unavailable naming the path.
Status write_file(const std::string& path, const std::string& text);

}  // namespace rerank::eval
