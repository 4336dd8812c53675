// Reading JSON that users made: values that know where they stand, so that every error names file and field. simdjson
// appears in this header because its users need the element types.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank {

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
  Result<uint64_t> as_size() const;
  Result<double> as_number() const;
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

// A JSON file whose root is an object, and its document. Its fields and elements live as long as it does.
class JsonFile {
 public:
  // Reads and parses `path`. InvalidArgument when it is no JSON object; as read_file() where it cannot be read.
  Status load(const std::string& path, size_t max_bytes = 16u << 20);
  Status parse(std::string text, std::string origin);

  simdjson::dom::object root() const { return root_; }
  const std::string& origin() const { return origin_; }  // "tokenizer.json"
  JsonField at(std::string_view key) const { return JsonField(document_, origin_ + ": ").at(key); }

  // Fields of the root. Absent or null: `fallback`, and without one an error. Of another type: an error.
  Result<uint64_t> get_size(const char* field, std::optional<uint64_t> fallback = {}) const;
  Result<double> get_number(const char* field, std::optional<double> fallback = {}) const;
  Result<std::string> get_string(const char* field, std::optional<std::string> fallback = {}) const;
  Result<bool> get_bool(const char* field, bool fallback) const;

 private:
  std::string text_;
  std::string origin_;
  simdjson::dom::parser parser_;
  simdjson::dom::element document_;
  simdjson::dom::object root_;
};

}  // namespace rerank
