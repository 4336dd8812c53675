// A setting's value as text: how flags, the environment, the configuration file, other languages and docs/options.md
// read and write it. The one place where a value is checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/strings.h"
#include "rerank/choice.h"
#include "rerank/options/option_info.h"
#include "rerank/truncation.h"

namespace rerank {

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

// "0 to 65535", "1 or more": the numbers of a setting; empty where it has none.
std::string range_text(const OptionInfo& info, bool whole);

// A number of the setting's range. Errors: what is wrong; empty: nothing.
std::string read_number(const OptionInfo& info, std::string_view text, bool whole, double& number);

// The wrong word and the right ones, the one that was probably meant first.
std::string not_among(std::string_view text, const std::string& words);

// Sets `field` and returns "", or leaves it and returns what is wrong, as in "want 0 to 65535".
inline std::string read_setting(const OptionInfo&, std::string_view text, std::string& field) {
  field = text;
  return "";
}
inline std::string read_setting(const OptionInfo&, std::string_view text, std::optional<std::string>& field) {
  field = text;
  return "";
}
std::string read_setting(const OptionInfo& info, std::string_view text, bool& field);
std::string read_setting(const OptionInfo& info, std::string_view text, ChunkScore& field);
template <class T>
requires std::is_arithmetic_v<T> std::string read_setting(const OptionInfo& info, std::string_view text, T& field) {
  double number = 0;
  std::string wrong = read_number(info, text, std::is_integral_v<T>, number);
  if (wrong.empty()) field = static_cast<T>(number);
  return wrong;
}
template <IsChoice E>
std::string read_setting(const OptionInfo&, std::string_view text, E& field) {
  const auto value = parse_choice<E>(text);
  if (!value) return not_among(text, words_of<E>());
  field = *value;
  return "";
}
template <IsChoice E>
std::string read_setting(const OptionInfo&, std::string_view text, std::optional<E>& field) {
  const auto value = parse_choice<E>(text);
  if (!value && text != "auto") return not_among(text, str_cat("auto, ", words_of<E>()));
  field = value;
  return "";
}

// "NAME VALUE: want ...", for a value that read_setting() has found wrong.
std::string wrong_value(std::string_view name, std::string_view value, std::string_view wrong);

}  // namespace rerank
