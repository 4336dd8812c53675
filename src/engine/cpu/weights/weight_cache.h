// Packed weights in files that processes map and share, so that a second one starts without packing and without memory
// of its own for them.
//
// A file is a page of header (magic, format, key, sizes, hash), then the matrices, each at a multiple of 64 bytes. Its
// name is made from the key: the model's weights, the precision, the tier, the program's version and the layout's. It
// is written under another name and renamed when it is whole; whoever maps it checks its hash. A file that is none, or
// another's, is written anew.
#pragma once

#include <memory>
#include <string>

#include "base/mapped_file.h"
#include "engine/cpu/weights/weight_store.h"
#include "rerank/status.h"

namespace rerank::engine::cpu {

struct WeightCacheOptions {
  std::string folder;    // made where it is not there
  size_t max_bytes = 0;  // of all files in it; the least recently used leave
  std::string key;       // at most 255 bytes
};

// Matrices out of a file. `mismatched()`: more was asked for than it has, so that it belongs to another packing.
class MappedWeights : public WeightStore {
 public:
  // NotFound where there is no file of this key; DataLoss, saying what is wrong, for one that cannot be used.
  static Result<std::unique_ptr<MappedWeights>> open(const WeightCacheOptions& options);

  const std::byte* place(size_t bytes, const Fill& fill) override;
  Status check() const override;
  bool mismatched() const { return mismatched_ || at_ != bytes_; }
  size_t bytes() const { return bytes_; }

 private:
  explicit MappedWeights(MappedFile file) : file_(std::move(file)) {}
  const std::byte* matrices() const;
  Hash128 hash() const;  // of the matrices

  MappedFile file_;
  Hash128 hash_;  // that the header has
  size_t bytes_ = 0, at_ = 0;
  bool mismatched_ = false;
  OwnWeights rest_;  // what is not in the file
};

// Writes matrices into a new file, one after another; what place() returns must not be read.
class WeightWriter : public WeightStore {
 public:
  static Result<std::unique_ptr<WeightWriter>> create(const WeightCacheOptions& options);
  ~WeightWriter() override;  // what has not been committed leaves nothing behind

  const std::byte* place(size_t bytes, const Fill& fill) override;
  // Makes room among the other files, and gives this one its name. ResourceExhausted, naming the limit, where it alone
  // is larger than the cache may be.
  Status commit();

 private:
  explicit WeightWriter(const WeightCacheOptions& options) : options_(options) {}
  Status write(const void* data, size_t bytes, size_t offset);

  WeightCacheOptions options_;
  std::string temporary_;
  int file_ = -1;
  size_t bytes_ = 0;
  Status status_;
  Buffer<std::byte> matrix_;
};

// Where the file of a key is.
std::string weight_cache_file(const WeightCacheOptions& options);

}  // namespace rerank::engine::cpu
