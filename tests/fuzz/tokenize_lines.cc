// For the differential fuzzers and the speed comparison: reads JSON lines from standard input, writes what the
// tokenizer made of each.
//
//   tokenize_lines FOLDER              "text"                                      -> [ids]
//   tokenize_lines FOLDER --pairs      [first, second, max_length, strategy, side] -> [[ids], [type_ids], truncated]
//   tokenize_lines FOLDER --time SECONDS   all texts, again and again -> bytes per second, and the tokens of one round
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string>

#include "simdjson.h"
#include "text/tokenizer.h"

namespace {

void append_array(const std::vector<int32_t>& values, std::string& out) {
  out += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(values[i]);
  }
  out += ']';
}

rerank::text::TruncationSpec read_spec(const simdjson::dom::array& line) {
  rerank::text::TruncationSpec spec;
  spec.max_length = size_t(int64_t(line.at(2)));
  const std::string_view strategy = line.at(3), side = line.at(4);
  spec.strategy = strategy == "only_first"    ? rerank::text::TruncationStrategy::kOnlyFirst
                  : strategy == "only_second" ? rerank::text::TruncationStrategy::kOnlySecond
                                              : rerank::text::TruncationStrategy::kLongestFirst;
  spec.side = side == "left" ? rerank::TruncationSide::kLeft : rerank::TruncationSide::kRight;
  return spec;
}

// Reads all texts, then encodes them until the time is over.
void time_encoding(const rerank::text::Tokenizer& tokenizer, double seconds) {
  simdjson::dom::parser parser;
  std::vector<std::string> texts;
  size_t bytes = 0, tokens = 0, rounds = 0;
  for (std::string line; std::getline(std::cin, line);) {
    texts.emplace_back(std::string_view(parser.parse(line)));
    bytes += texts.back().size();
  }
  std::vector<int32_t> ids;
  const std::clock_t start = std::clock();  // processor time: other programs may be running
  double passed = 0;
  for (; passed < seconds; ++rounds) {
    tokens = 0;
    for (const std::string& text : texts) {
      ids.clear();
      tokenizer.encode(text, ids);
      tokens += ids.size();
    }
    passed = double(std::clock() - start) / CLOCKS_PER_SEC;
  }
  std::printf("%.0f %zu\n", double(bytes * rounds) / passed, tokens);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: tokenize_lines FOLDER [--pairs | --time SECONDS]\n");
    return 2;
  }
  const bool pairs = argc > 2 && std::string_view(argv[2]) == "--pairs";
  const auto tokenizer = rerank::text::Tokenizer::from_folder(argv[1]);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s\n", tokenizer.status().ToString().c_str());
    return 1;
  }
  std::ios::sync_with_stdio(false);
  if (argc > 3 && std::string_view(argv[2]) == "--time") {
    time_encoding(**tokenizer, std::atof(argv[3]));
    return 0;
  }
  simdjson::dom::parser parser;
  std::string line, out;
  std::vector<int32_t> first, second;
  while (std::getline(std::cin, line)) {
    const simdjson::dom::element json = parser.parse(line);
    first.clear();
    second.clear();
    out.clear();
    if (pairs) {
      const simdjson::dom::array fields = json;
      (*tokenizer)->encode(std::string_view(fields.at(0)), first);
      (*tokenizer)->encode(std::string_view(fields.at(1)), second);
      const rerank::text::EncodedPair pair = join_pair((*tokenizer)->pair_template(), first, second, read_spec(fields));
      out += '[';
      append_array(pair.ids, out);
      out += ',';
      append_array(pair.type_ids, out);
      out += pair.truncated ? ",true]" : ",false]";
    } else {
      (*tokenizer)->encode(std::string_view(json), first);
      append_array(first, out);
    }
    out += '\n';
    std::fwrite(out.data(), 1, out.size(), stdout);
  }
  return 0;
}
