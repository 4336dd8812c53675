#include "text/json.h"

#include "base/strings.h"

namespace rerank::text {
namespace {

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

Result<int64_t> JsonField::as_int(int64_t low, int64_t high) const {
  int64_t value = 0;
  if (missing() || element_->get(value) != simdjson::SUCCESS) return expected("an integer");
  if (value < low || value > high)
    return error(str_cat("expected an integer from ", low, " to ", high, ", found ", value));
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

}  // namespace rerank::text
