// A flag for a field, read as read_setting() reads it wherever its value comes from.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "base/settings/setting_text.h"

namespace rerank::cli {

// `info` and `field` must live until the command has run.
template <class T>
CLI::Option* add_setting(CLI::App& command, const OptionInfo& info, T& field) {
  const std::string flag = str_cat("--", info.name);
  const auto read = [&field, &info, flag](const CLI::results_t& texts) {
    const std::string& text = texts.back();
    if (const std::string wrong = read_setting(info, text, field); !wrong.empty())
      throw CLI::ValidationError(str_cat(flag, " ", text.empty() ? "\"\"" : text), wrong);
    return true;
  };
  return command.add_option(flag, CLI::callback_t(read), info.help)
      ->type_name(info.value)
      ->default_str(setting_text(field));
}

}  // namespace rerank::cli
