// Commands that tell about the program itself: settings, completion, manual pages.
#include <cstdio>

#include "cli/command.h"
#include "cli/help/help.h"

namespace rerank::cli {

Run add_options_command(CLI::App& program) {
  auto* app = program.add_subcommand("options", "Print all settings: a page, or a configuration file to begin with.");
  auto format = std::make_shared<std::string>("markdown");
  app->add_option("--format", *format,
                  "markdown (docs/options.md) or toml: every setting with its default, for --config.")
      ->check(one_of({"markdown", "toml"}))
      ->type_name("FORM")
      ->capture_default_str();
  return [app, format] {
    if (!app->parsed()) return -1;
    std::fputs((*format == "toml" ? options_toml() : options_markdown()).c_str(), stdout);
    return 0;
  };
}

Run add_completion_command(CLI::App& program) {
  auto* app = program.add_subcommand("completion", "Print the completion script of a shell.");
  auto shell = std::make_shared<std::string>();
  app->add_option("shell", *shell, "bash, zsh or fish.")->required()->check(one_of({"bash", "zsh", "fish"}));
  return [&program, app, shell] {
    if (!app->parsed()) return -1;
    std::fputs(completion_script(program, *shell).c_str(), stdout);
    return 0;
  };
}

Run add_manual_command(CLI::App& program) {
  auto* app = program.add_subcommand("manual", "Print a manual page, for man(1).");
  auto name = std::make_shared<std::string>();
  app->add_option("command", *name, "Of this command; else of the program.");
  return [&program, app, name] {
    if (!app->parsed()) return -1;
    const CLI::App* command = nullptr;
    for (const CLI::App* each : program.get_subcommands([](const CLI::App*) { return true; }))
      if (each->get_name() == *name) command = each;
    if (!name->empty() && command == nullptr) return report(absl::InvalidArgumentError(str_cat("no command ", *name)));
    std::fputs(manual_page(program, command).c_str(), stdout);
    return 0;
  };
}

}  // namespace rerank::cli
