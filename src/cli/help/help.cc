#include "cli/help/help.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "base/strings.h"
#include "cli/environment.h"

namespace rerank::cli {
namespace {

constexpr size_t kNameColumn = 30;

// The settings that most people change, of those that a command has.
constexpr std::string_view kThatMatter[] = {"--model",     "--host",       "--port",    "--api-key",   "--engine",
                                            "--precision", "--max-length", "--threads", "--log-format"};

// Of the tables of settings, not of the command alone.
bool is_setting(const CLI::Option& option) {
  constexpr std::string_view kGroups[] = {"Model", "Models", "Engine", "Texts", "Limits", "Watching", "Server"};
  return std::find(std::begin(kGroups), std::end(kGroups), option.get_group()) != std::end(kGroups);
}

bool is_shown(const CLI::Option& option, bool all) {
  if (option.get_group().empty()) return false;
  if (all || !is_setting(option)) return true;
  return std::find(std::begin(kThatMatter), std::end(kThatMatter), option.get_name()) != std::end(kThatMatter);
}

std::string left_of(const CLI::Option& option) {
  std::string text = option.get_name(false, true);
  if (option.get_type_size() != 0 && !option.get_type_name().empty() && !option.get_positional())
    text += " " + option.get_type_name();
  return text;
}

std::string right_of(const CLI::Option& option, bool all) {
  std::string text = all ? option.get_description() : first_sentence(option.get_description());
  if (const std::string value = option.get_default_str(); !value.empty() && value != "\"\"")
    text += str_cat(" [", value, "]");
  if (option.get_required()) text += " Required.";
  if (all && !option.get_envname().empty()) text += str_cat(" (", option.get_envname(), ")");
  return text;
}

std::string row(const std::string& left, const std::string& right, size_t columns) {
  std::string text = "  " + left;
  if (text.size() + 2 > kNameColumn) {
    text += "\n";
    text.append(kNameColumn, ' ');
  } else {
    text.append(kNameColumn - text.size(), ' ');
  }
  return text + wrapped(right, kNameColumn, columns) + "\n";
}

}  // namespace

std::string first_sentence(std::string_view text) {
  const size_t end = text.find(". ");
  return std::string(text.substr(0, end == std::string_view::npos ? end : end + 1));
}

std::string wrapped(std::string_view text, size_t indent, size_t columns) {
  std::string out;
  size_t used = indent;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (used > indent && used + 1 + word.size() > columns) {
      out += "\n";
      out.append(indent, ' ');
      used = indent;
    }
    if (used > indent) out += " ", ++used;
    out += word;
    used += word.size();
  }
  return out;
}

size_t terminal_columns(int fd) {
  winsize size{};
  int columns = 100;
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    columns = size.ws_col;
  } else if (!absl::SimpleAtoi(variable("COLUMNS"), &columns)) {
    columns = 100;
  }
  return static_cast<size_t>(std::clamp(columns, 60, 140));
}

bool in_colour(int fd) { return ::isatty(fd) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb"; }

std::string HelpFormatter::make_help(const CLI::App* app, std::string, CLI::AppFormatMode mode) const {
  const bool all = mode == CLI::AppFormatMode::All;
  const size_t columns = terminal_columns(STDOUT_FILENO);
  const bool bold = in_colour(STDOUT_FILENO);
  const auto heading = [&](std::string_view text) {
    return str_cat("\n", bold ? "\033[1m" : "", text, bold ? "\033[0m" : "", "\n");
  };
  const bool root = app->get_parent() == nullptr;
  std::string text = wrapped(app->get_description(), 0, columns) + "\n\nUsage: rerankd ";
  text += root ? "COMMAND [OPTIONS]" : app->get_name() + " [OPTIONS]";
  std::string body;
  for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
    text += " " + option->get_name();
    body += row(option->get_name(), right_of(*option, all), columns);
  }
  text += "\n";
  if (!body.empty()) text += heading("Arguments:") + body;
  if (root) {
    text += heading("Commands:");
    for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; }))
      text += row(command->get_name(), first_sentence(command->get_description()), columns);
  }
  size_t hidden = 0;
  for (const std::string& group : app->get_groups()) {
    std::string rows;
    for (const CLI::Option* option : app->get_options()) {
      if (option->get_group() != group || option->get_positional()) continue;
      if (is_shown(*option, all)) {
        rows += row(left_of(*option), right_of(*option, all), columns);
      } else {
        hidden += !group.empty();
      }
    }
    if (!rows.empty()) text += heading(group + ":") + rows;
  }
  if (hidden > 0) text += str_cat("\n", hidden, " more settings: rerankd ", app->get_name(), " --help-all\n");
  return root ? text + app->get_footer() : text;
}

}  // namespace rerank::cli
