#include "engine/pjrt/stablehlo/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "absl/base/internal/raw_logging.h"
#include "absl/strings/str_join.h"
#include "base/strings.h"

namespace rerank::engine::pjrt {
namespace {

template <class Numbers>
std::string listed(const Numbers& numbers) {
  return str_cat("[", absl::StrJoin(numbers, ", "), "]");
}

// With a point or an exponent, and read back exactly.
std::string float_text(float number) {
  if (std::isinf(number)) return number > 0 ? "0x7F800000" : "0xFF800000";
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(number));
  std::string made = text;
  const size_t exponent = made.find('e');
  if (made.find('.') == std::string::npos)  // "1e-05" is no number there
    made.insert(exponent == std::string::npos ? made.size() : exponent, ".0");
  return made;
}

}  // namespace

std::string_view element_name(Element element) {
  constexpr std::string_view kNames[] = {"f32", "bf16", "i32", "i1"};
  return kNames[static_cast<size_t>(element)];
}

size_t element_bytes(Element element) { return element == Element::kBF16 ? 2 : 4; }

std::string Type::text() const {
  std::string made = "tensor<";
  for (const int64_t dim : dims) made += str_cat(dim, "x");
  return str_cat(made, element_name(element), ">");
}

int64_t Type::elements() const { return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>()); }

Value StableHlo::argument(const std::string& name, const Type& type) {
  const std::string written = "%" + name;
  for (const Value& there : arguments_) {
    if (there.name != written) continue;
    ABSL_RAW_CHECK(there.type == type, "an argument is of one type");
    return there;
  }
  return arguments_.emplace_back(Value{written, type});
}

void StableHlo::section(std::string_view comment, std::string prefix) {
  body_ += str_cat("\n    // ", comment, "\n");
  prefix_ = std::move(prefix);
}

Value StableHlo::made(std::string_view kind, Type type, std::string_view line) {
  Value value{str_cat("%", prefix_, "_", kind, "_", next_++), std::move(type)};
  body_ += str_cat("    ", value.name, " = ", line, "\n");
  return value;
}

Value StableHlo::constant(float number, const Dims& dims, Element element) {
  Type type{element, dims};
  const std::string line = str_cat("stablehlo.constant dense<", float_text(number), "> : ", type.text());
  return made("constant", std::move(type), line);
}

Value StableHlo::integer(int64_t number, const Dims& dims) {
  Type type{Element::kS32, dims};
  const std::string line = str_cat("stablehlo.constant dense<", number, "> : ", type.text());
  return made("constant", std::move(type), line);
}

Value StableHlo::integers(const std::vector<int64_t>& numbers) {
  Type type{Element::kS32, {static_cast<int64_t>(numbers.size())}};
  const std::string line = str_cat("stablehlo.constant dense<", listed(numbers), "> : ", type.text());
  return made("constant", std::move(type), line);
}

Value StableHlo::floats(const std::vector<float>& numbers) {
  Type type{Element::kF32, {static_cast<int64_t>(numbers.size())}};
  std::vector<std::string> texts;
  for (const float number : numbers) texts.push_back(float_text(number));
  const std::string line = str_cat("stablehlo.constant dense<", listed(texts), "> : ", type.text());
  return made("constant", std::move(type), line);
}

Value StableHlo::iota(const Dims& dims, size_t dimension) {
  Type type{Element::kS32, dims};
  const std::string line = str_cat("stablehlo.iota dim = ", dimension, " : ", type.text());
  return made("iota", std::move(type), line);
}

Value StableHlo::binary(std::string_view operation, const Value& a, const Value& b) {
  ABSL_RAW_CHECK(a.type == b.type, "both operands are of one type");
  return made(operation, a.type, str_cat("stablehlo.", operation, " ", a.name, ", ", b.name, " : ", a.type.text()));
}

Value StableHlo::unary(std::string_view operation, const Value& a) {
  return made(operation, a.type, str_cat("stablehlo.", operation, " ", a.name, " : ", a.type.text()));
}

Value StableHlo::compare(const Value& a, std::string_view direction, const Value& b) {
  ABSL_RAW_CHECK(a.type == b.type, "both operands are of one type");
  Type type{Element::kBool, a.type.dims};
  const std::string line = str_cat("stablehlo.compare ", direction, ", ", a.name, ", ", b.name, ", ",
                                   a.type.element == Element::kS32 ? "SIGNED" : "FLOAT", " : (", a.type.text(), ", ",
                                   b.type.text(), ") -> ", type.text());
  return made("compare", std::move(type), line);
}

Value StableHlo::select(const Value& where, const Value& yes, const Value& no) {
  ABSL_RAW_CHECK(yes.type == no.type && where.type.dims == yes.type.dims, "select: of one shape");
  return made("select", yes.type,
              str_cat("stablehlo.select ", where.name, ", ", yes.name, ", ", no.name, " : ", where.type.text(), ", ",
                      yes.type.text()));
}

Value StableHlo::convert(const Value& a, Element element) {
  if (a.type.element == element) return a;
  Type type{element, a.type.dims};
  const std::string line = str_cat("stablehlo.convert ", a.name, " : (", a.type.text(), ") -> ", type.text());
  return made("convert", std::move(type), line);
}

Value StableHlo::reshape(const Value& a, const Dims& dims) {
  if (a.type.dims == dims) return a;
  Type type{a.type.element, dims};
  ABSL_RAW_CHECK(type.elements() == a.type.elements(), "reshape: of as many elements");
  const std::string line = str_cat("stablehlo.reshape ", a.name, " : (", a.type.text(), ") -> ", type.text());
  return made("reshape", std::move(type), line);
}

Value StableHlo::transpose(const Value& a, const std::vector<size_t>& order) {
  Type type{a.type.element, {}};
  for (const size_t from : order) type.dims.push_back(a.type.dims[from]);
  const std::string line =
      str_cat("stablehlo.transpose ", a.name, ", dims = ", listed(order), " : (", a.type.text(), ") -> ", type.text());
  return made("transpose", std::move(type), line);
}

Value StableHlo::broadcast(const Value& a, const Dims& dims, const std::vector<size_t>& places) {
  if (a.type.dims == dims) return a;
  ABSL_RAW_CHECK(places.size() == a.type.dims.size(), "broadcast: a place for each dimension");
  for (size_t i = 0; i < places.size(); ++i)
    ABSL_RAW_CHECK(a.type.dims[i] == 1 || a.type.dims[i] == dims[places[i]], "broadcast: dimensions fit");
  Type type{a.type.element, dims};
  const std::string line = str_cat("stablehlo.broadcast_in_dim ", a.name, ", dims = ", listed(places), " : (",
                                   a.type.text(), ") -> ", type.text());
  return made("broadcast", std::move(type), line);
}

Value StableHlo::slice(const Value& a, size_t dimension, int64_t begin, int64_t end) {
  if (begin == 0 && end == a.type.dims[dimension]) return a;
  ABSL_RAW_CHECK(0 <= begin && begin < end && end <= a.type.dims[dimension], "slice: within the dimension");
  Type type = a.type;
  type.dims[dimension] = end - begin;
  std::vector<std::string> ranges;
  for (size_t i = 0; i < a.type.dims.size(); ++i)
    ranges.push_back(i == dimension ? str_cat(begin, ":", end) : str_cat("0:", a.type.dims[i]));
  const std::string line =
      str_cat("stablehlo.slice ", a.name, " ", listed(ranges), " : (", a.type.text(), ") -> ", type.text());
  return made("slice", std::move(type), line);
}

Value StableHlo::pad(const Value& a, size_t dimension, int64_t before, int64_t after) {
  const Value zero = constant(0, {}, a.type.element);
  Type type = a.type;
  type.dims[dimension] += before + after;
  std::vector<int64_t> low(a.type.dims.size()), high(low.size()), none(low.size());
  low[dimension] = before;
  high[dimension] = after;
  const std::string line =
      str_cat("stablehlo.pad ", a.name, ", ", zero.name, ", low = ", listed(low), ", high = ", listed(high),
              ", interior = ", listed(none), " : (", a.type.text(), ", ", zero.type.text(), ") -> ", type.text());
  return made("pad", std::move(type), line);
}

Value StableHlo::concatenate(const std::vector<Value>& parts, size_t dimension) {
  Type type = parts[0].type;
  type.dims[dimension] = 0;
  std::vector<std::string> names, types;
  for (const Value& part : parts) {
    type.dims[dimension] += part.type.dims[dimension];
    names.push_back(part.name);
    types.push_back(part.type.text());
  }
  const std::string line = str_cat("stablehlo.concatenate ", absl::StrJoin(names, ", "), ", dim = ", dimension, " : (",
                                   absl::StrJoin(types, ", "), ") -> ", type.text());
  return made("concatenate", std::move(type), line);
}

Value StableHlo::reduce(std::string_view operation, std::string_view from, const Value& a, size_t dimension) {
  const Type scalar{a.type.element, {}};
  const Value start = made("constant", scalar, str_cat("stablehlo.constant dense<", from, "> : ", scalar.text()));
  Type type = a.type;
  type.dims.erase(type.dims.begin() + static_cast<ptrdiff_t>(dimension));
  const std::string line =
      str_cat("stablehlo.reduce(", a.name, " init: ", start.name, ") applies stablehlo.", operation,
              " across dimensions = [", dimension, "] : (", a.type.text(), ", ", scalar.text(), ") -> ", type.text());
  return made("reduce", std::move(type), line);
}

Value StableHlo::rows(const Value& table, const Value& numbers) {
  const size_t kept = table.type.dims.size() - 1, lead = numbers.type.dims.size();
  Type type{table.type.element, numbers.type.dims};
  type.dims.insert(type.dims.end(), table.type.dims.begin() + 1, table.type.dims.end());
  std::vector<size_t> offsets(kept);
  std::iota(offsets.begin(), offsets.end(), lead);
  std::vector<int64_t> sizes = table.type.dims;
  sizes[0] = 1;
  const std::string line =
      str_cat("\"stablehlo.gather\"(", table.name, ", ", numbers.name,
              ") {dimension_numbers = #stablehlo.gather<offset_dims = ", listed(offsets),
              ", collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = ", lead,
              ">, slice_sizes = array<i64: ", absl::StrJoin(sizes, ", "), ">, indices_are_sorted = false} : (",
              table.type.text(), ", ", numbers.type.text(), ") -> ", type.text());
  return made("rows", std::move(type), line);
}

Value StableHlo::dot(const Value& a, const Value& b, const Contraction& how) {
  ABSL_RAW_CHECK(a.type.element == b.type.element && a.type.dims[how.a] == b.type.dims[how.b], "dot: operands fit");
  Type type{Element::kF32, {}};
  for (const size_t i : how.batch_a) type.dims.push_back(a.type.dims[i]);
  const auto add_free = [&](const Value& x, const std::vector<size_t>& batch, size_t summed) {
    for (size_t i = 0; i < x.type.dims.size(); ++i)
      if (i != summed && std::find(batch.begin(), batch.end(), i) == batch.end()) type.dims.push_back(x.type.dims[i]);
  };
  add_free(a, how.batch_a, how.a);
  add_free(b, how.batch_b, how.b);
  std::string line = str_cat("stablehlo.dot_general ", a.name, ", ", b.name, ", ");
  if (!how.batch_a.empty()) line += str_cat("batching_dims = ", listed(how.batch_a), " x ", listed(how.batch_b), ", ");
  line += str_cat("contracting_dims = [", how.a, "] x [", how.b, "]");
  // A TPU would multiply fp32 in one pass of bf16.
  line += str_cat(", precision = ", a.type.element == Element::kF32 ? "[HIGHEST, HIGHEST]" : "[DEFAULT, DEFAULT]",
                  " : (", a.type.text(), ", ", b.type.text(), ") -> ", type.text());
  return made("dot", std::move(type), line);
}

std::string StableHlo::finish(const Value& result) const {
  std::string text = str_cat("module @", module_name_, " {\n  func.func public @main(\n");
  for (size_t i = 0; i < arguments_.size(); ++i)
    text += str_cat("      ", arguments_[i].name, ": ", arguments_[i].type.text(),
                    i + 1 < arguments_.size() ? ",\n" : "\n");
  return str_cat(text, "  ) -> ", result.type.text(), " {", body_, "    return ", result.name, " : ",
                 result.type.text(), "\n  }\n}\n");
}

}  // namespace rerank::engine::pjrt
