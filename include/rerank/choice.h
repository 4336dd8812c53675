// Values that are one of a few words. A type has one table of its words; text is parsed by it once, where it comes in,
// and printed by it.
#pragma once

#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace rerank {

template <class E>
struct Choice {
  E value;
  std::string_view word;
};

// Specialised for each such type, with `static constexpr Choice<E> kAll[]`.
template <class E>
struct Choices;

template <class E>
concept IsChoice = requires {
  Choices<E>::kAll;
};

template <IsChoice E>
constexpr std::string_view word_of(E value) {
  for (const Choice<E>& choice : Choices<E>::kAll)
    if (choice.value == value) return choice.word;
  return {};
}

// The value of "head-tail" or "head_tail"; nullopt: none has that word.
template <IsChoice E>
constexpr std::optional<E> parse_choice(std::string_view text) {
  const auto same = [](std::string_view word, std::string_view text) {
    if (word.size() != text.size()) return false;
    for (size_t i = 0; i < word.size(); ++i)
      if (word[i] != text[i] && !(word[i] == '-' && text[i] == '_')) return false;
    return true;
  };
  for (const Choice<E>& choice : Choices<E>::kAll)
    if (same(choice.word, text)) return choice.value;
  return std::nullopt;
}

// "auto, cuda, cpu": all words, in the table's order.
template <IsChoice E>
std::string words_of() {
  std::string words;
  for (const Choice<E>& choice : Choices<E>::kAll) {
    if (!words.empty()) words += ", ";
    words += choice.word;
  }
  return words;
}

// What computes a model; kAuto: the fastest that runs it here.
enum class EngineKind { kAuto, kCuda, kCpu, kOnnx, kTorchscript, kPjrt, kReference };

template <>
struct Choices<EngineKind> {
  static constexpr Choice<EngineKind> kAll[] = {
      {EngineKind::kAuto, "auto"},
      {EngineKind::kCuda, "cuda"},
      {EngineKind::kCpu, "cpu"},
      {EngineKind::kOnnx, "onnx"},
      {EngineKind::kTorchscript, "torchscript"},
      {EngineKind::kPjrt, "pjrt"},
      {EngineKind::kReference, "reference"},
  };
};

// What the inputs of matrix products are; kAuto: what the engine takes by itself.
enum class Precision { kAuto, kFp32, kBf16, kFp16, kInt8, kInt4, kFp8 };

template <>
struct Choices<Precision> {
  static constexpr Choice<Precision> kAll[] = {
      {Precision::kAuto, "auto"}, {Precision::kFp32, "fp32"}, {Precision::kBf16, "bf16"}, {Precision::kFp16, "fp16"},
      {Precision::kInt8, "int8"}, {Precision::kInt4, "int4"}, {Precision::kFp8, "fp8"},
  };
};

// Of a matrix that is kept in a precision; kAuto, which is none yet: as in fp32.
constexpr double bytes_per_weight(Precision precision) {
  switch (precision) {
    case Precision::kAuto:
    case Precision::kFp32:
      break;
    case Precision::kBf16:
    case Precision::kFp16:
      return 2;
    case Precision::kInt8:
    case Precision::kFp8:
      return 1;
    case Precision::kInt4:
      return 0.5625;  // a half, and a scale in bf16 for each 32
  }
  return 4;
}

// With which instructions the cpu engine multiplies; kAuto: the fastest that this CPU has. Emulated tiers have other
// instructions with the same results, for tests.
enum class KernelTier {
  kAuto,
  kAmx,
  kAvx512Bf16,
  kAvx512,
  kAvx512VnniBf16,
  kAvx512Vnni,
  kAvx2,
  kPortable,
  kAmxRows,
  kEmulatedBf16,
  kEmulatedAmx,
  kEmulatedAmxRows,
  kEmulatedAmxRowsNarrow
};

template <>
struct Choices<KernelTier> {
  static constexpr Choice<KernelTier> kAll[] = {
      {KernelTier::kAuto, "auto"},
      {KernelTier::kAmx, "amx"},
      {KernelTier::kAvx512Bf16, "avx512bf16"},
      {KernelTier::kAvx512, "avx512"},
      {KernelTier::kAvx512VnniBf16, "avx512vnni-bf16"},
      {KernelTier::kAvx512Vnni, "avx512vnni"},
      {KernelTier::kAvx2, "avx2"},
      {KernelTier::kPortable, "portable"},
      {KernelTier::kAmxRows, "amx-rows"},
      {KernelTier::kEmulatedBf16, "bf16-emulated"},
      {KernelTier::kEmulatedAmx, "amx-emulated"},
      {KernelTier::kEmulatedAmxRows, "amx-rows-emulated"},
      {KernelTier::kEmulatedAmxRowsNarrow, "amx-rows-narrow-emulated"},
  };
};

// What becomes of a request over the limits of the queue: it is refused, or held until there is room.
enum class QueuePolicy { kShed, kWait };

template <>
struct Choices<QueuePolicy> {
  static constexpr Choice<QueuePolicy> kAll[] = {{QueuePolicy::kShed, "shed"}, {QueuePolicy::kWait, "wait"}};
};

// What answers a request that names a model which nobody serves: the default one, or an error.
enum class UnknownModel { kDefault, kError };

template <>
struct Choices<UnknownModel> {
  static constexpr Choice<UnknownModel> kAll[] = {{UnknownModel::kDefault, "default"}, {UnknownModel::kError, "error"}};
};

}  // namespace rerank
