// A PJRT plugin: libtpu, NVIDIA's, AMD's, Intel's, or one for CPUs. Loaded once and kept for the life of the process,
// for plugins have threads of their own.
#pragma once

#include <array>
#include <csignal>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "engine/pjrt/c_api.h"
#include "rerank/status.h"

namespace rerank::engine::pjrt {

// What a plugin reads from the environment when it is loaded; later loads of the same plugin change nothing.
struct LoadOptions {
  size_t threads = 0;  // of plugins that compute on the CPU; 0: as many as the process may use
  bool ahead = false;  // only to compile for devices that are not there
};

// Puts the process's signal handlers back: libtpu takes six and ignores two more when it is initialized. Not SIGPROF's:
// libtpu starts a timer besides, which would end the process where nobody handles that signal.
class KeptSignals {
 public:
  KeptSignals() {
    for (size_t i = 0; i < kSignals.size(); ++i) there_[i] = ::sigaction(kSignals[i], nullptr, &actions_[i]) == 0;
  }
  ~KeptSignals() {
    for (size_t i = 0; i < kSignals.size(); ++i)
      if (there_[i]) ::sigaction(kSignals[i], &actions_[i], nullptr);
  }
  KeptSignals(const KeptSignals&) = delete;
  KeptSignals& operator=(const KeptSignals&) = delete;

 private:
  static constexpr std::array kSignals = {SIGHUP, SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                                          SIGFPE, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGTERM, SIGCHLD};
  std::array<struct sigaction, kSignals.size()> actions_{};
  std::array<bool, kSignals.size()> there_{};
};

class Plugin {
 public:
  // `plugin`: tpu, cuda, rocm, oneapi (looked for where their packages from PyPI lie), or a file. Loads it, checks its
  // version, and initializes it. Signal handlers are as before when this returns. Thread-safe; a plugin that was
  // refused is refused again. NotFound, or InvalidArgument or Unimplemented with what is wrong with the file.
  static Result<const Plugin*> load(const std::string& plugin, const LoadOptions& options);

  const std::string& path() const { return path_; }
  int minor() const { return api_->version.minor; }
  // "PJRT 0.81, StableHLO 1.13.3", for people.
  std::string versions() const;

  template <class Args>
  bool has() const {
    return api_->has(Args::kFunction);
  }

  // Calls the function that `args` belongs to. Unimplemented where the plugin has no such function; else the plugin's
  // own error, with the function's name.
  template <class Args>
  Status call(Args& args) const {
    if (!has<Args>()) return missing(Args::kName);
    args.head.size = size_of<Args>();
    return status_of(api_->functions[Args::kFunction](&args), Args::kName);
  }

  // Waits for an event, and destroys it. Null: done already.
  Status await(Event* event) const;

 private:
  Plugin(std::string path, const Api* api) : path_(std::move(path)), api_(api) {}
  static Result<const Plugin*> open(const std::string& path, const LoadOptions& options);
  Status check() const;
  Status missing(const char* function) const;
  Status status_of(Error* error, const char* function) const;

  std::string path_;
  const Api* api_;
};

// Text that a plugin returns.
inline std::string text_of(const char* text, size_t size) { return text == nullptr ? "" : std::string(text, size); }

// The file that a name stands for, or `plugin` where it is a path. NotFound, with what was looked for.
Result<std::string> find_plugin(const std::string& plugin);

// Of options of a client or a topology: "K=V;K=V". Whole numbers, true and false, and numbers with a point are passed
// as such, a list of whole numbers "1,2" as a list, all else as text. InvalidArgument for what is not K=V.
class NamedValues {
 public:
  static Result<NamedValues> parse(const std::string& text, std::string_view option);
  std::vector<NamedValue> view() const;  // good while this object lives and is not moved

 private:
  struct Entry {
    std::string name, text;
    ValueType type = ValueType::kString;
    std::vector<int64_t> numbers;
    float number = 0;
  };
  std::vector<Entry> entries_;
};

}  // namespace rerank::engine::pjrt
