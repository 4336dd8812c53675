// The GGUF file format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3, little-endian: a
// header, keys with values, descriptions of tensors, and the tensors' bytes. Every number is checked against the file
// before it is used; nothing is copied but names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank {

// Of values, by their numbers in the file.
enum class GgufType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kText, kArray, kU64, kI64, kF64 };

struct GgufValue {
  GgufType type = GgufType::kU8;     // of an array: of its elements
  bool array = false;                // of one dimension; deeper ones are refused
  uint64_t count = 1;                // of elements
  std::span<const std::byte> bytes;  // of all of them; a text stands after its length, 8 bytes
};

struct GgufTensor {
  std::string_view name;
  uint32_t type = 0;            // ggml's number
  std::vector<uint64_t> shape;  // row-major: as PyTorch has it, the file's order turned around
  std::span<const std::byte>
      bytes;  // from its first byte to the next tensor's, or the end: whoever knows the type cuts
};

// A view of a mapped file, which must outlive it.
class GgufFile {
 public:
  // InvalidArgument, saying what is wrong with the file, without its name; Unimplemented for other versions.
  static Result<GgufFile> parse(std::span<const std::byte> file);

  const std::map<std::string_view, GgufValue>& values() const { return values_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  bool has(std::string_view key) const { return values_.contains(key); }
  // Absent, or of another type: none.
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<uint64_t> whole(std::string_view key) const;  // any integer that is not negative
  std::optional<double> number(std::string_view key) const;   // any number
  std::optional<bool> boolean(std::string_view key) const;
  // Of arrays: whether there is one of texts, or of numbers; `take` gets each in order until it says false.
  bool each_text(std::string_view key, const std::function<bool(std::string_view)>& take) const;
  bool each_number(std::string_view key, const std::function<bool(double)>& take) const;

 private:
  std::map<std::string_view, GgufValue> values_;
  std::vector<GgufTensor> tensors_;
};

// More than these is a broken or hostile file: the largest known have some hundred keys and 2,000 tensors.
inline constexpr uint64_t kMaxGgufKeys = 65536, kMaxGgufTensors = 65536;

}  // namespace rerank
