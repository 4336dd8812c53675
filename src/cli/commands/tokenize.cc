// rerankd tokenize: lines in, JSON arrays of token ids out, special tokens included.
#include <cstdio>
#include <iostream>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command.h"
#include "rank/locate.h"
#include "rank/texts.h"

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
    Status status = pair ? print_pairs(located->folder) : print_texts(located->folder);
    return status.ok() ? 0 : report(status);
  }

  Status print_texts(const std::string& folder) const {
    ASSIGN_OR_RETURN(const auto tokenizer, text::Tokenizer::from_folder(folder));
    const text::TruncationSpec spec{.max_length = limit(*tokenizer)};
    TextInput in;
    for (std::string line; in.next(line);) {
      std::vector<int32_t> ids;
      tokenizer->encode(line, ids);
      print(text::join_single(tokenizer->pair_template(), ids, spec));
    }
    return ok_status();
  }

  Status print_pairs(const std::string& folder) const {
    ASSIGN_OR_RETURN(const model::ModelConfig config, model::read_model_config(folder));
    if (config.architecture.input.kind == model::InputTemplate::Kind::kList) {
      return absl::InvalidArgumentError(
          str_cat("--pair: ", config.architecture_name,
                  " reads all documents of a request in one text; a pair has no ids of its own"));
    }
    ASSIGN_OR_RETURN(const auto texts, rank::open_texts(folder, config, options.model.texts));
    const text::TruncationSpec spec{.max_length = limit(texts->tokenizer()), .strategy = texts->strategy()};
    TextInput in;
    for (std::string line; in.next(line);) {
      const size_t tab = std::min(line.find('\t'), line.size());
      std::vector<int32_t> query, document;
      const std::string_view text = line;
      RETURN_IF_ERROR(
          texts->encode_query({.query = text.substr(0, tab), .max_length = spec.max_length}, query).status());
      texts->encode_document(text.substr(std::min(tab + 1, text.size())), document);
      print(text::join_pair(texts->pieces(), query, document, spec));
    }
    return ok_status();
  }

  size_t limit(const text::Tokenizer& tokenizer) const {
    const size_t given = options.model.texts.max_length;
    return given != 0 ? given : tokenizer.model_max_length().value_or(SIZE_MAX);
  }

  static void print(const text::EncodedPair& encoded) {
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
