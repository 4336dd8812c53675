// JSON in: the body of one request as an object of fields, read the way real clients need it.
//
// Lenient: null is absent; unknown fields are ignored; of repeated fields the last counts; booleans may be the strings
// "true"/"false"; whole numbers may be written 3.0, and numbers of any size read as the nearest that we can hold; lone
// surrogates (\ud800) and bytes that are not UTF-8 read as U+FFFD; a byte order mark is skipped. Strict: anything else
// that is not one JSON object, nested at most 1024 deep, is an error.
//
// The first field that cannot be read is kept in status(); its reader, and all later ones, return the fallback. So a
// dialect reads all its fields and looks at status() once. One thread; the bytes given to parse() must outlive nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json/reader.h"
#include "base/json/repair.h"
#include "rerank/status.h"

namespace rerank::transport {

class Body {
 public:
  enum class Kind { kAbsent, kText, kNumber, kBool, kArray, kObject };  // kAbsent: no such field, or null

  // Errors: kMalformed (transport/errors.h) when it is not JSON; kInvalid when it is no object. `bytes` may be
  // reallocated.
  static Result<Body> parse(std::string& bytes);

  Body(Body&&) noexcept;
  Body& operator=(Body&&) noexcept;
  ~Body();

  // A name may be a path: "input.query" is field `query` of the object in field `input`.
  Kind kind(std::string_view name) const;
  Kind first_element_kind(std::string_view name) const;  // kAbsent unless an array that is not empty
  bool has(std::string_view name) const { return kind(name) != Kind::kAbsent; }
  bool has_key(std::string_view name) const;  // also when null
  JsonField at(std::string_view name) const;  // for what is nested deeper; lives as long as the body

  bool flag(std::string_view name, bool fallback);
  int64_t integer(std::string_view name, int64_t fallback);   // beyond int64: its largest or smallest
  std::optional<double> number(std::string_view name) const;  // if it is one
  size_t positive(std::string_view name);                     // absent, zero and negative: 0
  std::string word(std::string_view name);                    // a string; absent: ""

  // One text: a string, {"text": string}, or {"content": string | [{"type":"text","text": string}, ...]}. Required.
  std::string text(std::string_view name);

  // Fields of objects that make a text together, joined by line breaks in this order.
  struct JoinedFields {
    std::vector<std::string> names;  // empty: objects are texts as above
    size_t max_bytes = SIZE_MAX;     // of all joined texts together; more is kBodyTooLarge, before it is made
  };
  // The field `name` as JoinedFields::names: an array of strings, 32 at most.
  JoinedFields joined_fields(std::string_view name, size_t max_bytes);

  // An array of texts (each as above, or any object when `fields` names some), or one text alone. Required, not empty,
  // at most `limit` long.
  std::vector<std::string> texts(std::string_view name, size_t limit) { return texts(name, limit, JoinedFields()); }
  std::vector<std::string> texts(std::string_view name, size_t limit, const JoinedFields& fields);

  // TEI's pairs: one [query, text], or an array of such, at most `limit` long. Required. *single: it was one.
  std::vector<std::pair<std::string, std::string>> pairs(std::string_view name, size_t limit, bool* single);

  // TEI's token ids: [id, ...], or an array of such, at most `limit` long. Required. An id that is no int32 is -1.
  std::vector<std::vector<int32_t>> ids(std::string_view name, size_t limit);

  // An array of strings; absent: empty.
  std::vector<std::string> words(std::string_view name);

  void fail(Status status);  // for what a dialect finds wrong itself
  const Status& status() const { return status_; }

 private:
  struct Impl;
  explicit Body(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
  Status status_;
};

// Equal but for the case of ASCII letters.
bool same_word(std::string_view a, std::string_view b);

}  // namespace rerank::transport
