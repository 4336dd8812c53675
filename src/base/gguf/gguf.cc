#include "base/gguf/gguf.h"

#include <algorithm>
#include <cstring>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank {
namespace {

Status wrong(std::string_view what) { return absl::InvalidArgumentError(std::string(what)); }
Status cut_off() { return wrong("truncated: its header is longer than the file"); }

// 0: texts and arrays, which have none.
size_t bytes_of(GgufType type) {
  constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<size_t>(type)];
}

class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> file) : file_(file) {}

  size_t at() const { return at_; }
  size_t left() const { return file_.size() - at_; }

  template <class T>
  Result<T> take() {
    if (left() < sizeof(T)) return cut_off();
    T value;
    std::memcpy(&value, file_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  Result<std::span<const std::byte>> bytes(uint64_t count) {
    if (count > left()) return cut_off();
    const auto found = file_.subspan(at_, count);
    at_ += count;
    return found;
  }

  Result<std::string_view> text() {
    ASSIGN_OR_RETURN(const auto length, take<uint64_t>());
    ASSIGN_OR_RETURN(const auto found, bytes(length));
    return std::string_view(reinterpret_cast<const char*>(found.data()), found.size());
  }

  Result<GgufType> type() {
    ASSIGN_OR_RETURN(const auto number, take<uint32_t>());
    if (number > static_cast<uint32_t>(GgufType::kF64)) return wrong(str_cat("a value of an unknown type ", number));
    return static_cast<GgufType>(number);
  }

 private:
  std::span<const std::byte> file_;
  size_t at_ = 0;
};

Result<GgufValue> read_value(Cursor& cursor, std::span<const std::byte> file) {
  GgufValue value;
  ASSIGN_OR_RETURN(value.type, cursor.type());
  if (value.type == GgufType::kArray) {
    value.array = true;
    ASSIGN_OR_RETURN(value.type, cursor.type());
    if (value.type == GgufType::kArray) return absl::UnimplementedError("an array of arrays");
    ASSIGN_OR_RETURN(value.count, cursor.take<uint64_t>());
  }
  const size_t begin = cursor.at();
  if (value.type == GgufType::kText) {
    if (value.count > cursor.left() / 8) return cut_off();
    for (uint64_t i = 0; i < value.count; ++i) RETURN_IF_ERROR(cursor.text().status());
  } else {
    if (value.count > cursor.left() / bytes_of(value.type)) return cut_off();
    RETURN_IF_ERROR(cursor.bytes(value.count * bytes_of(value.type)).status());
  }
  value.bytes = file.subspan(begin, cursor.at() - begin);
  return value;
}

struct PlacedTensor {
  GgufTensor tensor;
  uint64_t offset = 0;
};

Result<PlacedTensor> read_tensor(Cursor& cursor) {
  PlacedTensor placed;
  GgufTensor& tensor = placed.tensor;
  ASSIGN_OR_RETURN(tensor.name, cursor.text());
  ASSIGN_OR_RETURN(const auto dimensions, cursor.take<uint32_t>());
  if (dimensions == 0 || dimensions > 4)
    return wrong(str_cat("tensor ", tensor.name, " has ", dimensions, " dimensions"));
  uint64_t elements = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    ASSIGN_OR_RETURN(const auto size, cursor.take<uint64_t>());
    if (size == 0 || __builtin_mul_overflow(elements, size, &elements) || elements > uint64_t{1} << 48)
      return wrong(str_cat("tensor ", tensor.name, " has a size that no file holds"));
    tensor.shape.push_back(size);
  }
  std::ranges::reverse(tensor.shape);
  ASSIGN_OR_RETURN(tensor.type, cursor.take<uint32_t>());
  ASSIGN_OR_RETURN(placed.offset, cursor.take<uint64_t>());
  return placed;
}

double number_at(const GgufValue& value, uint64_t index) {
  const std::byte* from = value.bytes.data() + index * bytes_of(value.type);
  const auto as = [&]<class T>(T number) {
    std::memcpy(&number, from, sizeof number);
    return static_cast<double>(number);
  };
  switch (value.type) {
    case GgufType::kU8:
    case GgufType::kBool:
      return as(uint8_t{});
    case GgufType::kI8:
      return as(int8_t{});
    case GgufType::kU16:
      return as(uint16_t{});
    case GgufType::kI16:
      return as(int16_t{});
    case GgufType::kU32:
      return as(uint32_t{});
    case GgufType::kI32:
      return as(int32_t{});
    case GgufType::kF32:
      return as(float{});
    case GgufType::kU64:
      return as(uint64_t{});
    case GgufType::kI64:
      return as(int64_t{});
    case GgufType::kF64:
      return as(double{});
    case GgufType::kText:
    case GgufType::kArray:
      break;
  }
  return 0;
}

bool is_number(GgufType type) { return bytes_of(type) != 0 && type != GgufType::kBool; }

}  // namespace

Result<GgufFile> GgufFile::parse(std::span<const std::byte> file) {
  Cursor cursor(file);
  const auto magic = cursor.bytes(4);
  if (!magic.ok() || std::memcmp(magic->data(), "GGUF", 4) != 0)
    return wrong("not a GGUF file (a Git LFS pointer is a short text file)");
  ASSIGN_OR_RETURN(const auto version, cursor.take<uint32_t>());
  if (version != 2 && version != 3)
    return absl::UnimplementedError(str_cat("GGUF version ", version, ", or big-endian; 2 and 3 are read"));
  ASSIGN_OR_RETURN(const auto tensors, cursor.take<uint64_t>());
  ASSIGN_OR_RETURN(const auto keys, cursor.take<uint64_t>());
  if (tensors > kMaxGgufTensors || keys > kMaxGgufKeys)
    return wrong(str_cat("it says that it has ", tensors, " tensors and ", keys, " keys; the limits are ",
                         kMaxGgufTensors, " and ", kMaxGgufKeys));
  GgufFile parsed;
  for (uint64_t i = 0; i < keys; ++i) {
    ASSIGN_OR_RETURN(const std::string_view key, cursor.text());
    auto value = read_value(cursor, file);
    if (!value.ok()) return with_context(value.status(), str_cat("key ", key));
    if (!parsed.values_.emplace(key, *value).second) return wrong(str_cat("key ", key, " appears twice"));
  }
  std::vector<PlacedTensor> placed;
  for (uint64_t i = 0; i < tensors; ++i) {
    ASSIGN_OR_RETURN(placed.emplace_back(), read_tensor(cursor));
  }
  const uint64_t alignment = parsed.whole("general.alignment").value_or(32);
  if (alignment == 0 || alignment > 65536 || (alignment & (alignment - 1)) != 0)
    return wrong(str_cat("general.alignment ", alignment, " is no power of two up to 65536"));
  const size_t begin = (cursor.at() + alignment - 1) / alignment * alignment;
  const auto data = begin <= file.size() ? file.subspan(begin) : std::span<const std::byte>();
  std::ranges::sort(placed, {}, &PlacedTensor::offset);
  for (size_t i = 0; i < placed.size(); ++i) {
    auto& [tensor, offset] = placed[i];
    const uint64_t end = i + 1 < placed.size() ? placed[i + 1].offset : data.size();
    if (offset % alignment != 0 || offset >= data.size() || end > data.size() || end <= offset)
      return wrong(str_cat("tensor ", tensor.name, " lies outside the file, or where another does (truncated?)"));
    tensor.bytes = data.subspan(offset, end - offset);
    parsed.tensors_.push_back(std::move(tensor));
  }
  return parsed;
}

std::optional<std::string_view> GgufFile::text(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || found->second.array || found->second.type != GgufType::kText) return {};
  const auto bytes = found->second.bytes.subspan(8);
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || found->second.array || !is_number(found->second.type)) return {};
  return number_at(found->second, 0);
}

std::optional<uint64_t> GgufFile::whole(std::string_view key) const {
  const auto value = number(key);
  const bool fits =
      value && *value >= 0 && *value < 0x1p53 && *value == static_cast<double>(static_cast<uint64_t>(*value));
  return fits ? std::optional<uint64_t>(static_cast<uint64_t>(*value)) : std::nullopt;
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || found->second.array || found->second.type != GgufType::kBool) return {};
  return number_at(found->second, 0) != 0;
}

bool GgufFile::each_text(std::string_view key, const std::function<bool(std::string_view)>& take) const {
  const auto found = values_.find(key);
  if (found == values_.end() || !found->second.array || found->second.type != GgufType::kText) return false;
  const std::byte* at = found->second.bytes.data();
  for (uint64_t i = 0; i < found->second.count; ++i) {
    uint64_t length = 0;
    std::memcpy(&length, at, 8);
    if (!take({reinterpret_cast<const char*>(at) + 8, length})) break;
    at += 8 + length;
  }
  return true;
}

bool GgufFile::each_number(std::string_view key, const std::function<bool(double)>& take) const {
  const auto found = values_.find(key);
  if (found == values_.end() || !found->second.array || bytes_of(found->second.type) == 0) return false;
  for (uint64_t i = 0; i < found->second.count && take(number_at(found->second, i)); ++i) continue;
  return true;
}

}  // namespace rerank
