// What torch.save() writes of a dictionary of tensors: a Python pickle, read by a machine that executes nothing. It
// knows the opcodes that such files have and a list of allowed names; whatever else a pickle asks for is refused.
// The opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank::model {

// Types of elements that torch's storages have.
enum class TorchType { kFloat, kHalf, kBFloat16, kDouble, kOther };

// A flat run of elements, which lies outside the pickle under `key`.
struct PickledStorage {
  std::string_view key;
  TorchType type = TorchType::kOther;
  size_t element_bytes = 0;
  uint64_t elements = 0;
};

// Element (i, j, ...) is element offset + i x strides[0] + j x strides[1] + ... of the storage. Everything that it
// reaches lies inside of the storage's elements.
struct PickledTensor {
  size_t storage = 0;  // index into Pickled::storages
  uint64_t offset = 0;
  std::vector<uint64_t> shape, strides;
};

struct PickledValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,
    kLongInt,  // wider than 64 bits: `text` has its bytes, the lowest first
    kFloat,
    kText,
    kTuple,
    kList,
    kDict,
    kName,  // an allowed class or function; `number` tells which
    kStorage,
    kTensor,
  };
  Kind kind = Kind::kNone;
  int64_t number = 0;     // kBool, kInt; of kTuple ... kDict: index into `sequences`; of kStorage, kTensor: into theirs
  std::string_view text;  // lies in the pickle
};

struct Pickled {
  PickledValue root;
  std::vector<std::vector<PickledValue>> sequences;  // of dictionaries: key, value, key, value ...
  std::vector<PickledStorage> storages;
  std::vector<PickledTensor> tensors;

  std::span<const PickledValue> items(const PickledValue& value) const {
    return sequences[static_cast<size_t>(value.number)];
  }
};

// Largest accepted pickle, and the most opcodes in it: ten times those of a model of 100 layers. An opcode takes at
// most 100 bytes of memory.
inline constexpr size_t kMaxPickleBytes = 16u << 20, kMaxPickleOpcodes = 4u << 20;
inline constexpr size_t kMaxDimensions = 8;

// Reads one pickle from the front of `bytes`, and moves `bytes` after it. The result points into them.
// InvalidArgument: not a pickle, or numbers that do not fit each other; Unimplemented: it asks for more than tensors.
Result<Pickled> read_pickle(std::span<const std::byte>& bytes);

}  // namespace rerank::model
