#include "cli/environment.h"

#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/settings/nearest.h"
#include "base/strings.h"

namespace rerank::cli {
namespace {

// What Kubernetes gives each container for a service called rerankd, or rerankd-something:
// https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
bool is_service_link(std::string_view entry) {
  if (!entry.starts_with("RERANKD_")) return false;
  const size_t end = std::min(entry.find('='), entry.size() - 1);
  const std::string_view name = entry.substr(0, end), value = entry.substr(end + 1);
  if (value.starts_with("tcp://") || value.starts_with("udp://") || value.starts_with("sctp://")) return true;
  const auto holds = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (holds("_SERVICE_HOST") || holds("_SERVICE_PORT")) return true;
  const bool of_port = holds("_TCP_") || holds("_UDP_") || holds("_SCTP_");
  return of_port && holds("_PORT_") && (name.ends_with("_PORT") || name.ends_with("_PROTO") || name.ends_with("_ADDR"));
}

bool is_given(const std::string& flag, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with(flag) && (word.size() == flag.size() || word[flag.size()] == '=')) return true;
  }
  return false;
}

}  // namespace

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> pass_over_service_links() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (is_service_link(*entry)) names.emplace_back(*entry, std::string_view(*entry).find('='));
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
  return names;
}

std::string name_the_variable(const CLI::App& program, int argc, char** argv, std::string what) {
  for (const CLI::App* command : program.get_subcommands()) {
    for (const CLI::Option* option : command->get_options()) {
      const std::string flag = option->get_name(), name = option->get_envname();
      const size_t at = flag.empty() ? std::string::npos : what.find(flag);
      if (at == std::string::npos || name.empty() || variable(name.c_str()).empty()) continue;
      const size_t end = at + flag.size();
      if (end < what.size() && (std::isalnum(static_cast<unsigned char>(what[end])) || what[end] == '-')) continue;
      if (!is_given(flag, argc, argv)) return str_cat(name, " (the variable of ", flag, "): ", what);
    }
  }
  return what;
}

std::vector<std::string> command_words(int argc, char** argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.push_back("--help");
  } else if (words == std::vector<std::string>{"version"}) {
    words = {"--version"};
  }
  return words;
}

std::vector<std::string> unknown_variables(const CLI::App& program) {
  std::vector<std::string> known, lines;
  const auto add = [&](const CLI::App& app) {
    for (const CLI::Option* option : app.get_options())
      if (!option->get_envname().empty()) known.push_back(option->get_envname());
  };
  add(program);
  for (const CLI::App* app : program.get_subcommands([](const CLI::App*) { return true; })) add(*app);
  const std::vector<std::string_view> names(known.begin(), known.end());
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string name(*entry, std::min(std::string_view(*entry).find('='), std::string_view(*entry).size()));
    if (!name.starts_with("RERANKD_") || std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string_view meant = nearest(name, names);
    lines.push_back(
        str_cat(name, ": no setting has this variable", meant.empty() ? "" : str_cat("; did you mean ", meant, "?")));
  }
  return lines;
}

std::string expand_user(const std::string& path) {
  if (!path.starts_with('~')) return path;
  const size_t end = std::min(path.find('/'), path.size());
  const std::string user = path.substr(1, end - 1);
  std::string home = user.empty() ? variable("HOME") : "";
  if (home.empty()) {
    const passwd* entry = user.empty() ? ::getpwuid(::getuid()) : ::getpwnam(user.c_str());
    if (entry == nullptr) return path;
    home = entry->pw_dir;
  }
  return home + path.substr(end);
}

std::string expand_variables(const std::string& path) {
  std::string out;
  for (size_t at = 0; at < path.size();) {
    const size_t dollar = std::min(path.find('$', at), path.size());
    out.append(path, at, dollar - at);
    if (dollar == path.size()) break;
    const bool braces = dollar + 1 < path.size() && path[dollar + 1] == '{';
    const size_t begin = dollar + 1 + braces;
    size_t end = begin;
    while (end < path.size() && (std::isalnum(static_cast<unsigned char>(path[end])) || path[end] == '_')) ++end;
    const char* value = std::getenv(path.substr(begin, end - begin).c_str());
    at = end + (braces && end < path.size() && path[end] == '}');
    if (end == begin || value == nullptr || (braces && at == end)) {
      out.append(path, dollar, at - dollar);
    } else {
      out += value;
    }
  }
  return out;
}

std::string trimmed(const std::string& text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

}  // namespace rerank::cli
