// Settings from four places, first wins: flag, environment variable, configuration file, default. Each setting is
// declared once, in rerank/options.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rerank/options.h"
#include "rerank/status.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace rerank::cli {

// Binds settings to a command's flags. Must live until the command has run.
class Settings {
 public:
  explicit Settings(CLI::App& command);

  // Adds the settings of `options` in the named groups (all when empty).
  void add(Options& options, const std::vector<std::string>& groups = {});
  void add(ServerOptions& options);

  // After parsing: takes what is missing from the file that --config names, if any. An unknown key or a wrong value is
  // an error naming file, line and key.
  Status apply_config_file() const;

  // What the file says now: each setting's text; without models and aliases. Errors: as apply_config_file().
  Result<std::map<std::string, std::string>> file_values() const;

  bool has(const std::string& name) const { return bound_.contains(name); }

  // The file that --config names; empty: none.
  const std::string& config_path() const { return config_path_; }
  // A flag may be given several times from now on; its field is the first, and values() are all.
  void repeat(const std::string& name);
  std::vector<std::string> values(const std::string& name) const;

 private:
  struct Bound {
    CLI::Option* option;
    std::function<std::string(const std::string&)> assign;  // returns what is wrong; empty: nothing
  };
  template <class O>
  void bind(O& options, const std::vector<std::string>& groups);

  CLI::App& command_;
  std::string config_path_;
  std::map<std::string, Bound> bound_;
};

// Expands "~" in settings that are files or folders.
template <class O>
void expand_paths(O& options);

// Files and folders with "~" expanded; those that nothing else is said of as huggingface_hub has them, with its token,
// and in user_cache_folder(). InvalidArgument for a token that cannot be sent.
Status apply_folder_defaults(Options& options);

// Settings of the groups that say how texts are scored, as "name=value" lines: what scores depend on besides the model.
std::string scoring_settings(Options options);

// Where this user's programs keep what can be made again: $XDG_CACHE_HOME, else ~/.cache.
std::string user_cache_folder();

// All settings as the Markdown of docs/options.md, and as a TOML file to begin with: each commented out at its default.
std::string options_markdown();
std::string options_toml();

// The name of the variable that a setting is read from.
std::string environment_name(const OptionInfo& info);

}  // namespace rerank::cli
