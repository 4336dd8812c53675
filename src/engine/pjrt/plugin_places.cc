// Where plugins lie that are named by a word, and options of clients as text.
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/system/own_folder.h"
#include "base/system/python_packages.h"
#include "engine/pjrt/plugin_environment.h"

namespace rerank::engine::pjrt {
namespace {

namespace fs = std::filesystem;

struct Known {
  std::string_view name;
  const char* package;      // of PyPI
  const char* folder;       // in site-packages; its last part may be the beginning of a name
  const char* environment;  // a variable that names the file; null: none
};
constexpr Known kKnown[] = {
    {"tpu", "libtpu", "libtpu", "TPU_LIBRARY_PATH"},
    {"cuda", "jax-cuda13-pjrt", "jax_plugins/xla_cuda", nullptr},
    {"rocm", "jax-rocm7-pjrt", "jax_plugins/xla_rocm", nullptr},
    {"oneapi", "jax-oneapi-pjrt", "jax_plugins/xla_oneapi", nullptr},
};

// Folders that pip installs into: that of this program, of an active environment, of the system, and of the user.
std::vector<fs::path> site_packages() {
  std::vector<fs::path> roots, found;
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (std::string value = environment_value(name); !value.empty()) roots.emplace_back(value);
  roots.insert(roots.end(), {"/usr/local", "/usr", "/opt/venv"});
  if (std::string home = environment_value("HOME"); !home.empty()) roots.push_back(fs::path(home) / ".local");
  // Of a wheel: <folder>/rerankd/bin/rerankd, <folder>/rerankd/lib/librerank.so.
  if (const fs::path wheel = own_folder().parent_path().parent_path(); wheel.filename() == "site-packages")
    found.push_back(wheel);
  for (const fs::path& root : roots) {
    const std::vector<fs::path> folders = python_packages(root);
    found.insert(found.end(), folders.begin(), folders.end());
  }
  return found;
}

// The library in a folder of that name, or one that begins so: xla_cuda13/xla_cuda_plugin.so.
std::string library_in(const fs::path& site, const char* folder) {
  const fs::path wanted = site / folder;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(wanted.parent_path(), error)) {
    if (!entry.path().filename().string().starts_with(wanted.filename().string())) continue;
    std::error_code inner;
    for (const auto& file : fs::directory_iterator(entry.path(), inner)) {
      const std::string name = file.path().filename().string();
      if (name == "libtpu.so" || name.ends_with("_plugin.so")) return file.path().string();
    }
  }
  return "";
}

}  // namespace

Result<std::string> find_plugin(const std::string& plugin) {
  std::error_code error;
  for (const Known& known : kKnown) {
    if (known.name != plugin) continue;
    const std::string path = known.environment == nullptr ? "" : environment_value(known.environment);
    if (!path.empty()) {
      if (fs::is_regular_file(path, error)) return path;
      return absl::NotFoundError(
          str_cat("--pjrt-plugin ", plugin, ": ", known.environment, " names ", path, ", where there is no file"));
    }
    std::string looked;
    for (const fs::path& site : site_packages()) {
      if (std::string file = library_in(site, known.folder); !file.empty()) return file;
      looked += str_cat(looked.empty() ? "" : ", ", site.string());
    }
    return absl::NotFoundError(str_cat("--pjrt-plugin ", plugin, ": its library is in none of ",
                                       looked.empty() ? "the places of pip" : looked, ": pip install ", known.package,
                                       ", or name the file"));
  }
  if (plugin.empty())
    return absl::InvalidArgumentError(
        "pjrt engine: --pjrt-plugin names none: tpu, cuda, rocm, oneapi, or the file of a PJRT plugin");
  if (fs::is_regular_file(plugin, error)) return plugin;
  return absl::NotFoundError(str_cat("--pjrt-plugin ", plugin, ": no such file, and none of tpu, cuda, rocm, oneapi"));
}

Result<NamedValues> NamedValues::parse(const std::string& text, std::string_view option) {
  NamedValues values;
  const std::vector<std::string> pairs = absl::StrSplit(text, ';', absl::SkipEmpty());
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
      return absl::InvalidArgumentError(str_cat(option, ": ", pair, ": not KEY=VALUE"));
    Entry entry{.name = pair.substr(0, equals), .text = pair.substr(equals + 1)};
    const std::vector<std::string> parts = absl::StrSplit(entry.text, ',');
    bool whole = true;
    for (const std::string& part : parts) whole = whole && absl::SimpleAtoi(part, &entry.numbers.emplace_back());
    if (whole) {
      entry.type = parts.size() == 1 ? ValueType::kInt64 : ValueType::kInt64List;
    } else if (entry.text == "true" || entry.text == "false") {
      entry.type = ValueType::kBool;
    } else if (absl::SimpleAtof(entry.text, &entry.number)) {
      entry.type = ValueType::kFloat;
    }
    values.entries_.push_back(std::move(entry));
  }
  return values;
}

std::vector<NamedValue> NamedValues::view() const {
  std::vector<NamedValue> all;
  for (const Entry& entry : entries_) {
    NamedValue& value = all.emplace_back();
    value.head.size = sizeof(NamedValue);
    value.name = entry.name.data();
    value.name_size = entry.name.size();
    value.type = entry.type;
    if (entry.type == ValueType::kInt64) value.int64_value = entry.numbers[0];
    if (entry.type == ValueType::kInt64List) {
      value.int64_list = entry.numbers.data();
      value.value_size = entry.numbers.size();
    }
    if (entry.type == ValueType::kFloat) value.float_value = entry.number;
    if (entry.type == ValueType::kBool) value.bool_value = entry.text == "true";
    if (entry.type == ValueType::kString) {
      value.string_value = entry.text.data();
      value.value_size = entry.text.size();
    }
  }
  return all;
}

}  // namespace rerank::engine::pjrt
