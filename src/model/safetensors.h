// The safetensors file format, memory-mapped: an 8-byte little-endian header length, a JSON header
// {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}, then the bytes of the tensors
// (https://huggingface.co/docs/safetensors). Every number in the header is checked against the file before it is used.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "rerank/status.h"

namespace rerank::model {

// kI8 and kI4: weights of `compressed-tensors`, in units of scales that stand beside them: kI8 one for each row, kI4
// (numbers of 4 bits, 8 more than the value, lowest bits first) one for each group of a row's inputs. From kQ40 on:
// blocks of GGUF, by ggml's names (model/files/blocks.h).
enum class DType { kF32, kF16, kBF16, kI8, kI4, kQ40, kQ41, kQ50, kQ51, kQ80, kQ4K, kQ5K, kQ6K };

const char* dtype_name(DType dtype);

// Elements are stored in blocks of so many, each of so many bytes.
struct BlockSize {
  size_t elements = 1, bytes = 1;
};
BlockSize block_size(DType dtype);

// A read-only view of one tensor, row-major. The bytes belong to a TensorFiles and may be unaligned.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<size_t> shape;
  std::span<const std::byte> bytes;
  bool mapped = false;                               // the bytes are a file's, which can be read again
  std::shared_ptr<const std::vector<float>> scales;  // kI8: what one unit of each row is worth
  std::shared_ptr<const TensorView> group_scales;    // kI4: [rows, groups], of equally many inputs
  float factor = 1, addend = 0;                      // what it is read as: value x factor + addend
  bool transposed = false;                           // of a matrix: what is stored has the other order of `shape`

  size_t elements() const;
  bool is_plain() const { return factor == 1 && addend == 0 && !transposed; }  // what is stored is what is read
  // Whether the values of each 32 inputs of a row, from the first on, are whole numbers of -8..7 times one unit; of a
  // matrix. read_units(): of a row, the units.
  bool has_units() const;
  void read_units(size_t row, std::span<float> units) const;
  // Converts elements [begin, begin + out.size()) to fp32. The range must lie inside the tensor.
  void read_floats(size_t begin, std::span<float> out) const;
  std::vector<float> floats() const;

 private:
  void read_stored(size_t begin, std::span<float> out) const;
  void read_transposed(size_t begin, std::span<float> out) const;
  void read_int4(size_t begin, std::span<float> out) const;
};

// All tensors of a model: one file, or the shards of an index. Views stay valid as long as this object lives.
class TensorFiles {
 public:
  // `folder`/model.safetensors, or the files that `folder`/model.safetensors.index.json names; where neither is there,
  // the same of pytorch_model.bin (model/files/torch_file.h), or a GGUF file (model/files/gguf_model.h), which `folder`
  // may also be itself.
  static Result<std::shared_ptr<const TensorFiles>> open_folder(const std::string& folder);
  static Result<std::shared_ptr<const TensorFiles>> open_file(const std::string& path);

  // F64 is read as F32, converted when the file is opened.
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  // Tensors of types that nothing here computes with (BOOL, I64, U8, ...): names and types. Buffers, as a rule.
  const std::map<std::string, std::string>& others() const { return others_; }
  const std::string& origin() const { return origin_; }  // path for messages
  const std::vector<MappedFile>& files() const { return files_; }
  // Of all files' bytes. Computed on the first call, which reads them; thread-safe.
  Hash128 digest() const;
  // Whether all that was read of the files was as they were opened, see MappedFile::check(). Of a file whose time alone
  // is another the bytes are read again, where digest() has read them before. Thread-safe.
  Status check() const;

 private:
  static Result<std::shared_ptr<const TensorFiles>> open_index(const std::string& folder, const std::string& index);
  Status add_file(const std::string& path);
  Status add_safetensors(const MappedFile& file, const std::string& path);
  std::vector<MappedFile> files_;
  std::vector<std::vector<std::byte>> owned_;  // what no view of a file can say
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> others_;
  std::list<std::vector<float>> converted_;  // what views of F64 tensors see
  std::string origin_;
  mutable std::once_flag digested_;
  mutable Hash128 digest_;
  mutable std::vector<Hash128> digests_;  // of each file, after digested_
  mutable std::atomic<bool> has_digest_ = false;
};

// Largest accepted header: ten times that of a 100-layer model with 2,000 tensors.
inline constexpr size_t kMaxSafetensorsHeaderBytes = 16u << 20;

}  // namespace rerank::model
