// A setting's value as text: how flags, the environment, the configuration file and docs/options.md read and write it.
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <string>

#include "base/strings.h"
#include "rerank/choice.h"
#include "rerank/truncation.h"

namespace rerank::cli {

inline std::string setting_text(const std::string& value) { return value; }
inline std::string setting_text(bool value) { return value ? "true" : "false"; }
inline std::string setting_text(double value) { return str_cat(value); }
inline std::string setting_text(const std::optional<std::string>& value) { return value.value_or(""); }
inline std::string setting_text(ChunkScore value) { return to_string(value); }
template <IsChoice E>
std::string setting_text(E value) {
  return std::string(word_of(value));
}
template <IsChoice E>
std::string setting_text(const std::optional<E>& value) {
  return value ? setting_text(*value) : "auto";
}
template <class T>
std::string setting_text(T value) {
  return std::to_string(value);
}

// What is wrong with a text that is no value of the setting; empty: nothing.
template <class T>
std::string read_setting(const std::string& text, T& field) {
  return CLI::detail::lexical_cast(text, field) ? "" : "not a value of this setting";
}
template <IsChoice E>
std::string read_setting(const std::string& text, E& field) {
  const auto value = parse_choice<E>(text);
  if (!value) return str_cat(text, ": not known; there are ", words_of<E>());
  field = *value;
  return "";
}
template <IsChoice E>
std::string read_setting(const std::string& text, std::optional<E>& field) {
  field = parse_choice<E>(text);
  return field || text == "auto" ? "" : str_cat(text, ": not known; there are auto, ", words_of<E>());
}
inline std::string read_setting(const std::string& text, std::optional<std::string>& field) {
  field = text;
  return "";
}
inline std::string read_setting(const std::string& text, ChunkScore& field) {
  const auto score = parse_chunk_score(text);
  if (!score) return str_cat(text, ": not known; there are max, mean, top2, top3, ...");
  field = *score;
  return "";
}

// Adds a flag for a field. What CLI11 reads by itself it reads as ever; the others are read by read_setting().
template <class T>
CLI::Option* add_setting(CLI::App& command, const std::string& flag, T& field, const std::string& help) {
  if constexpr (requires { CLI::detail::lexical_cast(flag, field); } && !std::is_class_v<T> && !std::is_enum_v<T>) {
    return command.add_option(flag, field, help);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return command.add_option(flag, field, help);
  } else {
    const auto read = [&field, flag](const CLI::results_t& texts) {
      if (const std::string wrong = read_setting(texts.back(), field); !wrong.empty())
        throw CLI::ValidationError(flag, wrong);
      return true;
    };
    return command.add_option(flag, CLI::callback_t(read), help)->default_str(setting_text(field));
  }
}

}  // namespace rerank::cli
