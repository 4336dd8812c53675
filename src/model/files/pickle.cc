#include "model/files/pickle.h"

#include <cstring>
#include <unordered_map>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model {
namespace {

using Kind = PickledValue::Kind;

// Opcodes of protocol 2, as far as dictionaries of tensors have them.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNoneValue = 'N',
  kBinPersistentId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kProtocol = 0x80,
  kNewObject = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
};

enum class Name { kOrderedDict, kRebuildTensor, kRebuildTensor2, kRebuildParameter, kStorageClass };

struct KnownName {
  std::string_view module, name;
  Name is;
  TorchType type = TorchType::kOther;
  size_t bytes = 0;
};

// Everything that a pickle may name.
constexpr KnownName kNames[] = {
    {"collections", "OrderedDict", Name::kOrderedDict},
    {"torch._utils", "_rebuild_tensor", Name::kRebuildTensor},
    {"torch._utils", "_rebuild_tensor_v2", Name::kRebuildTensor2},
    {"torch._utils", "_rebuild_parameter", Name::kRebuildParameter},
    {"torch", "FloatStorage", Name::kStorageClass, TorchType::kFloat, 4},
    {"torch", "HalfStorage", Name::kStorageClass, TorchType::kHalf, 2},
    {"torch", "BFloat16Storage", Name::kStorageClass, TorchType::kBFloat16, 2},
    {"torch", "DoubleStorage", Name::kStorageClass, TorchType::kDouble, 8},
    {"torch", "LongStorage", Name::kStorageClass, TorchType::kOther, 8},
    {"torch", "IntStorage", Name::kStorageClass, TorchType::kOther, 4},
    {"torch", "ShortStorage", Name::kStorageClass, TorchType::kOther, 2},
    {"torch", "CharStorage", Name::kStorageClass, TorchType::kOther, 1},
    {"torch", "ByteStorage", Name::kStorageClass, TorchType::kOther, 1},
    {"torch", "BoolStorage", Name::kStorageClass, TorchType::kOther, 1},
};

class Machine {
 public:
  explicit Machine(std::span<const std::byte> bytes)
      : all_(bytes), rest_(bytes.first(std::min(bytes.size(), kMaxPickleBytes))) {}

  Status run() {
    for (size_t opcodes = 0; !stopped_; ++opcodes) {
      if (opcodes == kMaxPickleOpcodes) return wrong(str_cat("has more than ", kMaxPickleOpcodes, " opcodes"));
      uint8_t opcode = 0;
      RETURN_IF_ERROR(read(&opcode, 1));
      RETURN_IF_ERROR(step(opcode));
    }
    return ok_status();
  }
  size_t used() const { return static_cast<size_t>(rest_.data() - all_.data()); }
  Pickled take() { return std::move(out_); }

 private:
  Status wrong(std::string_view what) const {
    return absl::InvalidArgumentError(str_cat("the pickle ", what, " at byte ", used()));
  }
  Status refused(std::string_view what) const {
    return absl::UnimplementedError(
        str_cat("the pickle asks for ", what, "; only dictionaries of tensors are read, and nothing is executed"));
  }

  Status read(void* to, size_t count) {
    if (count > rest_.size())
      return wrong(rest_.data() + rest_.size() == all_.data() + all_.size() ? "ends too early" : "is too large");
    std::memcpy(to, rest_.data(), count);
    rest_ = rest_.subspan(count);
    return ok_status();
  }
  template <class T>
  Result<uint64_t> unsigned_number() {
    T value = 0;
    RETURN_IF_ERROR(read(&value, sizeof value));
    return static_cast<uint64_t>(value);
  }
  Result<std::string_view> text(Result<uint64_t> size) {
    RETURN_IF_ERROR(size.status());
    if (*size > rest_.size()) return wrong("has a text that is longer than it");
    const std::string_view found(reinterpret_cast<const char*>(rest_.data()), *size);
    rest_ = rest_.subspan(*size);
    return found;
  }
  Result<std::string_view> line() {
    const void* end = rest_.empty() ? nullptr : std::memchr(rest_.data(), '\n', std::min<size_t>(rest_.size(), 512));
    if (end == nullptr) return wrong("has a name that does not end");
    ASSIGN_OR_RETURN(const auto found, text(static_cast<size_t>(static_cast<const std::byte*>(end) - rest_.data())));
    rest_ = rest_.subspan(1);
    return found;
  }

  Status push(PickledValue value) {
    stack_.push_back(value);
    return ok_status();
  }
  Status push(Kind kind, int64_t number) { return push({kind, number, {}}); }
  Status push_text(Result<std::string_view> found) {
    RETURN_IF_ERROR(found.status());
    return push({Kind::kText, 0, *found});
  }
  Status push_sequence(Kind kind, size_t count) {
    out_.sequences.emplace_back(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return push(kind, static_cast<int64_t>(out_.sequences.size() - 1));
  }
  // Values above the topmost mark; a stack without one is not accepted.
  Result<size_t> above_mark() {
    if (marks_.empty()) return wrong("has no mark");
    const size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return count;
  }
  // At least `count` values above the topmost mark.
  Status need(size_t count) const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    return stack_.size() - floor < count ? wrong("takes values that are not there") : ok_status();
  }
  PickledValue pop() {
    const PickledValue value = stack_.back();
    stack_.pop_back();
    return value;
  }

  Status step(uint8_t opcode);
  Status literal(uint8_t opcode);
  Status begin_sequence(uint8_t opcode);
  Status extend_sequence(uint8_t opcode);
  Status stop();
  Status put(Result<uint64_t> slot) {
    RETURN_IF_ERROR(slot.status());
    RETURN_IF_ERROR(need(1));
    memo_[*slot] = stack_.back();
    return ok_status();
  }
  Status get(Result<uint64_t> slot) {
    RETURN_IF_ERROR(slot.status());
    const auto found = memo_.find(*slot);
    return found == memo_.end() ? wrong("recalls what it did not keep") : push(found->second);
  }
  // Moves the topmost `count` values into the list or dictionary below them.
  Status extend(Kind kind, size_t count) {
    if (stack_.size() < count + 1 || (!marks_.empty() && stack_.size() - count - 1 < marks_.back()))
      return wrong("takes values that are not there");
    const PickledValue target = stack_[stack_.size() - count - 1];
    if (target.kind != kind || (kind == Kind::kDict && count % 2 != 0)) return wrong("extends what it cannot");
    auto& items = out_.sequences[static_cast<size_t>(target.number)];
    items.insert(items.end(), stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return ok_status();
  }
  Status global();
  Status call();
  Status build();
  Status storage();
  Status tensor(std::span<const PickledValue> arguments);
  Result<std::vector<uint64_t>> sizes(const PickledValue& value) const;

  std::span<const std::byte> all_, rest_;
  Pickled out_;
  std::vector<PickledValue> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickledValue> memo_;
  bool stopped_ = false;
};

Status Machine::literal(uint8_t opcode) {
  switch (opcode) {
    case kNoneValue:
      return push(Kind::kNone, 0);
    case kNewTrue:
    case kNewFalse:
      return push(Kind::kBool, opcode == kNewTrue);
    case kBinInt: {
      int32_t value = 0;
      RETURN_IF_ERROR(read(&value, 4));
      return push(Kind::kInt, value);
    }
    case kBinInt1: {
      ASSIGN_OR_RETURN(const uint64_t value, unsigned_number<uint8_t>());
      return push(Kind::kInt, static_cast<int64_t>(value));
    }
    case kBinInt2: {
      ASSIGN_OR_RETURN(const uint64_t value, unsigned_number<uint16_t>());
      return push(Kind::kInt, static_cast<int64_t>(value));
    }
    case kLong1: {  // two's complement, the lowest byte first
      ASSIGN_OR_RETURN(const std::string_view bytes, text(unsigned_number<uint8_t>()));
      if (bytes.size() > 8) return push({Kind::kLongInt, 0, bytes});
      uint64_t value = !bytes.empty() && static_cast<int8_t>(bytes.back()) < 0 ? ~uint64_t{0} : 0;
      std::memcpy(&value, bytes.data(), bytes.size());
      return push(Kind::kInt, static_cast<int64_t>(value));
    }
    case kBinFloat: {
      uint64_t bits = 0;
      RETURN_IF_ERROR(read(&bits, 8));
      return push(Kind::kFloat, 0);  // nobody asks which
    }
    case kBinString:
    case kBinUnicode:
      return push_text(text(unsigned_number<uint32_t>()));
    default:
      return push_text(text(unsigned_number<uint8_t>()));  // kShortBinString
  }
}

// A list, a dictionary or a tuple, of nothing or of values that the stack has.
Status Machine::begin_sequence(uint8_t opcode) {
  switch (opcode) {
    case kEmptyDict:
      return push_sequence(Kind::kDict, 0);
    case kEmptyList:
      return push_sequence(Kind::kList, 0);
    case kEmptyTuple:
      return push_sequence(Kind::kTuple, 0);
    case kTuple: {
      ASSIGN_OR_RETURN(const size_t count, above_mark());
      return push_sequence(Kind::kTuple, count);
    }
    default: {  // kTuple1, kTuple2, kTuple3
      const size_t count = opcode - kTuple1 + 1u;
      RETURN_IF_ERROR(need(count));
      return push_sequence(Kind::kTuple, count);
    }
  }
}

// One value more, or all above the topmost mark.
Status Machine::extend_sequence(uint8_t opcode) {
  if (opcode == kAppend) return extend(Kind::kList, 1);
  if (opcode == kSetItem) return extend(Kind::kDict, 2);
  ASSIGN_OR_RETURN(const size_t count, above_mark());
  return extend(opcode == kAppends ? Kind::kList : Kind::kDict, count);
}

Status Machine::stop() {
  RETURN_IF_ERROR(need(1));
  if (stack_.size() != 1 || !marks_.empty()) return wrong("ends with more than one value");
  out_.root = pop();
  stopped_ = true;
  return ok_status();
}

Status Machine::step(uint8_t opcode) {
  switch (opcode) {
    case kProtocol: {
      ASSIGN_OR_RETURN(const uint64_t protocol, unsigned_number<uint8_t>());
      return protocol == 2 ? ok_status() : refused(str_cat("pickle protocol ", protocol));
    }
    case kMark:
      marks_.push_back(stack_.size());
      return ok_status();
    case kPop:
      RETURN_IF_ERROR(need(1));
      stack_.pop_back();
      return ok_status();
    case kNoneValue:
    case kNewTrue:
    case kNewFalse:
    case kBinInt:
    case kBinInt1:
    case kBinInt2:
    case kLong1:
    case kBinFloat:
    case kBinString:
    case kBinUnicode:
    case kShortBinString:
      return literal(opcode);
    case kEmptyDict:
    case kEmptyList:
    case kEmptyTuple:
    case kTuple1:
    case kTuple2:
    case kTuple3:
    case kTuple:
      return begin_sequence(opcode);
    case kBinPut:
      return put(unsigned_number<uint8_t>());
    case kLongBinPut:
      return put(unsigned_number<uint32_t>());
    case kBinGet:
      return get(unsigned_number<uint8_t>());
    case kLongBinGet:
      return get(unsigned_number<uint32_t>());
    case kAppend:
    case kSetItem:
    case kAppends:
    case kSetItems:
      return extend_sequence(opcode);
    case kGlobal:
      return global();
    case kReduce:
    case kNewObject:
      return call();
    case kBuild:
      return build();
    case kBinPersistentId:
      return storage();
    case kStop:
      return stop();
  }
  constexpr char kDigits[] = "0123456789abcdef";
  return refused(str_cat("opcode 0x", std::string{kDigits[opcode >> 4], kDigits[opcode & 15]}));
}

Status Machine::global() {
  ASSIGN_OR_RETURN(const std::string_view module, line());
  ASSIGN_OR_RETURN(const std::string_view name, line());
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i].module == module && kNames[i].name == name) return push(Kind::kName, static_cast<int64_t>(i));
  }
  return refused(str_cat(module, ".", name));
}

// A name and a tuple of arguments on the stack become what the call would give.
Status Machine::call() {
  RETURN_IF_ERROR(need(2));
  const PickledValue arguments = pop(), function = pop();
  if (function.kind != Kind::kName || arguments.kind != Kind::kTuple)
    return refused("a call of something else than a name");
  const std::span<const PickledValue> items = out_.items(arguments);  // not copied: a pickle may recall it often
  switch (kNames[function.number].is) {
    case Name::kOrderedDict:
      return items.empty() ? push_sequence(Kind::kDict, 0) : refused("an OrderedDict with arguments");
    case Name::kRebuildTensor:
      return items.size() == 4 ? tensor(items) : wrong("has a tensor of other than 4 arguments");
    case Name::kRebuildTensor2:
      return items.size() == 6 || items.size() == 7 ? tensor(items) : wrong("has a tensor of other than 6 arguments");
    case Name::kRebuildParameter:
      if (items.size() != 3 || items[0].kind != Kind::kTensor) return wrong("has a parameter without a tensor");
      return push(items[0]);
    case Name::kStorageClass:
      break;
  }
  return refused("an object of a storage's class");
}

// Attributes of a dictionary (`_metadata`) say nothing about tensors.
Status Machine::build() {
  RETURN_IF_ERROR(need(2));
  stack_.pop_back();
  return stack_.back().kind == Kind::kDict ? ok_status() : refused("attributes of something else than a dictionary");
}

// ("storage", class, key, place, elements), and in the old form None: a view of another storage is not taken.
Status Machine::storage() {
  RETURN_IF_ERROR(need(1));
  const PickledValue id = pop();
  if (id.kind != Kind::kTuple) return wrong("has a persistent id that is no tuple");
  const auto items = out_.items(id);
  const bool good = (items.size() == 5 || items.size() == 6) && items[0].kind == Kind::kText &&
                    items[0].text == "storage" && items[1].kind == Kind::kName && items[2].kind == Kind::kText &&
                    items[4].kind == Kind::kInt && items[4].number >= 0;
  if (!good) return wrong("has a persistent id that is no storage");
  const KnownName& name = kNames[items[1].number];
  if (name.is != Name::kStorageClass) return wrong("has a storage of no storage's class");
  if (items.size() == 6 && items[5].kind != Kind::kNone) return refused("a view of a storage");
  const uint64_t elements = static_cast<uint64_t>(items[4].number);
  if (elements > SIZE_MAX / 16) return wrong("has a storage that no memory holds");
  out_.storages.push_back({items[2].text, name.type, name.bytes, elements});
  return push(Kind::kStorage, static_cast<int64_t>(out_.storages.size() - 1));
}

Result<std::vector<uint64_t>> Machine::sizes(const PickledValue& value) const {
  if (value.kind != Kind::kTuple || out_.items(value).size() > kMaxDimensions)
    return wrong(str_cat("has a shape that is no tuple of at most ", kMaxDimensions, " sizes"));
  std::vector<uint64_t> sizes;
  for (const PickledValue& item : out_.items(value)) {
    if (item.kind != Kind::kInt || item.number < 0) return wrong("has a size or stride that is no count");
    sizes.push_back(static_cast<uint64_t>(item.number));
  }
  return sizes;
}

Status Machine::tensor(std::span<const PickledValue> arguments) {
  if (arguments[0].kind != Kind::kStorage || arguments[1].kind != Kind::kInt || arguments[1].number < 0)
    return wrong("has a tensor without storage and offset");
  PickledTensor tensor{static_cast<size_t>(arguments[0].number), static_cast<uint64_t>(arguments[1].number), {}, {}};
  ASSIGN_OR_RETURN(tensor.shape, sizes(arguments[2]));
  ASSIGN_OR_RETURN(tensor.strides, sizes(arguments[3]));
  if (tensor.shape.size() != tensor.strides.size()) return wrong("has a tensor of as many strides as it has not sizes");
  uint64_t end = tensor.offset, elements = 1;  // one after the last element that is reached
  bool fits = !__builtin_add_overflow(end, uint64_t{1}, &end);
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    uint64_t reach = 0;
    fits = fits && !__builtin_mul_overflow(elements, tensor.shape[i], &elements);
    if (tensor.shape[i] == 0) continue;
    fits = fits && !__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach) &&
           !__builtin_add_overflow(end, reach, &end);
  }
  if (!fits || elements > SIZE_MAX / 16 || (elements > 0 && end > out_.storages[tensor.storage].elements))
    return wrong("has a tensor that reaches past its storage");
  out_.tensors.push_back(std::move(tensor));
  return push(Kind::kTensor, static_cast<int64_t>(out_.tensors.size() - 1));
}

}  // namespace

Result<Pickled> read_pickle(std::span<const std::byte>& bytes) {
  Machine machine(bytes);
  RETURN_IF_ERROR(machine.run());
  bytes = bytes.subspan(machine.used());
  return machine.take();
}

}  // namespace rerank::model
