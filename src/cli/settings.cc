#include "cli/settings.h"

#include <toml++/toml.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

#include "base/mapped_file.h"
#include "base/settings/assign.h"
#include "base/settings/setting_text.h"
#include "base/strings.h"
#include "cli/add_setting.h"
#include "cli/environment.h"
#include "cli/help/help.h"

namespace rerank::cli {
namespace {

// A scalar of the configuration file as the text that a flag would have.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (auto s = node.as_string()) return s->get();
  if (auto i = node.as_integer()) return std::to_string(i->get());
  if (auto f = node.as_floating_point()) return str_cat(f->get());
  if (auto b = node.as_boolean()) return b->get() ? "true" : "false";
  return std::nullopt;
}

template <class T>
std::string shown_range(const OptionInfo& info, const T&) {
  return str_cat("Range: ", range_text(info, std::is_integral_v<T>));
}

// What is wrong with a key of the file, and where it stands.
Status wrong_at(const std::string& path, const toml::node& node, std::string_view what) {
  return absl::InvalidArgumentError(str_cat(path, ":", node.source().begin.line, ": ", what));
}

// Read by serving/model_list.h.
bool is_of_models(const std::string& name) { return name == "models" || name == "aliases" || name == "default-model"; }

Status broken_file(const std::string& path, const toml::parse_error& error) {
  return absl::InvalidArgumentError(
      str_cat(path, ":", error.source().begin.line, ": ", std::string(error.description())));
}

}  // namespace

std::string environment_name(const OptionInfo& info) {
  if (info.environment != nullptr) return info.environment;
  std::string name = str_cat("RERANKD_", info.name);
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

Settings::Settings(CLI::App& command) : command_(command) {
  command_.add_option("--config", config_path_, "TOML file with settings, named as the flags: port = 9000.")
      ->envname("RERANKD_CONFIG")
      ->type_name("FILE");
}

template <class O>
void Settings::bind(O& options, const std::vector<std::string>& groups) {
  visit_options(options, [&](const OptionInfo& info, auto& field) {
    if (!groups.empty() && std::find(groups.begin(), groups.end(), info.group) == groups.end()) return;
    CLI::Option* option = add_setting(command_, info, field)->envname(environment_name(info))->group(info.group);
    if (info.has_range()) option->description(str_cat(info.help, " ", shown_range(info, field), "."));
    bound_[info.name] = {option, [&field, &info](const std::string& text) { return read_setting(info, text, field); }};
  });
}

void Settings::add(Options& options, const std::vector<std::string>& groups) { bind(options, groups); }
void Settings::add(ServerOptions& options) { bind(options, {}); }

void Settings::repeat(const std::string& name) {
  bound_.at(name).option->multi_option_policy(CLI::MultiOptionPolicy::TakeFirst);
}

std::vector<std::string> Settings::values(const std::string& name) const { return bound_.at(name).option->results(); }

Status Settings::apply_config_file() const {
  if (config_path_.empty()) return ok_status();
  if (std::error_code error; !std::filesystem::is_regular_file(config_path_, error))
    return absl::InvalidArgumentError(str_cat("--config ", config_path_, ": no such file"));
  try {
    const toml::table file = toml::parse_file(config_path_);
    for (const auto& [key, node] : file) {
      std::string name(key.str());
      std::replace(name.begin(), name.end(), '_', '-');
      if (is_of_models(name)) continue;
      if (node.is_table())
        return wrong_at(config_path_, node, str_cat("[", name, "]: settings stand without sections: port = 9000"));
      auto found = bound_.find(name);
      if (found == bound_.end()) {
        // A file may be shared by commands: a setting of another command is not an error, an unknown name is.
        Options library;
        ServerOptions server;
        bool known = false;
        auto look = [&](const OptionInfo& info, auto&) { known |= name == info.name; };
        visit_options(library, look);
        visit_options(server, look);
        if (known) continue;
        return wrong_at(config_path_, node, message_of(no_such_setting(name)));
      }
      if (found->second.option->count() > 0) continue;
      const auto text = scalar_text(node);
      const std::string wrong = text ? found->second.assign(*text) : "want one value, not a list";
      if (!wrong.empty()) return wrong_at(config_path_, node, wrong_value(name, text.value_or("[...]"), wrong));
    }
  } catch (const toml::parse_error& error) {
    return broken_file(config_path_, error);
  }
  return ok_status();
}

Result<std::map<std::string, std::string>> Settings::file_values() const {
  std::map<std::string, std::string> values;
  if (config_path_.empty()) return values;
  try {
    for (const auto& [key, node] : toml::parse_file(config_path_)) {
      std::string name(key.str());
      std::replace(name.begin(), name.end(), '_', '-');
      if (!is_of_models(name)) values[name] = scalar_text(node).value_or("");
    }
  } catch (const toml::parse_error& error) {
    return broken_file(config_path_, error);
  }
  return values;
}

std::string scoring_settings(Options options) {
  std::string text;
  visit_options(options, [&](const OptionInfo& info, const auto& field) {
    const std::string_view name = info.name;
    if (std::string_view(info.group) == "Texts" || name == "layers" || name == "target-agreement" ||
        name == "exit-keep")
      text += str_cat(info.name, "=", setting_text(field), "\n");
  });
  return text;
}

constexpr size_t kMostTokenBytes = 65536;

std::string user_cache_folder() {
  const std::string cache = variable("XDG_CACHE_HOME");
  return cache.empty() ? expand_user("~/.cache") : expand_user(cache);
}

template <class O>
void expand_paths(O& options) {
  visit_options(options, [](const OptionInfo& info, auto& field) {
    if constexpr (std::is_same_v<decltype(field), std::string&>) {
      const std::string_view kind = info.value;
      if (kind == "DIR" || kind == "FILE" || kind == "DIR|ID") field = expand_user(field);
    }
  });
}
template void expand_paths(Options&);
template void expand_paths(ServerOptions&);

Status apply_folder_defaults(Options& options) {
  expand_paths(options);
  if (options.host.tuning_cache.empty()) options.host.tuning_cache = user_cache_folder() + "/rerankd/tuning";
  const auto path_in = [](const char* name) { return expand_user(expand_variables(variable(name))); };
  std::string home = path_in("HF_HOME");
  if (home.empty()) home = user_cache_folder() + "/huggingface";
  SourceOptions& source = options.model.source;
  source.hub_cache = expand_variables(source.hub_cache);
  if (source.hub_cache.empty()) source.hub_cache = path_in("HUGGINGFACE_HUB_CACHE");
  if (source.hub_cache.empty()) source.hub_cache = home + "/hub";
  if (source.hub_token.empty()) source.hub_token = variable("HUGGING_FACE_HUB_TOKEN");
  if (source.hub_token.empty()) {
    const std::string path = path_in("HF_TOKEN_PATH");
    const auto token = read_file(path.empty() ? home + "/token" : path, kMostTokenBytes);
    if (token.ok()) source.hub_token = token->substr(0, token->find('\n'));
  }
  source.hub_token = trimmed(source.hub_token);
  for (const char c : source.hub_token) {
    if (c <= 0x20 || c >= 0x7f)
      return absl::InvalidArgumentError("HF_TOKEN: holds a character that a header of HTTP cannot carry");
  }
  return ok_status();
}

std::string options_toml() {
  std::string text =
      "# Settings of rerankd, for --config FILE or RERANKD_CONFIG. Each stands here with its default; take the # away "
      "in front "
      "of\n# what you change. A flag wins over an environment variable, and that over this file. What each means in "
      "full: "
      "docs/options.md.\n";
  std::string group;
  auto row = [&](const OptionInfo& info, const auto& field) {
    if (group != info.group) {
      group = info.group;
      text += str_cat("\n# ---- ", group, "\n");
    }
    const std::string value = setting_text(field);
    const bool bare = std::is_arithmetic_v<std::remove_cvref_t<decltype(field)>>;
    text +=
        str_cat("\n# ", first_sentence(info.help), info.has_range() ? str_cat(" ", shown_range(info, field), ".") : "",
                "\n# ", info.name, " = ", bare ? value : str_cat("\"", value, "\""), "\n");
  };
  Options library;
  ServerOptions server;
  visit_options(library, row);
  visit_options(server, row);
  return text;
}

std::string options_markdown() {
  std::string text =
      "# Settings\n\nEvery setting is a flag, an environment variable and a key of the TOML file that `--config` "
      "names; the first "
      "of these that says something wins. `rerankd serve` takes all of them; the other commands take those of the "
      "groups Model, "
      "Engine and Texts. This page is made by `rerankd options`.\n";
  std::string group;
  auto row = [&](const OptionInfo& info, const auto& field) {
    if (group != info.group) {
      group = info.group;
      text += str_cat("\n## ", group, "\n\n| flag | environment | default | meaning |\n|---|---|---|---|\n");
    }
    const std::string value = setting_text(field);
    const std::string range = info.has_range() ? str_cat(" ", shown_range(info, field), ".") : "";
    text += str_cat("| `--", info.name, " ", info.value, "` | `", environment_name(info), "` | ",
                    value.empty() ? std::string() : str_cat("`", value, "`"), " | ", info.help, range, " |\n");
  };
  Options library;
  ServerOptions server;
  visit_options(library, row);
  visit_options(server, row);
  return text;
}

}  // namespace rerank::cli
