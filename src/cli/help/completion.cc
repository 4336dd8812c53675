#include <map>
#include <vector>

#include "base/strings.h"
#include "cli/help/help.h"
#include "rerank/options.h"

namespace rerank::cli {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& program) {
  std::vector<const CLI::App*> commands;
  for (const CLI::App* app : program.get_subcommands([](const CLI::App*) { return true; })) commands.push_back(app);
  return commands;
}

struct Flag {
  std::string name, help, values;  // values: separated by blanks, where they are known
  bool takes_value = false, is_path = false;
};

// Words of settings that are one of a few.
std::map<std::string, std::string> known_values() {
  std::map<std::string, std::string> values;
  const auto look = [&](const OptionInfo& info, auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (IsChoice<Field>) {
      for (const auto& choice : Choices<Field>::kAll) values[str_cat("--", info.name)] += str_cat(choice.word, " ");
    } else if constexpr (std::is_same_v<Field, bool>) {
      values[str_cat("--", info.name)] = "true false ";
    }
  };
  Options library;
  ServerOptions server;
  visit_options(library, look);
  visit_options(server, look);
  return values;
}

std::vector<Flag> flags_of(const CLI::App& command) {
  const auto values = known_values();
  std::vector<Flag> flags;
  for (const CLI::Option* option : options_of(command)) {
    if (option->get_positional()) continue;
    Flag flag{option->get_name(), first_sentence(option->get_description()), "", option->get_type_size() != 0, false};
    flag.name = flag.name.substr(0, flag.name.find(','));
    if (!flag.name.starts_with("--")) continue;
    const std::string type = option->get_type_name();
    flag.is_path = type.find("FILE") != std::string::npos || type.find("DIR") != std::string::npos;
    if (const auto found = values.find(flag.name); found != values.end()) flag.values = found->second;
    flags.push_back(std::move(flag));
  }
  return flags;
}

// Inside '...' of a shell.
std::string shell_quoted(std::string_view text, std::string_view escaped = "") {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (escaped.find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string for_bash(const CLI::App& program) {
  std::string names, cases, values;
  std::map<std::string, std::string> by_flag;
  for (const CLI::App* command : commands_of(program)) {
    names += command->get_name() + " ";
    cases += "    " + command->get_name() + ") words=\"";
    for (const Flag& flag : flags_of(*command)) {
      cases += flag.name + " ";
      if (!flag.values.empty()) by_flag[flag.name] = "COMPREPLY=($(compgen -W \"" + flag.values + "\" -- \"$cur\"))";
      if (flag.is_path) by_flag[flag.name] = "COMPREPLY=($(compgen -f -- \"$cur\"))";
    }
    cases += "\" ;;\n";
  }
  for (const auto& [flag, reply] : by_flag) values += "    " + flag + ") " + reply + "; return ;;\n";
  return "# bash: rerankd completion bash > /etc/bash_completion.d/rerankd\n"
         "_rerankd() {\n  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\"" +
         names + "--help --help-all --version\" word\n  case $prev in\n" + values +
         "  esac\n  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do case $word in\n" + cases +
         "  esac; done\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _rerankd "
         "rerankd\n";
}

std::string for_zsh(const CLI::App& program) {
  std::string names, cases;
  for (const CLI::App* command : commands_of(program)) {
    names +=
        "    '" + command->get_name() + ":" + shell_quoted(first_sentence(command->get_description()), ":") + "'\n";
    cases += "    " + command->get_name() + ") _arguments";
    for (const Flag& flag : flags_of(*command)) {
      cases += " \\\n      '" + flag.name + "[" + shell_quoted(flag.help, "[]:") + "]";
      if (flag.takes_value)
        cases += ":value:" + (flag.is_path ? "_files" : flag.values.empty() ? "" : "(" + flag.values + ")");
      cases += "'";
    }
    cases += " \\\n      '*:file:_files' ;;\n";
  }
  return "#compdef rerankd\n# zsh: rerankd completion zsh > a folder of $fpath, named _rerankd\n_rerankd() {\n"
         "  local -a commands=(\n" +
         names + "  )\n  if (( CURRENT == 2 )); then _describe command commands; return; fi\n  case $words[2] in\n" +
         cases +
         "  esac\n}\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then _rerankd \"$@\"; else compdef _rerankd "
         "rerankd; fi\n";
}

std::string for_fish(const CLI::App& program) {
  std::string text =
      "# fish: rerankd completion fish > ~/.config/fish/completions/rerankd.fish\ncomplete -c rerankd -n "
      "__fish_use_subcommand -f\n";
  for (const CLI::App* command : commands_of(program)) {
    const std::string name = command->get_name();
    text += "complete -c rerankd -n __fish_use_subcommand -a " + name + " -d '" +
            shell_quoted(first_sentence(command->get_description())) + "'\n";
    for (const Flag& flag : flags_of(*command)) {
      text += "complete -c rerankd -n '__fish_seen_subcommand_from " + name + "' -l " + flag.name.substr(2) + " -d '" +
              shell_quoted(flag.help) + "'";
      if (flag.takes_value) text += flag.is_path ? " -r -F" : " -x";
      if (!flag.values.empty()) text += " -a '" + flag.values + "'";
      text += "\n";
    }
  }
  return text;
}

}  // namespace

std::string completion_script(const CLI::App& program, std::string_view shell) {
  if (shell == "bash") return for_bash(program);
  return shell == "zsh" ? for_zsh(program) : for_fish(program);
}

}  // namespace rerank::cli
