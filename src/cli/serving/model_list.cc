#include "cli/serving/model_list.h"

#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/settings/nearest.h"
#include "base/settings/setting_text.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::cli {
namespace {

// The settings of one model.
template <class O, class Visit>
void visit_model(O& model, Visit&& visit_field) {
  SourceOptions::visit(model.source, visit_field);
  EngineOptions::visit_choice(model.engine, visit_field);
  EngineOptions::visit_details(model.engine, visit_field);
  TextOptions::visit(model.texts, visit_field);
  QueueOptions::visit(model.queue, visit_field);
}

// A scalar as the text that a flag would have.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* f = node.as_floating_point()) return str_cat(f->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  return std::nullopt;
}

constexpr OptionInfo kWeight = OptionInfo{"weight", "W", "Models", ""}.within(0.001, 1000);
constexpr OptionInfo kCacheShare = OptionInfo{"cache-share", "SHARE", "Models", ""}.within(0, 1);

Status assign(ModelSpec& spec, std::string name, const std::string& text) {
  std::replace(name.begin(), name.end(), '_', '-');
  std::vector<std::string_view> names = {"name", "aliases", kWeight.name, kCacheShare.name};
  bool known = true;
  std::string wrong;
  if (name == "name") {
    spec.options.source.served_model_name = text;
  } else if (name == kWeight.name) {
    wrong = read_setting(kWeight, text, spec.weight);
  } else if (name == kCacheShare.name) {
    wrong = read_setting(kCacheShare, text, spec.cache_share);
  } else {
    known = false;
  }
  visit_model(spec.options, [&](const OptionInfo& info, auto& field) {
    names.push_back(info.name);
    if (name != info.name) return;
    known = true;
    wrong = read_setting(info, text, field);
  });
  if (!known) {
    const std::string_view meant = nearest(name, names);
    return absl::InvalidArgumentError(
        str_cat(name, ": no such setting of a model", meant.empty() ? "" : str_cat("; did you mean ", meant, "?")));
  }
  return wrong.empty() ? ok_status() : absl::InvalidArgumentError(wrong_value(name, text, wrong));
}

// What a model has where nothing is said: all settings of the process but what names a model.
ModelSpec empty_spec(const Options& base) {
  ModelSpec spec;
  spec.options = base.model;
  spec.options.source.model.clear();
  spec.options.source.served_model_name.clear();
  return spec;
}

// "~" in what is a file or a folder.
Status finish(ModelSpec& spec, const Options& base) {
  Options whole = base;
  whole.model = spec.options;
  RETURN_IF_ERROR(apply_folder_defaults(whole));
  spec.options = whole.model;
  return ok_status();
}

// NAME=DIR|ID, or DIR|ID alone. A folder may have "=" in its name.
std::pair<std::string, std::string> split_name(const std::string& text) {
  std::error_code error;
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || text.find('/') < equals) return {"", text};
  if (std::filesystem::is_directory(text, error)) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

class FileReader {
 public:
  FileReader(std::string path, const Options& base) : path_(std::move(path)), base_(base) {}

  Status read(serve::CatalogPlan& plan) {
    try {
      const toml::table file = toml::parse_file(path_);
      if (const toml::node* list = file.get("models")) RETURN_IF_ERROR(read_models(*list, plan));
      if (const toml::node* list = file.get("aliases")) RETURN_IF_ERROR(read_aliases(*list, plan));
      if (const toml::node* name = file.get("default-model")) {
        if (!name->is_string()) return wrong(*name, "default-model: want a name");
        plan.default_model = name->as_string()->get();
      }
    } catch (const toml::parse_error& error) {
      return absl::InvalidArgumentError(
          str_cat(path_, ":", error.source().begin.line, ": ", std::string(error.description())));
    }
    return ok_status();
  }

 private:
  Status wrong(const toml::node& node, std::string_view what) const {
    return absl::InvalidArgumentError(str_cat(path_, ":", node.source().begin.line, ": ", what));
  }

  Status read_models(const toml::node& list, serve::CatalogPlan& plan) {
    if (!list.is_array_of_tables()) return wrong(list, "models: want [[models]], a table for each");
    for (const toml::node& node : *list.as_array()) {
      ModelSpec spec = empty_spec(base_);
      for (const auto& [key, value] : *node.as_table()) {
        if (key.str() == "aliases") {
          if (!value.is_array()) return wrong(value, "aliases: want a list of names");
          for (const toml::node& alias : *value.as_array()) {
            if (!alias.is_string()) return wrong(alias, "aliases: want a list of names");
            spec.aliases.push_back(alias.as_string()->get());
          }
          continue;
        }
        const auto text = scalar_text(value);
        const Status status = text ? assign(spec, std::string(key.str()), *text)
                                   : absl::InvalidArgumentError(str_cat(std::string(key.str()), ": want one value"));
        if (!status.ok()) return wrong(value, message_of(status));
      }
      if (Status status = finish(spec, base_); !status.ok()) return wrong(node, message_of(status));
      plan.models.push_back(std::move(spec));
    }
    return ok_status();
  }

  Status read_aliases(const toml::node& list, serve::CatalogPlan& plan) {
    if (!list.is_table()) return wrong(list, "aliases: want [aliases]");
    for (const auto& [key, value] : *list.as_table()) {
      AliasReport alias{std::string(key.str()), {}};
      if (const auto* model = value.as_string()) {
        alias.parts = {{model->get(), 1}};
      } else if (const auto* table = value.as_table()) {
        for (const auto& [model, share] : *table) {
          const auto number = share.value<double>();
          if (!number) return wrong(share, str_cat(std::string(model.str()), ": want a share"));
          alias.parts.push_back({std::string(model.str()), *number});
        }
      }
      if (alias.parts.empty()) return wrong(value, "want a model's name, or { NAME = SHARE, ... }");
      plan.aliases.push_back({alias.alias, serve::normal_shares(std::move(alias.parts))});
    }
    return ok_status();
  }

  const std::string path_;
  const Options& base_;
};

}  // namespace

Result<serve::CatalogPlan> read_model_list(const std::vector<std::string>& models, const std::string& config_path,
                                           const Options& base) {
  serve::CatalogPlan plan;
  if (!config_path.empty()) RETURN_IF_ERROR(FileReader(config_path, base).read(plan));
  const bool listed = !plan.models.empty();
  if (listed && (!models.empty() || !base.model.source.model.empty()))
    return absl::InvalidArgumentError(str_cat("--model, and [[models]] in ", config_path, ": say it in one place"));
  if (listed) return plan;
  const std::string& name = base.model.source.served_model_name;
  if (models.size() > 1 && !name.empty()) {
    return absl::InvalidArgumentError(
        "--served-model-name: several models are served; name each as --model NAME=DIR|ID");
  }
  // At least one: the file's `model`, or the built-in one.
  const std::vector<std::string> one = {base.model.source.model};
  for (const std::string& text : models.empty() ? one : models) {
    auto [own_name, model] = split_name(text);
    ModelSpec spec = empty_spec(base);
    spec.options.source.model = std::move(model);
    spec.options.source.served_model_name = own_name.empty() ? name : own_name;
    RETURN_IF_ERROR(finish(spec, base));
    plan.models.push_back(std::move(spec));
  }
  return plan;
}

Result<ModelSpec> make_spec(const ModelSettings& settings, const std::vector<std::string>& aliases,
                            const Options& base) {
  ModelSpec spec = empty_spec(base);
  spec.aliases = aliases;
  for (const auto& [name, text] : settings) RETURN_IF_ERROR(assign(spec, name, text));
  RETURN_IF_ERROR(finish(spec, base));
  return spec;
}

std::string describe(const ModelSpec& spec) {
  std::string text = str_cat("weight=", spec.weight, "\ncache-share=", spec.cache_share, "\n");
  visit_model(spec.options, [&](const OptionInfo& info, const auto& field) {
    text += str_cat(info.name, "=", setting_text(field), "\n");
  });
  return text;
}

std::string describe(const serve::CatalogPlan& plan) {
  std::string text = str_cat("default=", plan.default_model, "\n");
  for (const ModelSpec& spec : plan.models) {
    text += describe(spec);
    for (const std::string& alias : spec.aliases) text += str_cat("alias=", alias, "\n");
  }
  for (const AliasReport& alias : plan.aliases) {
    text += str_cat("alias=", alias.alias, "\n");
    for (const AliasPart& part : alias.parts) text += str_cat(part.model, "=", part.share, "\n");
  }
  return text;
}

}  // namespace rerank::cli
