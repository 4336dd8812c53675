// rerankd inspect: what a model folder holds, and which engines would run it here.
#include <cstdio>

#include "api/routes.h"
#include "base/strings.h"
#include "cli/command.h"
#include "engine/registry.h"
#include "model/graphs.h"
#include "rank/locate.h"
#include "rank/texts.h"

namespace rerank::cli {
namespace {

struct Inspect : Command {
  explicit Inspect(CLI::App& program)
      : Command(program, "inspect", "Show a model's architecture, sizes and limits, and which engines run it here.") {
    app.add_option("model_folder", folder, "Model folder or hub id; as --model.")->type_name("DIR|ID");
    settings.add(options, {"Model", "Engine", "Texts"});
  }

  int run() {
    if (Status status = complete(); !status.ok()) return report(status);
    if (!folder.empty()) options.model.source.model = folder;
    auto located = rank::locate_model(options);
    if (!located.ok()) return report(located.status());
    auto model = model::load_model(
        located->folder, !options.model.engine.onnx_file.empty() || !options.model.engine.torchscript_file.empty());
    if (!model.ok()) return report(model.status());
    auto texts = rank::open_texts(located->folder, (*model)->config, options.model.texts);
    print_model(*located, **model);
    if (!texts.ok()) return report(texts.status());
    const text::Tokenizer& tokenizer = (*texts)->tokenizer();
    std::printf(
        "tokenizer       %zu tokens, %zu special tokens per pair%s\n", tokenizer.vocab_size(),
        (*texts)->pieces().added_to_pair(),
        tokenizer.model_max_length() ? str_cat(", model_max_length ", *tokenizer.model_max_length()).c_str() : "");
    print_prompt(**texts, (*model)->config.architecture.input, (*model)->config.serving.prompt_from);
    std::printf("\nengines\n");
    for (const engine::EngineChoice& choice : engine::list_engines(**model, engine::backend_options(options))) {
      std::printf("  %-12s  %s %s\n", std::string(word_of(choice.engine)).c_str(),
                  choice.runs ? "runs:" : "does not run:", choice.detail.c_str());
    }
    return 0;
  }

  void print_prompt(const text::PairEncoder& texts, const model::InputTemplate& input, const std::string& from) const {
    if (input.kind == model::InputTemplate::Kind::kPair) return;
    const std::string& given = options.model.texts.prompt;
    std::printf("template        %s%s\n", texts.prompt_name().c_str(),
                !given.empty()                        ? ", of --template"
                : texts.prompt_name() == input.prompt ? ", the model's"
                                                      : ", the folder's");
    if (!texts.takes_instruction()) return;
    const std::string_view instruction = texts.instruction_of(std::nullopt);
    std::printf("instruction     %.*s%s\n", static_cast<int>(instruction.size()), instruction.data(),
                from.empty() || !options.model.texts.instruction.empty() ? "" : str_cat(" (", from, ")").c_str());
  }

  static void print_model(const rank::LocatedModel& located, const model::Model& model) {
    const model::ModelConfig& c = model.config;
    const model::Architecture& a = c.architecture;
    std::printf("model           %s  (%s)\n", located.name.c_str(), located.folder.c_str());
    std::printf("architecture    %s\n", c.architecture_name.c_str());
    if (a.layers() > 0 && a.blocks[0].attention.heads > 0) print_encoder(a);
    if (a.scoring.marks) {
      std::printf("head            vectors of %zu; a document's score is its cosine with the query\n",
                  a.scoring.labels);
    } else {
      std::printf("head            %zu label%s\n", a.scoring.labels, a.scoring.labels == 1 ? "" : "s: logit = z1 - z0");
    }
    if (const size_t first = a.scoring.first_output; first != 0 && first < a.layers()) {
      std::printf(
          "outputs         after layers %zu to %zu: `layers` of a request chooses; --exit-keep N: adaptive depth\n",
          first, a.layers());
    }
    std::printf("vocabulary      %zu\n", a.embedding.vocabulary);
    std::printf("longest pair    %zu tokens\n", c.max_length());
    print_serving(c);
    for (const auto& files : {model::onnx_files(model.folder), model::torchscript_files(model.folder)}) {
      for (const std::string& file : files) std::printf("graph           %s\n", file.c_str());
    }
    if (!model.has_weights()) {
      std::printf("weights         none to read: %s\n", std::string(message_of(model.no_weights)).c_str());
      return;
    }
    uint64_t bytes = 0;
    for (const auto& [name, view] : model.weights.files->tensors()) bytes += view.bytes.size();
    std::printf("weights         %.1f M parameters, %.1f MB, %s, %zu file(s)\n",
                static_cast<double>(model.weights.parameters()) / 1e6, static_cast<double>(bytes) / 1e6,
                model::dtype_name(model.weights.words.dtype), model.weights.files->files().size());
  }

  static void print_serving(const model::ModelConfig& c) {
    const model::ServingDefaults& serving = c.serving;
    const auto from = [](const std::string& file) { return file.empty() ? "" : str_cat(" (", file, ")"); };
    std::printf("served with     --max-length %zu --truncation %s, where nothing else is said%s\n", c.served_length(),
                std::string(word_of(serving.truncation)).c_str(), from(serving.max_length_from).c_str());
    if (!serving.prompt.empty() && c.architecture.input.kind == model::InputTemplate::Kind::kPair)
      std::printf("before queries  \"%s\"%s\n", serving.prompt.c_str(), from(serving.prompt_from).c_str());
    if (serving.activation.empty()) return;
    const char* request = serving.activation == "Sigmoid"    ? "as scores are"
                          : serving.activation == "Identity" ? "logits: --score-scale auto, or raw_scores in requests"
                                                             : "not computed here: take raw_scores, and apply it";
    std::printf("its scores are  %s, %s%s\n", serving.activation.c_str(), request,
                from(serving.activation_from).c_str());
  }

  static void print_encoder(const model::Architecture& a) {
    const model::Attention& attention = a.blocks[0].attention;
    const model::FeedForward& ff = a.blocks[0].feed_forward;
    std::printf("encoder         %zu layers, hidden %zu, %zu heads of %zu, feed-forward %zu (%s%s)\n", a.layers(),
                a.hidden, attention.heads, attention.head_size, ff.width,
                ff.gate == model::GateHalf::kNone ? "" : "gated ",
                std::string(model::activation_name(ff.activation)).c_str());
  }

  std::string folder;
};

}  // namespace

Run add_inspect_command(CLI::App& program) {
  auto command = std::make_shared<Inspect>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

Run add_routes_command(CLI::App& program) {
  auto* app = program.add_subcommand("routes", "Print routes, gRPC methods and errors as Markdown (docs/routes.md).");
  return [app] {
    if (!app->parsed()) return -1;
    std::fputs(api::routes_markdown().c_str(), stdout);
    return 0;
  };
}

}  // namespace rerank::cli
