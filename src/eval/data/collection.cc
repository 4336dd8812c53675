#include "eval/data/collection.h"

#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "eval/data/line_reader.h"

namespace rerank::eval {
namespace {

namespace fs = std::filesystem;
using Object = simdjson::dom::object;

std::string existing(const std::string& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return path;
  if (fs::is_regular_file(path + ".gz", error)) return path + ".gz";
  return "";
}

std::string string_field(const Object& object, const char* name) {
  std::string_view text;
  return object[name].get(text) ? std::string() : std::string(text);
}

// "_id" or "id", a string or a whole number; empty when there is none.
std::string id_field(const Object& object) {
  for (const char* name : {"_id", "id"}) {
    std::string_view text;
    int64_t number = 0;
    if (!object[name].get(text)) return std::string(text);
    if (!object[name].get(number)) return std::to_string(number);
  }
  return "";
}

// A text or an array of texts.
std::vector<std::string> texts_field(const Object& object, std::initializer_list<const char*> names) {
  std::vector<std::string> texts;
  for (const char* name : names) {
    simdjson::dom::array array;
    std::string_view text;
    if (!object[name].get(text)) texts.emplace_back(text);
    if (object[name].get(array)) continue;
    for (simdjson::dom::element element : array) {
      if (!element.get(text)) texts.emplace_back(text);
    }
  }
  return texts;
}

std::string titled(const std::string& title, const std::string& text) {
  return title.empty() ? text : text.empty() ? title : str_cat(title, " ", text);
}

Result<std::vector<CollectionText>> read_entries(const std::string& stem) {
  std::string path = existing(stem + ".jsonl");
  const bool json = !path.empty();
  if (!json) path = existing(stem + ".tsv");
  if (path.empty()) return absl::NotFoundError(str_cat(stem, ".jsonl: no such file (nor .jsonl.gz, .tsv, .tsv.gz)"));
  ASSIGN_OR_RETURN(LineReader lines, LineReader::open(path));
  std::vector<CollectionText> entries;
  std::unordered_map<std::string, size_t> places;
  size_t repeats = 0;
  simdjson::dom::parser parser;
  for (std::string_view line; lines.next(line);) {
    if (line.empty()) continue;
    CollectionText entry;
    if (json) {
      Object object;
      if (parser.parse(line.data(), line.size()).get(object) || (entry.id = id_field(object)).empty()) {
        return absl::InvalidArgumentError(str_cat(lines.where(), ": not an object with \"_id\" and \"text\""));
      }
      entry.text = titled(string_field(object, "title"), string_field(object, "text"));
    } else {
      const size_t tab = line.find('\t');
      if (tab == std::string_view::npos)
        return absl::InvalidArgumentError(str_cat(lines.where(), ": expected id, tab, text"));
      entry = {std::string(line.substr(0, tab)), std::string(line.substr(tab + 1))};
    }
    const auto [place, is_new] = places.try_emplace(entry.id, entries.size());
    if (is_new) {
      entries.push_back(std::move(entry));
    } else if (entries[place->second].text == entry.text) {
      ++repeats;
    } else {
      return absl::InvalidArgumentError(str_cat(lines.where(), ": the id ", entry.id, " has another text before"));
    }
  }
  RETURN_IF_ERROR(lines.status());
  if (repeats > 0) log_warning(str_cat(path, ": ", repeats, " lines repeat an id and its text, and are passed over"));
  return entries;
}

struct QrelsFile {
  std::string path, split;
};

QrelsFile find_qrels(const std::string& folder, const std::string& wanted) {
  const std::vector<std::string> splits =
      wanted.empty() ? std::vector<std::string>{"test", "", "dev", "validation", "train"} : std::vector{wanted};
  for (const std::string& split : splits) {
    for (const char* extension : {".tsv", ".txt", ".qrels"}) {
      for (const char* joint : {"/qrels/", "/qrels."}) {
        const std::string stem = split.empty() ? folder + "/qrels" : str_cat(folder, joint, split);
        if (std::string path = existing(stem + extension); !path.empty()) return {path, split};
      }
    }
  }
  return {};
}

Result<Collection> read_folder(const std::string& folder, const CollectionOptions& options) {
  Collection collection;
  collection.path = folder;
  ASSIGN_OR_RETURN(collection.documents, read_entries(folder + "/corpus"));
  ASSIGN_OR_RETURN(collection.queries, read_entries(folder + "/queries"));
  QrelsFile file = options.qrels.empty() ? find_qrels(folder, options.split) : QrelsFile{options.qrels, options.split};
  if (file.path.empty()) {
    if (!options.need_judgments && options.split.empty()) return collection;
    return absl::NotFoundError(str_cat(folder, ": no judgments: expected qrels/",
                                       options.split.empty() ? "test" : options.split, ".tsv or qrels.tsv"));
  }
  ASSIGN_OR_RETURN(collection.qrels, read_qrels(file.path));
  collection.split = file.split;
  return collection;
}

// Gives equal texts one id.
class Numbering {
 public:
  Numbering(std::vector<CollectionText>& texts, const char* prefix) : texts_(texts), prefix_(prefix) {}
  std::string id(const std::string& text) {
    auto [place, is_new] = places_.try_emplace(text, texts_.size());
    if (is_new) texts_.push_back({str_cat(prefix_, place->second + 1), text});
    return texts_[place->second].id;
  }

 private:
  std::vector<CollectionText>& texts_;
  const char* prefix_;
  std::unordered_map<std::string, size_t> places_;
};

Result<Collection> read_triples(const std::string& path) {
  ASSIGN_OR_RETURN(auto lines, LineReader::open(path));
  Collection collection;
  collection.path = path;
  collection.candidates.emplace();
  Numbering documents(collection.documents, "d"), queries(collection.queries, "q");
  simdjson::dom::parser parser;
  for (std::string_view line; lines.next(line);) {
    if (line.empty()) continue;
    std::string query;
    std::vector<std::string> positives, negatives;
    if (Object object; line.front() == '{' && !parser.parse(line.data(), line.size()).get(object)) {
      query = string_field(object, "query");
      positives = texts_field(object, {"positive", "pos", "positives"});
      negatives = texts_field(object, {"negative", "neg", "negatives"});
    } else if (const auto f = split_fields(line, '\t'); f.size() >= 2) {
      query = std::string(f[0]);
      positives = {std::string(f[1])};
      negatives.assign(f.begin() + 2, f.end());
    }
    if (query.empty() || positives.empty()) {
      return absl::InvalidArgumentError(str_cat(lines.where(),
                                                ": expected {\"query\", \"positive\", \"negative\"} or query, tab, "
                                                "positive, tab, negative"));
    }
    const std::string id = queries.id(query);
    auto add = [&](const std::string& text, int grade) {
      const std::string document = documents.id(text);
      int& judged = collection.qrels[id].try_emplace(document, -1).first->second;
      if (judged < 0) (*collection.candidates)[id].push_back({document, 0});
      judged = std::max(judged, grade);
    };
    for (const std::string& text : positives) add(text, 1);
    for (const std::string& text : negatives) add(text, 0);
  }
  RETURN_IF_ERROR(lines.status());
  if (collection.queries.empty()) return absl::InvalidArgumentError(str_cat(path, ": holds no triples"));
  return collection;
}

}  // namespace

const std::string* Collection::document(const std::string& id) const {
  auto found = document_places_.find(id);
  return found == document_places_.end() ? nullptr : &documents[found->second].text;
}

const std::string* Collection::query(const std::string& id) const {
  auto found = query_places_.find(id);
  return found == query_places_.end() ? nullptr : &queries[found->second].text;
}

void Collection::index() {
  document_places_.clear();
  query_places_.clear();
  for (size_t i = 0; i < documents.size(); ++i) document_places_[documents[i].id] = i;
  for (size_t i = 0; i < queries.size(); ++i) query_places_[queries[i].id] = i;
}

Result<Collection> read_collection(const std::string& path, const CollectionOptions& options) {
  std::error_code error;
  auto collection = fs::is_directory(path, error) ? read_folder(path, options) : read_triples(path);
  if (collection.ok()) collection->index();
  return collection;
}

std::vector<std::string> judged_queries(const Collection& collection, size_t limit) {
  std::vector<std::string> ids;
  for (const CollectionText& query : collection.queries) {
    if (collection.qrels.contains(query.id)) ids.push_back(query.id);
  }
  if (limit == 0 || limit >= ids.size()) return ids;
  // Fisher and Yates, by hand: std::shuffle may differ between libraries.
  std::mt19937_64 random(1);
  std::vector<size_t> order(ids.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (size_t i = 0; i < limit; ++i) std::swap(order[i], order[i + random() % (order.size() - i)]);
  order.resize(limit);
  std::sort(order.begin(), order.end());
  std::vector<std::string> drawn;
  for (size_t place : order) drawn.push_back(ids[place]);
  return drawn;
}

Result<std::vector<LooseText>> read_texts(const std::string& path, size_t limit) {
  ASSIGN_OR_RETURN(auto lines, LineReader::open(path));
  std::vector<LooseText> texts;
  simdjson::dom::parser parser;
  const bool json = path.find(".jsonl") != std::string::npos || path.find(".ndjson") != std::string::npos;
  for (std::string_view line; (limit == 0 || texts.size() < limit) && lines.next(line);) {
    if (line.empty()) continue;
    Object object;
    const bool parsed = (json || line.front() == '{') && !parser.parse(line.data(), line.size()).get(object);
    if (!parsed && json) return absl::InvalidArgumentError(str_cat(lines.where(), ": not a JSON object"));
    if (!parsed) {
      texts.push_back({"", std::string(line)});
      continue;
    }
    const std::string query = string_field(object, "query");
    auto documents = texts_field(object, {"document", "documents", "positive", "pos", "negative", "neg"});
    const std::string text = titled(string_field(object, "title"), string_field(object, "text"));
    if (documents.empty() && !text.empty()) documents.push_back(text);
    if (documents.empty())
      return absl::InvalidArgumentError(str_cat(lines.where(), ": has neither \"text\" nor \"document\""));
    for (std::string& document : documents) texts.push_back({query, std::move(document)});
  }
  RETURN_IF_ERROR(lines.status());
  return texts;
}

}  // namespace rerank::eval
