// rerankd rank: one query, documents from a file or stdin, a table or JSON.
#include <unistd.h>

#include <cstdio>

#include "base/json/writer.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/help/help.h"

namespace rerank::cli {
namespace {

// The first `columns` characters of a text on one line. Counts code points: wide characters may reach further.
std::string first_line(const std::string& text, size_t columns) {
  std::string line;
  for (size_t i = 0, count = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80 && ++count > columns) return line + "…";
    line += byte < 32 || byte == 127 ? ' ' : text[i];
  }
  return line;
}

// `lines`: where each document stands in its file.
void print_table(const RerankRequest& request, const RerankResponse& response, const std::vector<size_t>& lines) {
  const size_t columns = terminal_columns(STDOUT_FILENO) - 24;
  std::printf("rank    score  line  document\n");
  for (size_t i = 0; i < response.results.size(); ++i) {
    const RankedDocument& r = response.results[i];
    std::printf("%4zu  %7.4f %5zu  %s%s\n", i + 1, r.score, lines[r.index],
                first_line(request.documents[r.index], columns).c_str(), r.truncated ? "  (cut)" : "");
  }
}

void print_json(const RerankRequest& request, const RerankResponse& response, const ModelInfo& info) {
  JsonWriter out;
  auto text = [&](std::string_view s) { out.value(s); };
  out.begin_object();
  out.key("model"), text(info.id);
  out.key("results"), out.begin_array();
  for (const RankedDocument& r : response.results) {
    out.begin_object();
    out.key("index"), out.value(r.index);
    out.key("score"), out.value(r.score);
    out.key("logit"), out.value(r.logit);
    out.key("tokens"), out.value(r.tokens);
    out.key("truncated"), out.value(r.truncated);
    out.key("document_tokens"), out.value(r.document_tokens);
    out.key("kept"), out.begin_array();
    for (const TokenRange& part : r.kept) {
      out.begin_array();
      out.value(part.begin), out.value(part.end);
      out.end_array();
    }
    out.end_array();
    out.key("document"), text(request.documents[r.index]);
    out.end_object();
  }
  out.end_array();
  out.key("total_tokens"), out.value(response.total_tokens);
  out.key("milliseconds"), out.value(static_cast<double>(response.timings.total_us) * 1e-3);
  out.end_object();
  std::puts(out.take().c_str());
}

struct Rank : Command {
  explicit Rank(CLI::App& program)
      : Command(program, "rank", "Rank documents for one query: a line of the file is a document.") {
    app.add_option("--query", request.query, "The question.")->required()->type_name("TEXT");
    app.add_option("--documents", file, "File with one document a line; - for stdin.")
        ->type_name("FILE|-")
        ->capture_default_str();
    app.add_option("--top-n", request.top_n, "Only the best N. 0: all.")->type_name("N")->capture_default_str();
    app.add_option("--format", format, "table or json.")->check(one_of({"table", "json"}))->capture_default_str();
    settings.add(options, {"Model", "Engine", "Texts"});
  }

  int run() {
    TextInput in;
    if (file == "-" && ::isatty(STDIN_FILENO) == 1)
      std::fprintf(stderr, "reading documents from the terminal, one a line; Ctrl-D ends\n");
    if (Status opened = in.open("--documents", file); !opened.ok()) return report(opened);
    for (std::string line; in.next_text(line);) {
      request.documents.push_back(std::move(line));
      numbers.push_back(in.number());
    }
    if (request.documents.empty()) return report(absl::InvalidArgumentError("no documents: one a line is expected"));
    options.model.queue.max_documents = std::max(options.model.queue.max_documents, request.documents.size());
    auto reranker = open();
    if (!reranker.ok()) return report(reranker.status());
    request.explain_cuts = format == "json";
    auto response = (*reranker)->rerank(request);
    if (!response.ok()) return report(response.status());
    format == "json" ? print_json(request, *response, (*reranker)->info()) : print_table(request, *response, numbers);
    return 0;
  }

  RerankRequest request;
  std::vector<size_t> numbers;
  std::string file = "-", format = "table";
};

}  // namespace

Run add_rank_command(CLI::App& program) {
  auto command = std::make_shared<Rank>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
