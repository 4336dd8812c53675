// Reading tokenizer.json: a JSON value that knows where it stands, so that every error names file and field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"
#include "simdjson.h"

// Returns the Status of `expression` from the calling function unless it is OK.
#define RERANK_RETURN_IF_ERROR(expression)                                      \
  do {                                                                          \
    if (::rerank::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

#define RERANK_CONCAT_INNER(a, b) a##b
#define RERANK_CONCAT(a, b) RERANK_CONCAT_INNER(a, b)

// Assigns the value of the Result `expression` to `target`, or returns its Status from the calling function.
#define RERANK_ASSIGN_OR_RETURN(target, expression) \
  RERANK_ASSIGN_OR_RETURN_INNER(RERANK_CONCAT(result_, __LINE__), target, expression)
#define RERANK_ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                                     \
  if (!result.ok()) return result.status();                       \
  target = *std::move(result)

namespace rerank::text {

// A view of one value of a parsed document, or of a field that is not there. Cheap to copy but for `where`.
class JsonField {
 public:
  JsonField(simdjson::dom::element element, std::string where) : element_(element), where_(std::move(where)) {}
  explicit JsonField(std::string where) : where_(std::move(where)) {}

  const std::string& where() const { return where_; }  // "tokenizer.json: model.vocab"
  bool missing() const { return !element_.has_value(); }
  bool is_null() const { return missing() || element_->is_null(); }  // a field that is not there reads as null
  bool is_object() const { return !missing() && element_->is_object(); }
  bool is_array() const { return !missing() && element_->is_array(); }
  bool is_string() const { return !missing() && element_->is_string(); }
  const simdjson::dom::element& element() const { return *element_; }  // only when not missing

  JsonField at(std::string_view key) const;  // missing when this is not an object that has it

  Result<std::string_view> as_string() const;
  Result<bool> as_bool() const;
  Result<int64_t> as_int(int64_t low, int64_t high) const;
  Result<std::vector<JsonField>> as_array() const;
  Result<simdjson::dom::object> as_object() const;

  // `fallback` when the field is not there or null.
  Result<bool> as_bool_or(bool fallback) const { return is_null() ? Result<bool>(fallback) : as_bool(); }
  Result<std::string_view> as_string_or(std::string_view fallback) const {
    return is_null() ? Result<std::string_view>(fallback) : as_string();
  }

  // InvalidArgument "<where>: expected <what>, found <kind>".
  Status expected(std::string_view what) const;
  Status error(std::string_view message) const;        // InvalidArgument "<where>: <message>"
  Status unsupported(std::string_view message) const;  // Unimplemented "<where>: <message>"

 private:
  std::optional<simdjson::dom::element> element_;
  std::string where_;
};

}  // namespace rerank::text
