#include "serve/names.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::serve {
namespace {

constexpr size_t kLongestName = 200;
constexpr double kShareError = 1e-6;

// Evenly from 0 to 1, the same for the same query in every process.
double place_of(std::string_view query) { return static_cast<double>(hash128(query).low >> 11) * 0x1.0p-53; }

}  // namespace

std::string plain_name(std::string_view name) {
  if (const size_t suffix = name.find("___"); suffix != std::string_view::npos && suffix > 0)
    name = name.substr(0, suffix);
  while (!name.empty() && absl::ascii_isspace(static_cast<unsigned char>(name.front()))) name.remove_prefix(1);
  while (!name.empty() && absl::ascii_isspace(static_cast<unsigned char>(name.back()))) name.remove_suffix(1);
  std::string plain(name);
  absl::AsciiStrToLower(&plain);
  return plain;
}

Status check_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName) {
    return absl::InvalidArgumentError(str_cat("\"", name, "\": a model's name has 1 to ", kLongestName, " letters"));
  }
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7f) continue;
    return absl::InvalidArgumentError(str_cat("\"", name, "\": a model's name holds no control characters"));
  }
  return ok_status();
}

std::vector<AliasPart> normal_shares(std::vector<AliasPart> parts) {
  double sum = 0;
  for (const AliasPart& part : parts) sum += part.share;
  if (std::abs(sum - 100) > 100 * kShareError) return parts;
  for (AliasPart& part : parts) part.share /= 100;
  return parts;
}

Status Names::add_model(const std::string& name, const std::vector<std::string>& other_names) {
  RETURN_IF_ERROR(check_name(name));
  const std::string plain = plain_name(name);
  if (aliases_.contains(plain)) return absl::InvalidArgumentError(str_cat(name, ": an alias has this name"));
  if (!models_.emplace(plain, name).second)
    return absl::InvalidArgumentError(str_cat(name, ": two models of one name"));
  for (const std::string& other : other_names) {
    if (plain_name(other) != plain) other_names_[plain_name(other)].push_back(name);
  }
  return ok_status();
}

void Names::remove_model(const std::string& name) {
  models_.erase(plain_name(name));
  for (auto& [other, models] : other_names_) std::erase(models, name);
  std::erase_if(other_names_, [](const auto& entry) { return entry.second.empty(); });
}

Status Names::set_alias(std::string_view alias, std::vector<AliasPart> parts) {
  RETURN_IF_ERROR(check_name(alias));
  const std::string plain = plain_name(alias);
  if (models_.contains(plain)) return absl::InvalidArgumentError(str_cat("alias ", alias, ": a model has this name"));
  if (parts.empty()) {
    if (aliases_.erase(plain) == 0)
      return absl::NotFoundError(str_cat("alias ", alias, ": there is none of this name"));
    return ok_status();
  }
  double sum = 0;
  for (AliasPart& part : parts) {
    const std::string model = model_of(part.model);
    if (model.empty()) return absl::NotFoundError(str_cat("alias ", alias, ": no model is called ", part.model));
    part.model = model;
    if (!(part.share > 0 && part.share <= 1 + kShareError)) {
      return absl::InvalidArgumentError(str_cat("alias ", alias, ": the share of ", part.model, " is ", part.share,
                                                ", want more than 0 and 1 at most"));
    }
    sum += part.share;
  }
  if (std::abs(sum - 1) > kShareError)
    return absl::InvalidArgumentError(str_cat("alias ", alias, ": its shares add up to ", sum, ", not to 1"));
  aliases_[plain] = {std::string(alias), std::move(parts)};
  return ok_status();
}

std::string Names::model_of(std::string_view name) const {
  const auto found = models_.find(plain_name(name));
  return found == models_.end() ? "" : found->second;
}

std::string Names::find(std::string_view name, std::string_view query) const {
  const std::string plain = plain_name(name);
  if (const auto model = models_.find(plain); model != models_.end()) return model->second;
  if (const auto alias = aliases_.find(plain); alias != aliases_.end()) {
    const std::vector<AliasPart>& parts = alias->second.parts;
    if (parts.size() == 1) return parts.front().model;
    double place = place_of(query);
    for (const AliasPart& part : parts) {
      if (place < part.share) return part.model;
      place -= part.share;
    }
    return parts.back().model;
  }
  const auto other = other_names_.find(plain);
  return other == other_names_.end() ? "" : other->second.front();
}

std::string Names::alias_of(const std::string& model) const {
  const std::vector<std::string> names = aliases_of(model);
  return names.empty() ? "" : names.front();
}

std::vector<std::string> Names::aliases_of(const std::string& model) const {
  std::vector<std::string> names;
  for (const auto& [plain, alias] : aliases_) {
    if (std::any_of(alias.parts.begin(), alias.parts.end(), [&](const AliasPart& part) { return part.model == model; }))
      names.push_back(alias.name);
  }
  return names;
}

std::vector<AliasReport> Names::aliases() const {
  std::vector<AliasReport> reports;
  for (const auto& [plain, alias] : aliases_) reports.push_back({alias.name, alias.parts});
  return reports;
}

}  // namespace rerank::serve
