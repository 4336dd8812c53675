#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "base/settings/nearest.h"
#include "base/settings/setting_text.h"
#include "base/strings.h"
#include "cli/help/help.h"

namespace rerank::cli {
namespace {

std::string meant(std::string_view text, const std::vector<std::string>& names) {
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string_view name = nearest(text, views);
  return name.empty() ? "" : str_cat("; did you mean ", name, "?");
}

}  // namespace

CLI::Validator one_of(const std::vector<std::string>& words) {
  return CLI::Validator(
      [words](std::string& text) {
        if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
        return str_cat(text, ": ", not_among(text, absl::StrJoin(words, ", ")));
      },
      "");
}

void check_counts(CLI::App& program) {
  const CLI::Validator count(
      [](std::string& text) {
        uint64_t number = 0;
        const bool good = absl::SimpleAtoi(text, &number) && number <= 1000000000;
        return good ? std::string() : str_cat(text, ": want 0 to 1000000000");
      },
      "");
  for (CLI::App* app : program.get_subcommands([](const CLI::App*) { return true; })) {
    for (CLI::Option* option : app->get_options()) {
      const std::string type = option->get_type_name();
      if (option->get_envname().empty() && (type == "N" || type == "K" || type == "TOKENS")) option->check(count);
    }
  }
}

std::string usage_error(const CLI::App& program, const CLI::ParseError& error) {
  const std::vector<const CLI::App*> chosen = [&] {
    std::vector<const CLI::App*> apps;
    for (const CLI::App* app : program.get_subcommands()) apps.push_back(app);
    return apps;
  }();
  const std::vector<std::string> unknown = program.remaining(true);
  for (const std::string& word : unknown) {
    if (!word.starts_with('-') || word.size() < 2) continue;
    const std::string flag = word.substr(0, word.find('='));
    std::vector<std::string> names;
    const auto add = [&](const CLI::App& app) {
      for (const CLI::Option* option : options_of(app))
        if (!option->get_positional()) names.push_back(option->get_name());
    };
    add(program);
    for (const CLI::App* app : chosen) add(*app);
    return str_cat("no option ", flag, chosen.empty() ? "" : " of " + chosen.front()->get_name(), meant(flag, names));
  }
  if (chosen.empty()) {
    if (unknown.empty()) return "want a command";
    std::vector<std::string> names;
    for (const CLI::App* app : program.get_subcommands([](const CLI::App*) { return true; }))
      names.push_back(app->get_name());
    return str_cat("no command ", unknown.front(), meant(unknown.front(), names));
  }
  if (!unknown.empty() && error.get_name() == "ExtrasError")
    return str_cat(chosen.front()->get_name(), " takes no argument ", unknown.front());
  return error.what();
}

}  // namespace rerank::cli
