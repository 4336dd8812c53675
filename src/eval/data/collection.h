// A test collection: documents, queries, judgments. Read from a folder in BEIR's layout or from a file of triples.
//
//   corpus.jsonl[.gz]   {"_id", "title"?, "text"}; scored is "title text"      or corpus.tsv: id TAB text
//   queries.jsonl[.gz]  {"_id", "text"}                                        or queries.tsv
//   qrels/SPLIT.tsv[.gz], qrels.SPLIT.tsv, or qrels.tsv  (judgments.h; .txt and .qrels too)
//
// Triples are lines {"query", "positive" or "pos", "negative" or "neg"} (texts or arrays of texts), or
// query TAB positive TAB negative...: equal texts are one query or document, and each query's candidates are its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "eval/data/judgments.h"
#include "rerank/status.h"

namespace rerank::eval {

struct CollectionText {
  std::string id, text;
};

struct Collection {
  std::string path;
  std::string split;  // "test", "dev", ...; empty where the judgments have none
  std::vector<CollectionText> documents, queries;
  Qrels qrels;                        // empty where a collection has none and none were asked for
  std::optional<TrecRun> candidates;  // of triples: their own

  const std::string* document(const std::string& id) const;  // null: none
  const std::string* query(const std::string& id) const;
  void index();  // after documents or queries changed

 private:
  std::unordered_map<std::string, size_t> document_places_, query_places_;
};

struct CollectionOptions {
  std::string split;  // empty: test, else the only or the first there is
  std::string qrels;  // a file of judgments instead of the folder's
  bool need_judgments = true;
};

// InvalidArgument or NotFound naming file, line and field; an id that comes twice with two texts is one of these, and
// with one text it counts once. Judgments of queries or documents that the collection lacks are kept: they count as not
// found.
Result<Collection> read_collection(const std::string& path, const CollectionOptions& options = {});

// Ids of queries with judgments and a text, in the collection's order; at most `limit` of them (0: all), drawn at
// random but always the same.
std::vector<std::string> judged_queries(const Collection& collection, size_t limit);

// Texts of a JSON-lines, plain (a line each) or gzipped file, for commands that need no ids. JSON objects give "text",
// with "title" before it, or "query" and "document" (or "positive") as a pair; what holds neither is an error.
struct LooseText {
  std::string query, text;  // query empty: the line has none
};
Result<std::vector<LooseText>> read_texts(const std::string& path, size_t limit);

}  // namespace rerank::eval
