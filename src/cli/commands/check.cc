// rerankd check: each part of a model, whether it works here or why not, and whether its scores are right: each engine
// against the reference, and all against a file of published scores.
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "cli/command.h"
#include "convert/verify.h"
#include "engine/registry.h"
#include "model/graphs.h"
#include "rank/locate.h"
#include "rank/texts.h"

namespace rerank::cli {
namespace {

struct Check : Command {
  explicit Check(CLI::App& program)
      : Command(program, "check",
                "Say of each part of a model whether it works here, and whether its scores are right.") {
    app.add_option("model_folder", folder, "Model folder, .gguf file or hub id; as --model.")->type_name("DIR|ID");
    app.add_option(
           "--scores", scores,
           "Published scores to compare with: lines {\"query\", \"document\"} with \"score\" (0 to 1) or \"logit\".")
        ->type_name("FILE");
    app.add_option("--tolerance", tolerance, "--scores: the largest difference that is no fault.")
        ->type_name("F")
        ->capture_default_str();
    settings.add(options, {"Model", "Engine", "Texts"});
  }

  int run() {
    if (Status status = complete(); !status.ok()) return report(status);
    if (!folder.empty()) options.model.source.model = folder;
    auto located = rank::locate_model(options);
    if (!located.ok()) return report(located.status());
    check_model(*located);
    if (!scores.empty() && failed == 0) say("scores", compare_published());
    std::printf("\n%s\n", failed == 0 ? "Nothing is wrong with it." : str_cat(failed, " part(s) do not work.").c_str());
    return failed == 0 ? 0 : 1;
  }

 private:
  void line(const char* state, const char* part, const std::string& detail) {
    std::printf("%-5s  %-12s  %s\n", state, part, detail.c_str());
    std::fflush(stdout);  // the next part may take a while
  }
  void say(const char* part, const Result<std::string>& found) {
    if (!found.ok()) ++failed;
    line(found.ok() ? "ok" : "FAILS", part, found.ok() ? *found : std::string(message_of(found.status())));
  }

  void check_model(const rank::LocatedModel& located) {
    const auto config = model::read_model_config(located.folder);
    if (config.ok()) {
      say("config", str_cat(config->architecture_name, ", ", config->architecture.layers(), " layers, pairs of ",
                            config->served_length(), " tokens"));
    }
    const EngineOptions& engine = options.model.engine;
    const auto model = model::load_model(located.folder, !engine.onnx_file.empty() || !engine.torchscript_file.empty());
    if (!model.ok()) return say(config.ok() ? "weights" : "config", model.status());
    const model::Model& found = **model;
    if (found.has_weights()) {
      say("weights", str_cat(found.weights.used.size(), " tensors, ", found.weights.parameters() / 1000000.0,
                             " M parameters, whole and of the shapes that config.json says"));
    } else {
      line("-", "weights", str_cat("none to read: ", message_of(found.no_weights)));
    }
    check_texts(located.folder, found.config);
    check_engines(*model);
  }

  // A pair has ids, and they are the model's.
  void check_texts(const std::string& model_folder, const model::ModelConfig& config) {
    const auto texts = rank::open_texts(model_folder, config, options.model.texts);
    if (!texts.ok()) return say("tokenizer", texts.status());
    const text::Tokenizer& tokenizer = (*texts)->tokenizer();
    const size_t rows = config.architecture.embedding.vocabulary;
    if (tokenizer.vocab_size() > rows) {
      return say("tokenizer",
                 absl::InvalidArgumentError(str_cat("it has ", tokenizer.vocab_size(), " tokens, the model's table ",
                                                    rows, " rows: they do not belong together")));
    }
    std::vector<int32_t> query, document;
    (*texts)->encode_document("Pandas eat bamboo.", document);
    const auto cut = (*texts)->encode_query({.query = "what do pandas eat?", .max_length = config.max_length()}, query);
    if (!cut.ok()) return say("tokenizer", cut.status());
    say("tokenizer",
        str_cat(tokenizer.vocab_size(), " tokens; a query of 4 words is ", query.size(), ", a document of 3 ",
                document.size(), ", and ", (*texts)->pieces().added_to_pair(), " stand around them"));
    if (config.architecture.input.kind != model::InputTemplate::Kind::kPrompt) return;
    say("template", (*texts)->prompt_name());
  }

  void check_engines(const std::shared_ptr<const model::Model>& model) {
    size_t run = 0;
    for (const engine::EngineChoice& choice : engine::list_engines(*model, engine::backend_options(options))) {
      const std::string name = str_cat("engine ", word_of(choice.engine));
      if (!choice.runs) {
        line("-", name.c_str(), choice.detail);
        continue;
      }
      if (choice.engine == EngineKind::kReference) continue;  // what the others are compared with
      const auto found = check_engine(model, choice.engine);
      if (found.ok()) ++run;
      say(name.c_str(), found);
    }
    if (run > 0) return;
    ++failed;
    line("FAILS", "engines", "none computes this model here");
  }

  Result<std::string> check_engine(const std::shared_ptr<const model::Model>& model, EngineKind kind) {
    ASSIGN_OR_RETURN(const auto backend, engine::open_backend(model, kind, engine::backend_options(options)));
    const engine::BackendInfo& info = backend->info();
    const std::string what = str_cat(info.precision_text(), " ", info.kernel);
    if (!model->has_weights()) return str_cat(what, "; not compared: there are no weights for the reference");
    Progress bar(str_cat("reference and ", info.engine_text()), "pairs");
    ASSIGN_OR_RETURN(
        const convert::Verification found,
        convert::verify_converted(model, 0, *backend, [&](uint64_t done, uint64_t total) { bar.update(done, total); }));
    char text[200];
    std::snprintf(text, sizeof text,
                  "%s: differs from the reference by %.2g at most, where logits span %.3g (%zu pairs)", what.c_str(),
                  found.largest, found.spread, found.pairs);
    double bound = 0;  // of several devices: of the coarsest
    for (const Precision precision : info.precisions)
      bound = std::max(bound, convert::explained_difference(precision, found.spread));
    if (found.largest <= bound) return std::string(text);
    return absl::InternalError(str_cat(text, ": more than rounding explains. Please report it"));
  }

  // All at once: files of published scores are short.
  Result<std::string> compare_published() {
    TextInput in;
    RETURN_IF_ERROR(in.open("--scores", scores));
    ASSIGN_OR_RETURN(const auto reranker, open());
    simdjson::dom::parser parser;
    double largest = 0;
    size_t count = 0, worst = 0;
    for (std::string text; in.next_text(text); ++count) {
      simdjson::dom::element root;
      std::string_view query, document;
      double wanted = 0;
      const bool readable =
          !parser.parse(text).get(root) && !root["query"].get(query) && !root["document"].get(document);
      const bool logit = readable && root["logit"].get(wanted) == simdjson::SUCCESS;
      if (!readable || (!logit && root["score"].get(wanted))) {
        return absl::InvalidArgumentError(
            str_cat(scores, ":", in.number(),
                    ": not an object with texts `query`, `document` and a number `score` or `logit`"));
      }
      RerankRequest request;
      request.query = std::string(query);
      request.documents.emplace_back(document);
      request.scale = logit ? ScoreScale::kLogit : ScoreScale::kSigmoid;
      ASSIGN_OR_RETURN(const RerankResponse response, reranker->rerank(request));
      const double difference = std::abs(response.results.at(0).score - wanted);
      if (difference > largest || !std::isfinite(difference)) largest = difference, worst = in.number();
    }
    if (count == 0) return absl::InvalidArgumentError(str_cat(scores, ": there are no lines in it"));
    const std::string found = str_cat(count, " pairs, largest difference ", largest, " (line ", worst, ")");
    if (largest <= tolerance) return found;
    return absl::FailedPreconditionError(str_cat(found, ": --tolerance is ", tolerance));
  }

  std::string folder, scores;
  double tolerance = 0.01;  // what others published is rounded to some digits, and computed in whatever precision
  size_t failed = 0;
};

}  // namespace

Run add_check_command(CLI::App& program) {
  auto command = std::make_shared<Check>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
