#include "base/json/reader.h"

#include <cmath>

#include "base/json/repair.h"
#include "base/json/standard.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank {
namespace {

constexpr double kExactBelow = 9007199254740992.0;  // 2^53: doubles below it are the whole number that was written

std::string_view kind_name(simdjson::dom::element_type type) {
  switch (type) {
    case simdjson::dom::element_type::ARRAY:
      return "an array";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "a string";
    case simdjson::dom::element_type::BOOL:
      return "a boolean";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

}  // namespace

JsonField JsonField::at(std::string_view key) const {
  std::string where = str_cat(where_, where_.ends_with(": ") ? "" : ".", key);
  simdjson::dom::element found;
  if (is_object() && element_->at_key(key).get(found) == simdjson::SUCCESS) return JsonField(found, std::move(where));
  return JsonField(std::move(where));
}

Result<std::string_view> JsonField::as_string() const {
  std::string_view value;
  if (missing() || element_->get(value) != simdjson::SUCCESS) return expected("a string");
  return value;
}

Result<bool> JsonField::as_bool() const {
  bool value = false;
  if (missing() || element_->get(value) != simdjson::SUCCESS) return expected("a boolean");
  return value;
}

// Whole numbers are also written 32.0, by tools that know floats only.
Result<int64_t> JsonField::as_int(int64_t low, int64_t high) const {
  int64_t value = 0;
  if (double number = 0; !missing() && element_->is_double() && element_->get(number) == simdjson::SUCCESS &&
                         std::trunc(number) == number && std::abs(number) < kExactBelow) {
    value = static_cast<int64_t>(number);
  } else if (missing() || element_->get(value) != simdjson::SUCCESS) {
    return expected("an integer");
  }
  if (value < low || value > high)
    return error(str_cat("expected an integer from ", low, " to ", high, ", found ", value));
  return value;
}

Result<uint64_t> JsonField::as_size() const {
  uint64_t value = 0;
  if (double number = 0; !missing() && element_->is_double() && element_->get(number) == simdjson::SUCCESS &&
                         std::trunc(number) == number && number >= 0 && number < kExactBelow)
    return static_cast<uint64_t>(number);
  if (missing() || element_->get(value) != simdjson::SUCCESS) return expected("a whole number of 0 or more");
  return value;
}

Result<double> JsonField::as_number() const {
  double value = 0;
  if (missing() || element_->get(value) != simdjson::SUCCESS) return expected("a number");
  return value;
}

Result<std::vector<JsonField>> JsonField::as_array() const {
  simdjson::dom::array array;
  if (missing() || element_->get(array) != simdjson::SUCCESS) return expected("an array");
  std::vector<JsonField> items;
  for (simdjson::dom::element item : array) items.emplace_back(item, str_cat(where_, "[", items.size(), "]"));
  return items;
}

Result<simdjson::dom::object> JsonField::as_object() const {
  simdjson::dom::object object;
  if (missing() || element_->get(object) != simdjson::SUCCESS) return expected("an object");
  return object;
}

Status JsonField::expected(std::string_view what) const {
  return error(str_cat("expected ", what, ", found ", missing() ? "nothing" : kind_name(element_->type())));
}

Status JsonField::error(std::string_view message) const {
  return absl::InvalidArgumentError(str_cat(where_, where_.ends_with(": ") ? "" : ": ", message));
}

Status JsonField::unsupported(std::string_view message) const {
  return absl::UnimplementedError(str_cat(where_, where_.ends_with(": ") ? "" : ": ", message));
}

Status JsonFile::load(const std::string& path, size_t max_bytes) {
  ASSIGN_OR_RETURN(auto text, read_file(path, max_bytes));
  return parse(std::move(text), path);
}

Status JsonFile::parse(std::string text, std::string origin) {
  text_ = std::move(text);
  origin_ = std::move(origin);
  auto error = parser_.parse(text_).get(document_);
  if (error) {
    text_ = repair_text(standard_json(text_), /*escapes=*/true);
    error = parser_.parse(text_).get(document_);
  }
  if (!error) error = document_.get(root_);
  if (error) {
    return absl::InvalidArgumentError(str_cat(origin_, ": not a JSON object: ", simdjson::error_message(error)));
  }
  return ok_status();
}

Result<uint64_t> JsonFile::get_size(const char* field, std::optional<uint64_t> fallback) const {
  const JsonField found = at(field);
  if (found.is_null() && fallback) return *fallback;
  return found.as_size();
}
Result<double> JsonFile::get_number(const char* field, std::optional<double> fallback) const {
  const JsonField found = at(field);
  if (found.is_null() && fallback) return *fallback;
  return found.as_number();
}
Result<std::string> JsonFile::get_string(const char* field, std::optional<std::string> fallback) const {
  const JsonField found = at(field);
  if (found.is_null() && fallback) return *fallback;
  ASSIGN_OR_RETURN(auto text, found.as_string());
  return std::string(text);
}
Result<bool> JsonFile::get_bool(const char* field, bool fallback) const { return at(field).as_bool_or(fallback); }

}  // namespace rerank
