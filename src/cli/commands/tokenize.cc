// rerankd tokenize: lines in, JSON arrays of token ids out, special tokens included.
#include <cstdio>
#include <iostream>

#include "base/strings.h"
#include "cli/command.h"
#include "rank/locate.h"
#include "text/tokenizer.h"

namespace rerank::cli {
namespace {

struct Tokenize : Command {
  explicit Tokenize(CLI::App& program)
      : Command(program, "tokenize", "Token ids of lines from stdin, as JSON arrays, special tokens included.") {
    app.add_flag("--pair", pair, "A line is a pair: query, tab, document; joined and cut as for scoring.");
    settings.add(options, {"Model", "Texts"});
  }

  int run() {
    if (Status status = complete(); !status.ok()) return report(status);
    auto located = rank::locate_model(options);
    if (!located.ok()) return report(located.status());
    auto tokenizer = text::Tokenizer::from_folder(located->folder);
    if (!tokenizer.ok()) return report(tokenizer.status());
    text::TruncationSpec spec;
    spec.max_length = options.model.texts.max_length != 0 ? options.model.texts.max_length
                                                          : (*tokenizer)->model_max_length().value_or(SIZE_MAX);
    std::ios::sync_with_stdio(false);
    TextInput in;
    for (std::string line; in.next(line);) print(**tokenizer, line, spec);
    return 0;
  }

  void print(const text::Tokenizer& tokenizer, const std::string& line, const text::TruncationSpec& spec) const {
    const size_t tab = pair ? line.find('\t') : std::string::npos;
    std::vector<int32_t> first, second;
    tokenizer.encode(std::string_view(line).substr(0, tab), first);
    if (tab != std::string::npos) tokenizer.encode(std::string_view(line).substr(tab + 1), second);
    const text::EncodedPair encoded = pair ? text::join_pair(tokenizer.pair_template(), first, second, spec)
                                           : text::join_single(tokenizer.pair_template(), first, spec);
    std::string out = "[";
    for (int32_t id : encoded.ids) out += str_cat(out.size() > 1 ? "," : "", id);
    out += "]\n";
    std::fwrite(out.data(), 1, out.size(), stdout);
  }

  bool pair = false;
};

}  // namespace

Run add_tokenize_command(CLI::App& program) {
  auto command = std::make_shared<Tokenize>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
