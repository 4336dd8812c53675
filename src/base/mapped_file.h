// A file mapped read-only into memory; unmapped when the object dies. Moveable, not copyable. The bytes are shared with
// the page cache, so several processes that serve one model hold its weights once.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "rerank/status.h"

namespace rerank {

class MappedFile {
 public:
  // NotFound, or InvalidArgument for something that is not a regular file; the message names the path.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  // Of the whole file. Pages that were read for it are given back, and come again from the page cache when they are
  // wanted: they would count as this process's memory.
  Hash128 digest() const;

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole file as a string; OutOfRange above `max_bytes`.
Result<std::string> read_file(const std::string& path, size_t max_bytes);

}  // namespace rerank
