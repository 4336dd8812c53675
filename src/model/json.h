// Reading the small JSON files of a model folder: simdjson with messages that name file and field. Model-room internal;
// simdjson appears in this header because every user of it needs the element types.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>

#include "base/mapped_file.h"
#include "rerank/status.h"

namespace rerank {

class JsonFile {
 public:
  // Reads and parses `path`; the root must be an object.
  Status load(const std::string& path, size_t max_bytes = 16u << 20);
  Status parse(std::string text, std::string origin);

  simdjson::dom::object root() const { return root_; }
  const std::string& origin() const { return origin_; }

  // Fields of the root. Absent or null: `fallback`. Of another type: an error naming file and field.
  Result<uint64_t> get_size(const char* field, std::optional<uint64_t> fallback = {}) const;
  Result<double> get_number(const char* field, std::optional<double> fallback = {}) const;
  Result<std::string> get_string(const char* field, std::optional<std::string> fallback = {}) const;
  Result<bool> get_bool(const char* field, bool fallback) const;

 private:
  template <class T>
  Result<T> get(const char* field, const char* kind, std::optional<T> fallback) const;
  std::string text_;
  std::string origin_;
  simdjson::dom::parser parser_;
  simdjson::dom::object root_;
};

}  // namespace rerank
