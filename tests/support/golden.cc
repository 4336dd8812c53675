#include "support/golden.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <filesystem>

namespace rerank::testing {

static std::vector<std::string> folders_of(const char* parent) {
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(parent)) {
    if (entry.is_directory()) folders.push_back(entry.path().string());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::vector<std::string> golden_models() { return folders_of(RERANKD_SOURCE_DIR "/tests/data/models"); }
std::vector<std::string> decoder_models() { return folders_of(RERANKD_SOURCE_DIR "/tests/data/decoders"); }
std::vector<std::string> gguf_models() { return folders_of(RERANKD_SOURCE_DIR "/tests/data/gguf"); }

std::vector<GoldenPair> read_golden_pairs(const std::string& folder) {
  std::vector<GoldenPair> pairs;
  simdjson::dom::parser parser;
  simdjson::dom::document_stream lines;
  EXPECT_FALSE(parser.load_many(folder + "/golden.jsonl").get(lines)) << folder;
  for (auto line : lines) {
    GoldenPair pair;
    for (int64_t id : simdjson::dom::array(line["ids"])) pair.ids.push_back(static_cast<int32_t>(id));
    if (line["query"].error() == simdjson::SUCCESS) {
      pair.query = std::string(std::string_view(line["query"]));
      pair.document = std::string(std::string_view(line["document"]));
      for (int64_t id : simdjson::dom::array(line["segments"])) pair.segments.push_back(static_cast<int32_t>(id));
    }
    pair.segments.resize(pair.ids.size());
    pair.logit = double(line["logit"]);
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::vector<std::vector<double>> read_golden_outputs(const std::string& folder) {
  std::vector<std::vector<double>> outputs;
  simdjson::dom::parser parser;
  simdjson::dom::document_stream lines;
  EXPECT_FALSE(parser.load_many(folder + "/golden.jsonl").get(lines)) << folder;
  for (auto line : lines) {
    auto& of_pair = outputs.emplace_back();
    for (const double value : simdjson::dom::array(line["outputs"])) of_pair.push_back(value);
  }
  return outputs;
}

static std::vector<double> numbers(const simdjson::dom::array& from) {
  std::vector<double> values;
  for (const double value : from) values.push_back(value);
  return values;
}

std::string list_model(const std::string& name) { return RERANKD_SOURCE_DIR "/tests/data/listwise/" + name; }

std::vector<GoldenList> read_golden_lists(const std::string& folder) {
  std::vector<GoldenList> lists;
  simdjson::dom::parser parser;
  simdjson::dom::document_stream lines;
  EXPECT_FALSE(parser.load_many(folder + "/golden.jsonl").get(lines)) << folder;
  for (auto line : lines) {
    GoldenList& list = lists.emplace_back();
    list.query = std::string(std::string_view(line["query"]));
    for (const std::string_view document : simdjson::dom::array(line["documents"]))
      list.documents.emplace_back(document);
    std::string_view instruction;
    if (!line["instruction"].get(instruction)) list.instruction = std::string(instruction);
    uint64_t limit = 0;
    if (!line["max_document_tokens"].get(limit)) list.max_document_tokens = limit;
    if (!line["max_query_tokens"].get(limit)) list.max_query_tokens = limit;
    for (const simdjson::dom::element block : simdjson::dom::array(line["blocks"])) {
      GoldenBlock& to = list.blocks.emplace_back();
      to.tokens = uint64_t(block["tokens"]);
      to.count = uint64_t(block["count"]);
      if (block["ids"].error() != simdjson::SUCCESS) continue;
      for (const int64_t id : simdjson::dom::array(block["ids"])) to.ids.push_back(static_cast<int32_t>(id));
      to.scores = numbers(block["scores"]);
    }
    list.scores = numbers(line["scores"]);
  }
  return lists;
}

}  // namespace rerank::testing
