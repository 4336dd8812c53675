// JSON out: a streaming writer into one string. Numbers are finite, short, and read back exactly. One object per
// document, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace rerank {

enum class JsonStyle {
  kCompact,   // for programs
  kIndented,  // a line for each value, for files that people read and compare
};

class JsonWriter {
 public:
  explicit JsonWriter(JsonStyle style = JsonStyle::kCompact);
  ~JsonWriter();

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);  // valid UTF-8
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(uint64_t number);
  JsonWriter& value(int64_t number);
  JsonWriter& value(uint32_t number) { return value(uint64_t{number}); }
  JsonWriter& value(int32_t number) { return value(int64_t{number}); }
  // Always with a '.' or an exponent; NaN and infinities, a bug upstream, are written as 0.0.
  JsonWriter& value(float number);
  JsonWriter& value(double number);
  JsonWriter& value(bool flag);
  JsonWriter& null();
  JsonWriter& number(std::string_view digits);  // a number as it is to be read, e.g. "1e-3"

  template <class T>
  JsonWriter& field(std::string_view name, T&& content) {
    return key(name).value(std::forward<T>(content));
  }

  size_t size() const;  // bytes so far
  std::string take();   // the document; the writer is spent

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rerank
