// Fields of config.json for the families: values with limits, and the first error kept, so that a family reads as a
// list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json/reader.h"
#include "model/architecture.h"
#include "rerank/status.h"

namespace rerank::model {

// Sizes above these are a broken or hostile file, not a model of this kind.
inline constexpr uint64_t kMaxLayers = 1000, kMaxWidth = 1u << 16, kMaxRows = 1u << 24;

class ConfigReader {
 public:
  explicit ConfigReader(const JsonFile& json) : json_(json) {}

  const JsonFile& json() const { return json_; }
  const Status& status() const { return status_; }
  void fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

  // A size in 1..limit. Absent: `fallback`, or an error where there is none.
  size_t size(const char* field, uint64_t limit, std::optional<uint64_t> fallback = {});
  double number(const char* field, double fallback);
  bool boolean(const char* field, bool fallback);
  std::string text(const char* field, std::string fallback);
  Activation activation(const char* field, const char* fallback = "gelu");
  // The epsilon of norms: in [0, 1).
  float epsilon(const char* field, double fallback);
  // Unimplemented where the field says anything but `only`.
  void require(const char* field, std::string_view only);
  void refuse_if(const char* field, std::string_view why);  // where it is true
  std::string architecture() const;                         // the first of `architectures`; empty: there is none

 private:
  template <class T>
  T take(Result<T> value, T fallback) {
    if (value.ok()) return *std::move(value);
    fail(value.status());
    return fallback;
  }

  const JsonFile& json_;
  Status status_;
};

}  // namespace rerank::model
