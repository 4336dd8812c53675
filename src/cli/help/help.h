// What the program says of itself: help, completion and manual pages, all from the table of commands and their options.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace rerank::cli {

// An app's options, and those of its option groups, which CLI11 keeps as commands without a name.
std::vector<const CLI::Option*> options_of(const CLI::App& app);

// Up to the first full stop that ends a sentence.
std::string first_sentence(std::string_view text);

// Broken at blanks so that no line is longer than `columns`, each but the first after `indent` blanks.
std::string wrapped(std::string_view text, size_t indent, size_t columns);

// Of the terminal that `fd` is; else $COLUMNS, else 100. Between 60 and 140.
size_t terminal_columns(int fd);

// Whether to write colours to `fd`: a terminal, and NO_COLOR (https://no-color.org) is not set.
bool in_colour(int fd);

// --help: a command's own options and the settings that matter, on a screen. --help-all: everything, in full.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

// The completion script for a shell: bash, zsh or fish.
std::string completion_script(const CLI::App& program, std::string_view shell);

// A page for man(1): of the program, or of one of its commands.
std::string manual_page(const CLI::App& program, const CLI::App* command);

// Of flags that are one of a few words.
CLI::Validator one_of(const std::vector<std::string>& words);

// Flags of commands that count something refuse what is no count: a negative number would wrap around.
void check_counts(CLI::App& program);

// What was wrong with the command line, with what was probably meant: "no command serv; did you mean serve?".
std::string usage_error(const CLI::App& program, const CLI::ParseError& error);

}  // namespace rerank::cli
