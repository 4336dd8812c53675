#include "model/json.h"

#include "base/strings.h"

namespace rerank {

Status JsonFile::load(const std::string& path, size_t max_bytes) {
  auto text = read_file(path, max_bytes);
  if (!text.ok()) return text.status();
  return parse(std::move(*text), path);
}

Status JsonFile::parse(std::string text, std::string origin) {
  text_ = std::move(text);
  origin_ = std::move(origin);
  if (auto error = parser_.parse(text_).get(root_)) {
    return absl::InvalidArgumentError(str_cat(origin_, ": not a JSON object: ", simdjson::error_message(error)));
  }
  return ok_status();
}

template <class T>
Result<T> JsonFile::get(const char* field, const char* kind, std::optional<T> fallback) const {
  simdjson::dom::element element;
  const bool absent = root_[field].get(element) || element.is_null();
  if (absent) {
    if (fallback) return *fallback;
    return absl::InvalidArgumentError(str_cat(origin_, ": ", field, " is missing"));
  }
  using Raw = std::conditional_t<std::is_same_v<T, std::string>, std::string_view, T>;
  Raw value;
  if (element.get(value)) return absl::InvalidArgumentError(str_cat(origin_, ": ", field, " is not a ", kind));
  return T(value);
}

Result<uint64_t> JsonFile::get_size(const char* field, std::optional<uint64_t> fallback) const {
  return get<uint64_t>(field, "whole number of 0 or more", fallback);
}
Result<double> JsonFile::get_number(const char* field, std::optional<double> fallback) const {
  return get<double>(field, "number", fallback);
}
Result<std::string> JsonFile::get_string(const char* field, std::optional<std::string> fallback) const {
  return get<std::string>(field, "string", std::move(fallback));
}
Result<bool> JsonFile::get_bool(const char* field, bool fallback) const {
  return get<bool>(field, "boolean", std::optional<bool>(fallback));
}

}  // namespace rerank
