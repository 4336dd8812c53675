// A Jinja template, parsed.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank::text::jinja {

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

struct Argument {
  std::string name;  // empty: by its place
  ExpressionPointer value;
};

struct Expression {
  enum class Kind {
    kText,       // `text`
    kNumber,     // `number`
    kName,       // `text`; true, false and none too
    kList,       // parts
    kAttribute,  // parts[0] . text
    kIndex,      // parts[0] [ parts[1] ]
    kSlice,      // parts[0] [ parts[1] : parts[2] ], each of the two perhaps null
    kCall,       // parts[0] ( arguments )
    kFilter,     // parts[0] | text ( arguments )
    kTest,       // parts[0] is text ( arguments ); `negated`
    kNot,        // not parts[0]
    kMinus,      // - parts[0]
    kBinary,     // parts[0] text parts[1]: and or == != < > <= >= in + - ~
    kChoice      // parts[0] if parts[1] else parts[2], perhaps null
  };
  Kind kind = Kind::kText;
  size_t line = 0;
  std::string text;
  int64_t number = 0;
  bool negated = false;
  std::vector<ExpressionPointer> parts;
  std::vector<Argument> arguments;
};

struct Statement {
  enum class Kind { kText, kOutput, kSet, kIf, kFor };
  Kind kind = Kind::kText;
  size_t line = 0;
  std::string text;                            // of kText; the name of kSet and kFor
  ExpressionPointer value;                     // of kOutput, kSet; what kFor goes through
  std::vector<ExpressionPointer> conditions;   // of kIf: one for each body, but for that of `else`
  std::vector<std::vector<Statement>> bodies;  // of kIf and kFor
};

inline constexpr size_t kMaxDepth = 50;     // of expressions in one another, and of blocks
inline constexpr size_t kMaxTokens = 2000;  // of one expression: it may be a chain, which is evaluated by recursion

Result<std::vector<Statement>> parse(std::string_view source);

}  // namespace rerank::text::jinja
