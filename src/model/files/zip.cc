#include "model/files/zip.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kEnd64Locator = 0x07064b50;
constexpr size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr size_t kMaxCommentBytes = 0xffff;
constexpr uint16_t kZip64Field = 1;

// A number at `at`; the caller has checked that it is there.
template <class T>
uint64_t number(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

Status wrong(std::string_view what) { return absl::InvalidArgumentError(str_cat("the zip file ", what)); }

// `size` bytes at `begin`, where they lie inside of the file.
Result<std::span<const std::byte>> part(std::span<const std::byte> file, uint64_t begin, uint64_t size) {
  if (begin > file.size() || size > file.size() - begin) return wrong("is cut off, or its numbers are wrong");
  return file.subspan(begin, size);
}

struct Directory {
  uint64_t begin = 0, bytes = 0, entries = 0;
};

Result<Directory> find_directory(std::span<const std::byte> file) {
  if (file.size() < kEndBytes) return wrong("is cut off");
  const size_t lowest = file.size() - std::min(file.size(), kEndBytes + kMaxCommentBytes);
  size_t end = file.size() - kEndBytes;
  while (number<uint32_t>(file, end) != kEnd) {
    if (end == lowest) return wrong("has no directory: it is cut off");
    --end;
  }
  Directory found{number<uint32_t>(file, end + 16), number<uint32_t>(file, end + 12), number<uint16_t>(file, end + 10)};
  const bool large = found.begin == UINT32_MAX || found.bytes == UINT32_MAX || found.entries == UINT16_MAX;
  if (!large) return found;
  if (end < kLocatorBytes || number<uint32_t>(file, end - kLocatorBytes) != kEnd64Locator)
    return wrong("has no directory of a large file");
  ASSIGN_OR_RETURN(const auto end64, part(file, number<uint64_t>(file, end - kLocatorBytes + 8), kEnd64Bytes));
  if (number<uint32_t>(end64, 0) != kEnd64) return wrong("has no directory of a large file");
  return Directory{number<uint64_t>(end64, 48), number<uint64_t>(end64, 40), number<uint64_t>(end64, 32)};
}

struct Entry {
  std::string_view name;
  uint64_t size = 0, packed = 0, header = 0;
};

// Sizes of 4 GB and more stand in a field after the name.
Status read_large_sizes(std::span<const std::byte> extra, Entry& entry) {
  while (extra.size() >= 4) {
    const uint64_t kind = number<uint16_t>(extra, 0), size = number<uint16_t>(extra, 2);
    if (size > extra.size() - 4) break;
    auto field = extra.subspan(4, size);
    extra = extra.subspan(4 + size);
    if (kind != kZip64Field) continue;
    for (uint64_t* value : {&entry.size, &entry.packed, &entry.header}) {
      if (*value != UINT32_MAX) continue;
      if (field.size() < 8) return wrong("has an entry without its size");
      *value = number<uint64_t>(field, 0);
      field = field.subspan(8);
    }
    return ok_status();
  }
  return ok_status();
}

// One entry of the directory, which moves after it.
Result<Entry> next_entry(std::span<const std::byte>& directory) {
  if (directory.size() < kCentralBytes || number<uint32_t>(directory, 0) != kCentralHeader)
    return wrong("has a directory that is cut off");
  const uint64_t flags = number<uint16_t>(directory, 8), method = number<uint16_t>(directory, 10);
  const size_t name = number<uint16_t>(directory, 28), extra = number<uint16_t>(directory, 30),
               comment = number<uint16_t>(directory, 32);
  if (directory.size() - kCentralBytes < name + extra + comment) return wrong("has a directory that is cut off");
  Entry entry{{reinterpret_cast<const char*>(directory.data()) + kCentralBytes, name},
              number<uint32_t>(directory, 24),
              number<uint32_t>(directory, 20),
              number<uint32_t>(directory, 42)};
  if ((flags & 1) != 0 || method != 0) {
    return absl::UnimplementedError(str_cat(
        "entry ", entry.name, " of the zip file is compressed or encrypted; torch.save() stores entries as they are"));
  }
  RETURN_IF_ERROR(read_large_sizes(directory.subspan(kCentralBytes + name, extra), entry));
  if (entry.size != entry.packed) return wrong("has a stored entry of two sizes");
  directory = directory.subspan(kCentralBytes + name + extra + comment);
  return entry;
}

}  // namespace

bool looks_like_zip(std::span<const std::byte> file) {
  return file.size() >= 4 && number<uint32_t>(file, 0) == kLocalHeader;
}

Result<ZipEntries> read_zip(std::span<const std::byte> file) {
  ASSIGN_OR_RETURN(const Directory found, find_directory(file));
  if (found.entries > kMaxZipEntries) return wrong(str_cat("has more than ", kMaxZipEntries, " entries"));
  ASSIGN_OR_RETURN(std::span<const std::byte> directory, part(file, found.begin, found.bytes));
  ZipEntries entries;
  for (uint64_t i = 0; i < found.entries; ++i) {
    ASSIGN_OR_RETURN(const Entry entry, next_entry(directory));
    ASSIGN_OR_RETURN(const auto header, part(file, entry.header, kLocalBytes));
    if (number<uint32_t>(header, 0) != kLocalHeader) return wrong("has an entry that is not where it should be");
    const uint64_t before = kLocalBytes + number<uint16_t>(header, 26) + number<uint16_t>(header, 28);
    ASSIGN_OR_RETURN(const auto local, part(file, entry.header, before));
    ASSIGN_OR_RETURN(const auto bytes, part(file.subspan(entry.header), local.size(), entry.size));
    if (!entries.emplace(entry.name, bytes).second) return wrong(str_cat("has entry ", entry.name, " twice"));
  }
  return entries;
}

}  // namespace rerank::model
