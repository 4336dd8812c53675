// A file mapped read-only into memory; unmapped when the object dies. Moveable, not copyable. The bytes are shared with
// the page cache, so several processes that serve one model hold its weights once.
//
// A file that is cut while it is mapped does not end the process: the first file that is opened installs a handler of
// SIGBUS, by which bytes that are gone read as zeros. It passes on what is not about these files to the handler that
// was there before. Whoever computed something from the bytes asks check() afterwards whether they were still the
// file's.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "rerank/status.h"

namespace rerank {

class MappedFile {
 public:
  // NotFound, or InvalidArgument for something that is not a regular file (also a FIFO, which is not waited for); the
  // message names the path.
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

  // Ok when everything that was read of the file so far was as it was opened. Unavailable, now and ever after, when the
  // file was cut or written to; the message names the path and says what to do. Where only its time of modification
  // is another, `unchanged` is asked whether its bytes are the same. A system call; thread-safe.
  Status check(const std::function<bool()>& unchanged) const;

 private:
  struct Mapping;
  explicit MappedFile(std::unique_ptr<Mapping> mapping);
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::unique_ptr<Mapping> mapping_;
};

// The whole file as a string; OutOfRange above `max_bytes`, else errors as of MappedFile::open().
Result<std::string> read_file(const std::string& path, size_t max_bytes);

}  // namespace rerank
