#include "base/strings.h"
#include "cli/help/help.h"

namespace rerank::cli {
namespace {

// Text in roff: no line may begin with a control character, and "-" is to be copied as it is.
std::string roff(std::string_view text) {
  std::string out;
  bool begin = true;
  for (const char c : text) {
    if (begin && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    begin = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

std::string option_entry(const CLI::Option& option) {
  std::string text = ".TP\n\\fB" + roff(option.get_name(false, true)) + "\\fR";
  if (option.get_type_size() != 0 && !option.get_type_name().empty() && !option.get_positional())
    text += " \\fI" + roff(option.get_type_name()) + "\\fR";
  text += "\n" + roff(option.get_description());
  if (!option.get_default_str().empty()) text += roff(str_cat(" Default: ", option.get_default_str(), "."));
  if (!option.get_envname().empty()) text += " Environment: \\fB" + roff(option.get_envname()) + "\\fR.";
  return text + "\n";
}

}  // namespace

std::string manual_page(const CLI::App& program, const CLI::App* command) {
  const CLI::App& app = command == nullptr ? program : *command;
  const std::string name = command == nullptr ? "rerankd" : str_cat("rerankd-", command->get_name());
  std::string text =
      str_cat(".TH ", upper(name), " 1 \"\" \"rerankd " RERANKD_VERSION "\" \"User Commands\"\n.SH NAME\n", roff(name),
              " \\- ", roff(first_sentence(app.get_description())), "\n.SH SYNOPSIS\n.B rerankd ");
  text += command == nullptr ? "COMMAND" : roff(command->get_name());
  text += "\n[OPTIONS]";
  for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->get_positional(); }))
    text += " " + roff(option->get_name());
  text += "\n.SH DESCRIPTION\n" + roff(app.get_description()) + "\n";
  if (command == nullptr) {
    text += ".SH COMMANDS\n";
    for (const CLI::App* each : program.get_subcommands([](const CLI::App*) { return true; })) {
      text += str_cat(".TP\n\\fBrerankd\\-", roff(each->get_name()), "\\fR(1)\n",
                      roff(first_sentence(each->get_description())), "\n");
    }
  }
  for (const std::string& group : app.get_groups()) {
    std::string entries;
    for (const CLI::Option* option : options_of(app))
      if (option->get_group() == group) entries += option_entry(*option);
    if (!entries.empty()) text += ".SH " + upper(group) + "\n" + entries;
  }
  return text +
         ".SH EXIT STATUS\n.TP\n0\nDone.\n.TP\n1\nIt failed; the reason is on standard error.\n.TP\n2\nThe command "
         "line, a "
         "variable or the configuration file is wrong.\n.TP\n130\nEnded by Ctrl\\-C.\n";
}

}  // namespace rerank::cli
