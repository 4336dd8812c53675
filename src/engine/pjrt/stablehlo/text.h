// StableHLO text, operation by operation. Values know their types, so that each line is written whole; what does not
// fit stops the process, for programs come from an architecture that was checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rerank::engine::pjrt {

enum class Element { kF32, kBF16, kS32, kBool };

std::string_view element_name(Element element);  // as StableHLO has it: "f32", "i1"
size_t element_bytes(Element element);           // of kF32, kBF16 and kS32

using Dims = std::vector<int64_t>;

struct Type {
  Element element = Element::kF32;
  Dims dims;
  std::string text() const;  // "tensor<2x3xf32>"
  int64_t elements() const;
  bool operator==(const Type&) const = default;
};

struct Value {
  std::string name;  // with its "%"
  Type type;
};

// One function, `main`, of as many arguments as were asked for. Each operation is a line.
class StableHlo {
 public:
  explicit StableHlo(std::string module_name) : module_name_(std::move(module_name)) {}

  // An argument of `main`; the second call with a name gives the same.
  Value argument(const std::string& name, const Type& type);
  const std::vector<Value>& arguments() const { return arguments_; }

  // A line of its own in front of what follows; values that follow are named by `prefix`.
  void section(std::string_view comment, std::string prefix);

  Value constant(float number, const Dims& dims, Element element = Element::kF32);
  Value integer(int64_t number, const Dims& dims);
  Value integers(const std::vector<int64_t>& numbers);  // [numbers]
  Value floats(const std::vector<float>& numbers);      // [numbers]
  Value iota(const Dims& dims, size_t dimension);       // kS32: the place along a dimension

  // Of equal types, element by element.
  Value add(const Value& a, const Value& b) { return binary("add", a, b); }
  Value subtract(const Value& a, const Value& b) { return binary("subtract", a, b); }
  Value multiply(const Value& a, const Value& b) { return binary("multiply", a, b); }
  Value divide(const Value& a, const Value& b) { return binary("divide", a, b); }
  Value maximum(const Value& a, const Value& b) { return binary("maximum", a, b); }
  Value both(const Value& a, const Value& b) { return binary("and", a, b); }
  Value either(const Value& a, const Value& b) { return binary("or", a, b); }
  Value scaled(const Value& a, float factor) { return multiply(a, constant(factor, a.type.dims)); }
  Value plus(const Value& a, float addend) { return add(a, constant(addend, a.type.dims)); }
  Value exponential(const Value& a) { return unary("exponential", a); }
  Value tanh(const Value& a) { return unary("tanh", a); }
  Value rsqrt(const Value& a) { return unary("rsqrt", a); }
  Value absolute(const Value& a) { return unary("abs", a); }
  Value sign(const Value& a) { return unary("sign", a); }
  Value negated(const Value& a) { return unary("negate", a); }
  // a `direction` b: LT, LE, GT, GE, EQ.
  Value compare(const Value& a, std::string_view direction, const Value& b);
  Value select(const Value& where, const Value& yes, const Value& no);
  Value convert(const Value& a, Element element);  // the value itself where it is of that element

  Value reshape(const Value& a, const Dims& dims);
  Value transpose(const Value& a, const std::vector<size_t>& order);
  // Dimension i of `a` becomes dimension places[i] of `dims`; along the others it is repeated.
  Value broadcast(const Value& a, const Dims& dims, const std::vector<size_t>& places);
  // [begin, end) along one dimension.
  Value slice(const Value& a, size_t dimension, int64_t begin, int64_t end);
  // Zeros before and after, along one dimension.
  Value pad(const Value& a, size_t dimension, int64_t before, int64_t after);
  Value concatenate(const std::vector<Value>& parts, size_t dimension);
  // Over one dimension, which is gone.
  Value sum(const Value& a, size_t dimension) { return reduce("add", "0.0", a, dimension); }
  Value largest(const Value& a, size_t dimension) { return reduce("maximum", "0xFF800000", a, dimension); }
  // Rows of `table` [rows, ...] by kS32 numbers of any shape: [numbers..., ...].
  Value rows(const Value& table, const Value& numbers);
  // Sums of products, in fp32: dimensions are those of `batch` (of both), the others of a, the others of b.
  struct Contraction {
    std::vector<size_t> batch_a, batch_b;
    size_t a = 0, b = 0;  // summed over
  };
  Value dot(const Value& a, const Value& b, const Contraction& how);

  // The whole module, with `result` returned.
  std::string finish(const Value& result) const;

 private:
  Value made(std::string_view kind, Type type, std::string_view line);
  Value binary(std::string_view operation, const Value& a, const Value& b);
  Value unary(std::string_view operation, const Value& a);
  Value reduce(std::string_view operation, std::string_view from, const Value& a, size_t dimension);

  std::string module_name_, prefix_, body_;
  std::vector<Value> arguments_;
  size_t next_ = 0;
};

}  // namespace rerank::engine::pjrt
