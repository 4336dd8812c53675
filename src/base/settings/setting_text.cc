#include "base/settings/setting_text.h"

#include <charconv>
#include <cmath>

#include "base/settings/nearest.h"

namespace rerank {
namespace {

std::string number_text(double number) {
  if (number != std::floor(number)) return str_cat(number);
  return std::to_string(static_cast<int64_t>(number));
}

}  // namespace

std::string range_text(const OptionInfo& info, bool whole) {
  if (!info.has_range()) return whole ? "a whole number" : "a number";
  return str_cat(number_text(info.least), " to ", number_text(info.most));
}

std::string read_number(const OptionInfo& info, std::string_view text, bool whole, double& number) {
  std::string want = str_cat("want ", range_text(info, whole));
  double value = 0;
  std::string plain;  // 1_000_000, as TOML and Python write it
  for (const char c : text) {
    if (c != '_' || plain.empty()) plain += c;
  }
  const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (error != std::errc() || end != plain.data() + plain.size() || !std::isfinite(value)) return want;
  if (whole && value != std::floor(value)) return str_cat(want, ", without a fraction");
  if (info.has_range() && (value < info.least || value > info.most)) return want;
  number = value;
  return "";
}

std::string read_setting(const OptionInfo&, std::string_view text, bool& field) {
  for (const std::string_view word : {"true", "1", "on", "yes"})
    if (text == word) return field = true, "";
  for (const std::string_view word : {"false", "0", "off", "no"})
    if (text == word) return field = false, "";
  return "want true or false";
}

std::string read_setting(const OptionInfo&, std::string_view text, ChunkScore& field) {
  const auto score = parse_chunk_score(text);
  if (!score) return "want max, mean, top2, top3, ...";
  field = *score;
  return "";
}

std::string not_among(std::string_view text, const std::string& words) {
  std::vector<std::string_view> all;
  for (size_t begin = 0; begin < words.size();) {
    const size_t end = std::min(words.find(", ", begin), words.size());
    all.push_back(std::string_view(words).substr(begin, end - begin));
    begin = end + 2;
  }
  const std::string_view meant = nearest(text, all);
  return str_cat("want ", words, meant.empty() ? "" : str_cat("; did you mean ", meant, "?"));
}

std::string wrong_value(std::string_view name, std::string_view value, std::string_view wrong) {
  return str_cat(name, " ", value.empty() ? "\"\"" : value, ": ", wrong);
}

}  // namespace rerank
