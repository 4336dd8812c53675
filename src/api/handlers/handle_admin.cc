// POST /admin/models: {"action": "load" | "unload" | "alias" | "split" | "default", ...}. Answers with the list of
// models, which says how a load goes on.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "api/exchange.h"
#include "api/pages/pages.h"
#include "base/json/reader.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "transport/errors.h"

namespace rerank::api {
namespace {

Result<std::string> name_at(const JsonFile& body, const char* field) {
  ASSIGN_OR_RETURN(std::string name, body.get_string(field));
  if (name.empty()) return absl::InvalidArgumentError(str_cat("`", field, "` is empty"));
  return name;
}

// A setting's value as the text that a flag would have.
Result<std::string> text_of(const JsonField& field) {
  if (field.is_string()) return std::string(*field.as_string());
  if (const auto flag = field.as_bool(); flag.ok()) return std::string(*flag ? "true" : "false");
  const auto number = field.as_number();
  if (!number.ok()) return field.expected("a string, a number or true or false");
  return *number == std::floor(*number) && std::abs(*number) < 1e15 ? std::to_string(static_cast<int64_t>(*number))
                                                                    : str_cat(*number);
}

// {"action": "load", "model": DIR|ID, "name", "aliases": [...], and any setting of a model by its flag's name}.
Status load(const JsonFile& body, const ApiOptions& options, Catalog& catalog) {
  if (!options.make_spec) return absl::UnimplementedError("this server loads no models at run time");
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<std::string> aliases;
  for (const auto& [key, value] : body.root()) {
    const std::string name(key);
    if (name == "action") continue;
    const JsonField field(value, str_cat("`", name, "`"));
    if (name == "aliases") {
      ASSIGN_OR_RETURN(const auto list, field.as_array());
      for (const JsonField& alias : list) {
        ASSIGN_OR_RETURN(const std::string_view text, alias.as_string());
        aliases.emplace_back(text);
      }
      continue;
    }
    ASSIGN_OR_RETURN(std::string text, text_of(field));
    settings.emplace_back(name, std::move(text));
  }
  ASSIGN_OR_RETURN(const auto spec, options.make_spec(settings, aliases));
  return catalog.load(spec);
}

// {"action": "split", "alias": "prod", "shares": {"v1": 90, "v2": 10}}: percent, or parts of 1.
Status split(const JsonFile& body, Catalog& catalog) {
  ASSIGN_OR_RETURN(const std::string alias, name_at(body, "alias"));
  ASSIGN_OR_RETURN(const auto shares, body.at("shares").as_object());
  std::vector<AliasPart> parts;
  double sum = 0;
  for (const auto& [key, value] : shares) {
    const std::string model(key);
    ASSIGN_OR_RETURN(const double share, JsonField(value, str_cat("`shares.", model, "`")).as_number());
    parts.push_back({model, share});
    sum += share;
  }
  if (parts.empty()) return absl::InvalidArgumentError("`shares` is empty");
  const bool percent = std::abs(sum - 100) < 1e-4;
  for (AliasPart& part : parts) part.share = percent ? part.share / 100 : part.share;
  return catalog.set_alias(alias, std::move(parts));
}

Status act(const JsonFile& body, const ApiOptions& options, Catalog& catalog) {
  ASSIGN_OR_RETURN(const std::string action, name_at(body, "action"));
  if (action == "load") return load(body, options, catalog);
  if (action == "split") return split(body, catalog);
  if (action == "unload" || action == "default") {
    ASSIGN_OR_RETURN(const std::string name, name_at(body, "name"));
    return action == "unload" ? catalog.unload(name) : catalog.set_default(name);
  }
  if (action == "alias") {
    ASSIGN_OR_RETURN(const std::string alias, name_at(body, "alias"));
    ASSIGN_OR_RETURN(const std::string model, body.get_string("model", ""));  // none: the alias goes
    return catalog.set_alias(alias, model.empty() ? std::vector<AliasPart>() : std::vector<AliasPart>{{model, 1}});
  }
  return absl::InvalidArgumentError(
      str_cat("`action` is \"", action, "\": want load, unload, alias, split or default"));
}

}  // namespace

void handle_admin(Exchange&& exchange) {
  JsonFile body;
  Status status = body.parse(std::move(exchange.request.body), "the body");
  if (status.ok()) status = act(body, exchange.state->options, *exchange.state->catalog);
  // What is in the way is the admin's to remove.
  if (absl::IsFailedPrecondition(status)) status = absl::InvalidArgumentError(str_cat(message_of(status)));
  if (!status.ok()) return exchange.finish(transport::error_response(status));
  exchange.finish(models_page(*exchange.state->catalog));
}

}  // namespace rerank::api
