#include "cli/help/origin.h"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <fstream>
#include <string_view>
#include <thread>

#include "base/strings.h"
#include "cli/help/version.h"
#include "report/html_page.h"

namespace rerank::cli {
namespace {

std::vector<std::string>& remembered() {
  static std::vector<std::string> words;
  return words;
}

bool is_secret(std::string_view flag) {
  return std::ranges::any_of(std::initializer_list<std::string_view>{"key", "bearer", "token", "secret", "password"},
                             [&](std::string_view end) { return flag.starts_with("--") && flag.ends_with(end); });
}

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("-_./:,=@%+").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string machine() {
  std::ifstream info("/proc/cpuinfo");
  std::string name = "unknown CPU";
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) {
      name = line.substr(line.find(':') + 2);
      break;
    }
  }
  return str_cat(name, ", ", std::thread::hardware_concurrency(), " threads");
}

}  // namespace

void remember_command(const std::vector<std::string>& words) { remembered() = words; }

std::string command_text(const std::vector<std::string>& words) {
  std::string text = "rerankd";
  bool secret = false;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (secret) {
      text += " ...";
    } else if (equals != word.npos && is_secret(std::string_view(word).substr(0, equals))) {
      text += " " + word.substr(0, equals) + "=...";
    } else {
      text += " " + quoted(word);
    }
    secret = !secret && is_secret(word);
  }
  return text;
}

std::string with_origin(std::string html) {
  char date[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
  return report::with_origin(std::move(html),
                             str_cat(date, " · ", version_text(), " · ", machine(), " · ", command_text(remembered())));
}

}  // namespace rerank::cli
