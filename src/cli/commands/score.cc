// rerankd score: {"query","document"} lines in, {"score","logit","tokens","truncated"} lines out, in order, streaming.
#include <simdjson.h>

#include <cstdio>
#include <deque>
#include <future>

#include "base/json/repair.h"
#include "base/json/writer.h"
#include "base/strings.h"
#include "cli/command.h"

namespace rerank::cli {
namespace {

// Pairs under way at once: enough for full batches, little enough that output follows input closely.
constexpr size_t kWindow = 512;

struct Score : Command {
  explicit Score(CLI::App& program) : Command(program, "score", "Score pairs: JSON lines in, JSON lines out.") {
    app.add_option("--input", file, "File of lines {\"query\": ..., \"document\": ...}; - for stdin.")
        ->type_name("FILE|-")
        ->capture_default_str();
    settings.add(options, {"Model", "Engine", "Texts"});
  }

  int run() {
    TextInput in;
    if (Status opened = in.open("--input", file); !opened.ok()) return report(opened);
    auto reranker = open();
    if (!reranker.ok()) return report(reranker.status());

    Progress progress("scoring", "pairs");
    std::deque<std::future<Result<RerankResponse>>> under_way;
    uint64_t done = 0;
    auto write_first = [&] {
      auto response = under_way.front().get();
      under_way.pop_front();
      if (!response.ok()) return with_context(response.status(), str_cat("pair ", done + 1));
      const RankedDocument& r = response->results.at(0);
      JsonWriter line;
      line.begin_object().key("score").number(nine_digits(r.score)).key("logit").number(nine_digits(r.logit));
      line.field("tokens", r.tokens).field("truncated", r.truncated).end_object();
      std::puts(line.take().c_str());
      progress.update(++done, 0);
      return std::ferror(stdout) ? absl::UnavailableError("cannot write to stdout") : ok_status();
    };
    Status status;
    for (std::string line; status.ok() && in.next_text(line);) {
      auto request = parse(line, in.number());
      if (!request.ok()) {
        status = request.status();
        break;
      }
      auto promise = std::make_shared<std::promise<Result<RerankResponse>>>();
      under_way.push_back(promise->get_future());
      (*reranker)->submit(*request, [promise](Result<RerankResponse> r) { promise->set_value(std::move(r)); });
      if (under_way.size() >= kWindow) status = write_first();
    }
    while (!under_way.empty()) {
      Status written = write_first();  // what was read before a bad line is still answered
      if (status.ok()) status = written;
    }
    return status.ok() ? 0 : report(status);
  }

  static std::string nine_digits(float number) {  // which a float reads back from
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", static_cast<double>(number));
    return text;
  }

  Result<std::shared_ptr<const RerankRequest>> parse(const std::string& line, size_t number) {
    simdjson::dom::element root;
    auto error = parser.parse(line).get(root);
    std::string repaired;
    if (error) error = parser.parse(repaired = repair_text(line, /*escapes=*/true)).get(root);
    auto request = std::make_shared<RerankRequest>();
    if (error || !read_pair(root, *request)) {
      return absl::InvalidArgumentError(str_cat(file == "-" ? "stdin" : file, ":", number,
                                                ": not an object with the strings \"query\" and \"document\" (or "
                                                "\"text\", \"passage\"), nor an array of two strings"));
    }
    return std::shared_ptr<const RerankRequest>(std::move(request));
  }

  static bool read_pair(const simdjson::dom::element& root, RerankRequest& request) {
    std::string_view query, document;
    if (simdjson::dom::array pair; !root.get(pair)) {
      if (pair.size() != 2 || pair.at(0).get(query) || pair.at(1).get(document)) return false;
    } else {
      if (root["query"].get(query)) return false;
      if (root["document"].get(document) && root["text"].get(document) && root["passage"].get(document)) return false;
    }
    request.query = std::string(query);
    request.documents.emplace_back(document);
    return true;
  }

  std::string file = "-";
  simdjson::dom::parser parser;
};

}  // namespace

Run add_score_command(CLI::App& program) {
  auto command = std::make_shared<Score>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
