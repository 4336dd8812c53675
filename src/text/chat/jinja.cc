#include "text/chat/jinja.h"

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/chat/jinja_syntax.h"

namespace rerank::text {
namespace {

using jinja::Expression;
using jinja::Statement;
using Kind = JinjaValue::Kind;

constexpr size_t kMaxSteps = 200000;  // of evaluating: a template of a pair takes some hundred
constexpr size_t kStepBytes = 256;    // of values that a step may copy
constexpr size_t kMaxNesting = 8;     // of values: messages are objects in a list

Status unsupported(size_t line, std::string_view what) {
  return absl::UnimplementedError(str_cat("line ", line, ": ", what, " is not supported"));
}

// What a value takes, in bytes about; more than is allowed where it is nested too deeply.
size_t weight_of(const JinjaValue& value, size_t depth = 0) {
  if (depth > kMaxNesting) return kMaxTemplateBytes + 1;
  size_t bytes = value.text.size();
  for (const JinjaValue& item : value.items) bytes += sizeof item + weight_of(item, depth + 1);
  for (const auto& [name, field] : value.fields) bytes += sizeof field + name.size() + weight_of(field, depth + 1);
  return bytes;
}

bool is_opaque(std::string_view text) {
  return std::ranges::any_of(kOpaqueTexts, [&](std::string_view mark) { return text.find(mark) != text.npos; });
}

bool is_true(const JinjaValue& value) {
  switch (value.kind) {
    case Kind::kBoolean:
      return value.boolean;
    case Kind::kNumber:
      return value.number != 0;
    case Kind::kText:
      return !value.text.empty();
    case Kind::kList:
      return !value.items.empty();
    case Kind::kObject:
      return !value.fields.empty();
    default:
      return false;
  }
}

bool equal(const JinjaValue& a, const JinjaValue& b) {
  return a.kind == b.kind && a.boolean == b.boolean && a.number == b.number && a.text == b.text &&
         std::ranges::equal(a.items, b.items, equal) &&
         std::ranges::equal(a.fields, b.fields, [](const auto& x, const auto& y) {
           return x.first == y.first && equal(x.second, y.second);
         });
}

bool has_opaque(const JinjaValue& value) {
  return is_opaque(value.text) || std::ranges::any_of(value.items, has_opaque) ||
         std::ranges::any_of(value.fields, [](const auto& field) { return has_opaque(field.second); });
}

class Renderer {
 public:
  explicit Renderer(JinjaNames names) : names_(std::move(names)) {}

  Status render(const std::vector<Statement>& statements) {
    for (const Statement& statement : statements) RETURN_IF_ERROR(render(statement));
    return ok_status();
  }
  std::string& out() { return out_; }

 private:
  using Value = Result<JinjaValue>;

  Status render(const Statement& s) {
    switch (s.kind) {
      case Statement::Kind::kText:
        return print(s.text, s.line);
      case Statement::Kind::kOutput: {
        ASSIGN_OR_RETURN(const JinjaValue value, evaluate(*s.value));
        ASSIGN_OR_RETURN(const std::string text, text_of(value, s.line));
        return print(text, s.line);
      }
      case Statement::Kind::kSet: {
        if (loops_ > 0) return unsupported(s.line, "`set` inside of a loop");
        ASSIGN_OR_RETURN(names_[s.text], evaluate(*s.value));
        return ok_status();
      }
      case Statement::Kind::kIf:
        for (size_t i = 0; i < s.bodies.size(); ++i) {
          if (i >= s.conditions.size()) return render(s.bodies[i]);
          ASSIGN_OR_RETURN(const JinjaValue condition, evaluate(*s.conditions[i]));
          if (is_true(condition)) return render(s.bodies[i]);
        }
        return ok_status();
      case Statement::Kind::kFor:
        return loop(s);
    }
    return ok_status();
  }

  Status loop(const Statement& s) {
    ASSIGN_OR_RETURN(const JinjaValue through, evaluate(*s.value));
    if (through.kind == Kind::kUndefined) return ok_status();
    if (through.kind != Kind::kList) return unsupported(s.line, "a loop through what is no list");
    const JinjaValue outer = names_[s.text], outer_loop = names_["loop"];  // the only names that change inside
    ++loops_;
    const auto count = static_cast<int64_t>(through.items.size());
    for (int64_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(charge(s.line, weight_of(through.items[static_cast<size_t>(i)])));
      names_[s.text] = through.items[static_cast<size_t>(i)];
      names_["loop"] = JinjaValue::object({{"index", JinjaValue::of(i + 1)},
                                           {"index0", JinjaValue::of(i)},
                                           {"first", JinjaValue::of(i == 0)},
                                           {"last", JinjaValue::of(i + 1 == count)},
                                           {"length", JinjaValue::of(count)}});
      RETURN_IF_ERROR(render(s.bodies[0]));
    }
    --loops_;
    names_[s.text] = outer;
    names_["loop"] = outer_loop;
    return ok_status();
  }

  Status print(std::string_view text, size_t line) {
    if (out_.size() + text.size() > kMaxTemplateBytes)
      return absl::OutOfRangeError(str_cat("line ", line, ": it renders more than ", kMaxTemplateBytes, " bytes"));
    out_ += text;
    return ok_status();
  }

  static Result<std::string> text_of(const JinjaValue& value, size_t line) {
    if (value.kind == Kind::kText) return value.text;
    if (value.kind == Kind::kNumber) return std::to_string(value.number);
    if (value.kind == Kind::kUndefined) return std::string();
    if (value.kind == Kind::kBoolean) return std::string(value.boolean ? "True" : "False");
    if (value.kind == Kind::kNone) return std::string("None");
    return unsupported(line, "printing a list or an object");
  }

  // A text that may be looked into.
  static Result<std::string> known_text(const JinjaValue& value, size_t line, std::string_view by) {
    if (value.kind != Kind::kText) return unsupported(line, str_cat(by, " of what is no text"));
    if (is_opaque(value.text))
      return unsupported(line, str_cat(by, " of the query's, the document's or the instruction's text"));
    return value.text;
  }

  Status charge(size_t line, size_t bytes) {
    steps_ += 1 + bytes / kStepBytes;
    return steps_ <= kMaxSteps ? ok_status()
                               : absl::OutOfRangeError(str_cat("line ", line, ": it takes too many steps"));
  }

  Value evaluate(const Expression& e) {
    RETURN_IF_ERROR(charge(e.line, 0));
    ASSIGN_OR_RETURN(JinjaValue value, value_of(e));
    const size_t bytes = weight_of(value);
    if (bytes > kMaxTemplateBytes)
      return absl::OutOfRangeError(
          str_cat("line ", e.line, ": a value of more than ", kMaxTemplateBytes, " bytes, or too deeply nested"));
    RETURN_IF_ERROR(charge(e.line, bytes));
    return value;
  }

  Value value_of(const Expression& e) {
    switch (e.kind) {
      case Expression::Kind::kText:
        return JinjaValue::of(e.text);
      case Expression::Kind::kNumber:
        return JinjaValue::of(e.number);
      case Expression::Kind::kName:
        return name(e.text);
      case Expression::Kind::kList: {
        std::vector<JinjaValue> items;
        for (const auto& part : e.parts) {
          ASSIGN_OR_RETURN(JinjaValue item, evaluate(*part));
          items.push_back(std::move(item));
        }
        return JinjaValue::list(std::move(items));
      }
      case Expression::Kind::kNot: {
        ASSIGN_OR_RETURN(const JinjaValue value, evaluate(*e.parts[0]));
        return JinjaValue::of(!is_true(value));
      }
      case Expression::Kind::kMinus: {
        ASSIGN_OR_RETURN(const JinjaValue value, evaluate(*e.parts[0]));
        if (value.kind != Kind::kNumber) return unsupported(e.line, "`-` of what is no number");
        return difference(0, value.number, e.line);
      }
      case Expression::Kind::kChoice: {
        ASSIGN_OR_RETURN(const JinjaValue condition, evaluate(*e.parts[1]));
        if (is_true(condition)) return evaluate(*e.parts[0]);
        return e.parts.size() > 2 ? evaluate(*e.parts[2]) : Value(JinjaValue{});
      }
      case Expression::Kind::kBinary:
        return binary(e);
      case Expression::Kind::kCall:
        return call(e);
      default: {
        ASSIGN_OR_RETURN(const JinjaValue of, evaluate(*e.parts[0]));
        if (e.kind == Expression::Kind::kFilter) return filter(e, of);
        if (e.kind == Expression::Kind::kTest) return test(e, of);
        if (e.kind == Expression::Kind::kAttribute) return attribute(of, e.text, e.line);
        return e.kind == Expression::Kind::kIndex ? index(e, of) : slice(e, of);
      }
    }
  }

  Value name(const std::string& text) const {
    if (text == "true" || text == "True") return JinjaValue::of(true);
    if (text == "false" || text == "False") return JinjaValue::of(false);
    if (text == "none" || text == "None") return JinjaValue::none();
    const auto found = names_.find(text);
    return found == names_.end() ? JinjaValue{} : found->second;
  }

  static Value attribute(const JinjaValue& of, const std::string& name, size_t line) {
    if (of.kind == Kind::kUndefined)
      return absl::InvalidArgumentError(str_cat("line ", line, ": `", name, "` of what is not there"));
    if (of.kind != Kind::kObject) return unsupported(line, str_cat("`.", name, "` of what is no message"));
    const auto found = of.fields.find(name);
    return found == of.fields.end() ? JinjaValue{} : found->second;
  }

  Value index(const Expression& e, const JinjaValue& of) {
    ASSIGN_OR_RETURN(const JinjaValue at, evaluate(*e.parts[1]));
    if (at.kind == Kind::kText) return attribute(of, at.text, e.line);
    if (at.kind != Kind::kNumber || of.kind != Kind::kList) return unsupported(e.line, "such an index");
    const auto count = static_cast<int64_t>(of.items.size());
    const int64_t place = at.number < 0 ? at.number + count : at.number;
    return place < 0 || place >= count ? JinjaValue{} : of.items[static_cast<size_t>(place)];
  }

  Value slice(const Expression& e, const JinjaValue& of) {
    if (of.kind != Kind::kList) return unsupported(e.line, "a slice of what is no list");
    const auto count = static_cast<int64_t>(of.items.size());
    int64_t ends[2] = {0, count};
    for (size_t i = 0; i < 2; ++i) {
      if (e.parts[i + 1] == nullptr) continue;
      ASSIGN_OR_RETURN(const JinjaValue end, evaluate(*e.parts[i + 1]));
      if (end.kind != Kind::kNumber) return unsupported(e.line, "a slice that is not of numbers");
      ends[i] = std::clamp<int64_t>(end.number < 0 ? end.number + count : end.number, 0, count);
    }
    if (ends[0] >= ends[1]) return JinjaValue::list({});
    return JinjaValue::list({of.items.begin() + ends[0], of.items.begin() + ends[1]});
  }

  static Value difference(int64_t a, int64_t b, size_t line) {
    int64_t made = 0;
    if (__builtin_sub_overflow(a, b, &made)) return unsupported(line, "a number of more than 64 bits");
    return JinjaValue::of(made);
  }

  Value binary(const Expression& e) {
    ASSIGN_OR_RETURN(JinjaValue left, evaluate(*e.parts[0]));
    if (e.text == "and") return is_true(left) ? evaluate(*e.parts[1]) : Value(std::move(left));
    if (e.text == "or") return is_true(left) ? Value(std::move(left)) : evaluate(*e.parts[1]);
    ASSIGN_OR_RETURN(const JinjaValue right, evaluate(*e.parts[1]));
    const bool texts = left.kind == Kind::kText && right.kind == Kind::kText;
    if (e.text == "~" || (e.text == "+" && texts)) {
      ASSIGN_OR_RETURN(std::string text, text_of(left, e.line));
      ASSIGN_OR_RETURN(const std::string more, text_of(right, e.line));
      if (text.size() + more.size() > kMaxTemplateBytes)
        return absl::OutOfRangeError(str_cat("line ", e.line, ": a text of more than ", kMaxTemplateBytes, " bytes"));
      return JinjaValue::of(text + more);
    }
    if (e.text == "==" || e.text == "!=" || e.text == "in") {
      if (has_opaque(left) || has_opaque(right))
        return unsupported(e.line, str_cat("`", e.text, "` of the query's, the document's or the instruction's text"));
      if (e.text != "in") return JinjaValue::of(equal(left, right) == (e.text == "=="));
      if (right.kind == Kind::kList)
        return JinjaValue::of(std::ranges::any_of(right.items, [&](const auto& item) { return equal(item, left); }));
      if (right.kind == Kind::kObject && left.kind == Kind::kText)
        return JinjaValue::of(right.fields.contains(left.text));
      if (!texts) return unsupported(e.line, "such an `in`");
      return JinjaValue::of(right.text.find(left.text) != std::string::npos);
    }
    if (left.kind != Kind::kNumber || right.kind != Kind::kNumber)
      return unsupported(e.line, str_cat("`", e.text, "` of what is no number"));
    const int64_t a = left.number, b = right.number;
    if (e.text == "-") return difference(a, b, e.line);
    if (e.text == "+") {
      int64_t sum = 0;
      if (__builtin_add_overflow(a, b, &sum)) return unsupported(e.line, "a number of more than 64 bits");
      return JinjaValue::of(sum);
    }
    if (e.text == "<") return JinjaValue::of(a < b);
    if (e.text == ">") return JinjaValue::of(a > b);
    return JinjaValue::of(e.text == "<=" ? a <= b : a >= b);
  }

  Value call(const Expression& e) {
    const Expression& of = *e.parts[0];
    if (of.kind == Expression::Kind::kName && of.text == "raise_exception") {
      std::string message;
      if (!e.arguments.empty()) {
        ASSIGN_OR_RETURN(const JinjaValue said, evaluate(*e.arguments[0].value));
        ASSIGN_OR_RETURN(message, text_of(said, e.line));
      }
      return absl::InvalidArgumentError(str_cat("line ", e.line, ": it says: ", message));
    }
    return unsupported(e.line, str_cat("`", of.text, "()`"));
  }

  // The argument with this name, or at this place; undefined: there is none.
  Value argument(const Expression& e, std::string_view name, size_t place) {
    for (size_t i = 0; i < e.arguments.size(); ++i) {
      if (e.arguments[i].name.empty() ? i == place : e.arguments[i].name == name)
        return evaluate(*e.arguments[i].value);
    }
    return JinjaValue{};
  }

  Value filter(const Expression& e, const JinjaValue& of) {
    const std::string& name = e.text;
    if (name == "default" || name == "d") {
      ASSIGN_OR_RETURN(const JinjaValue instead, argument(e, "default_value", 0));
      ASSIGN_OR_RETURN(const JinjaValue any, argument(e, "boolean", 1));
      return of.kind == Kind::kUndefined || (is_true(any) && !is_true(of)) ? instead : of;
    }
    if (name == "string") {
      ASSIGN_OR_RETURN(std::string text, text_of(of, e.line));
      return JinjaValue::of(std::move(text));
    }
    if (name == "trim") {
      ASSIGN_OR_RETURN(const std::string text, known_text(of, e.line, "trim"));
      const size_t first = text.find_first_not_of(" \t\r\n\v\f"), last = text.find_last_not_of(" \t\r\n\v\f");
      return JinjaValue::of(first == text.npos ? std::string() : text.substr(first, last - first + 1));
    }
    if (of.kind != Kind::kList && of.kind != Kind::kUndefined)
      return unsupported(e.line, str_cat("filter `", name, "` of what is no list"));
    if (name == "list") return JinjaValue::list(of.items);
    if (name == "first") return of.items.empty() ? JinjaValue{} : of.items.front();
    if (name == "last") return of.items.empty() ? JinjaValue{} : of.items.back();
    if (name == "length" || name == "count") return JinjaValue::of(static_cast<int64_t>(of.items.size()));
    if (name == "selectattr" || name == "rejectattr") return select(e, of, name == "selectattr");
    if (name == "map") {
      ASSIGN_OR_RETURN(const JinjaValue wanted, argument(e, "attribute", SIZE_MAX));
      if (wanted.kind != Kind::kText) return unsupported(e.line, "`map` without `attribute`");
      std::vector<JinjaValue> items;
      for (const JinjaValue& item : of.items) {
        ASSIGN_OR_RETURN(JinjaValue value, attribute(item, wanted.text, e.line));
        items.push_back(std::move(value));
      }
      return JinjaValue::list(std::move(items));
    }
    if (name == "join") {
      ASSIGN_OR_RETURN(const JinjaValue given, argument(e, "d", 0));
      ASSIGN_OR_RETURN(const std::string between, text_of(given, e.line));
      std::string text;
      for (size_t i = 0; i < of.items.size(); ++i) {
        ASSIGN_OR_RETURN(const std::string item, text_of(of.items[i], e.line));
        text += (i == 0 ? "" : between) + item;
        if (text.size() > kMaxTemplateBytes)
          return absl::OutOfRangeError(str_cat("line ", e.line, ": a text of more than ", kMaxTemplateBytes, " bytes"));
      }
      return JinjaValue::of(std::move(text));
    }
    return unsupported(e.line, str_cat("filter `", name, "`"));
  }

  Value select(const Expression& e, const JinjaValue& of, bool wanted) {
    ASSIGN_OR_RETURN(const JinjaValue name, argument(e, "", 0));
    ASSIGN_OR_RETURN(const JinjaValue test, argument(e, "", 1));
    ASSIGN_OR_RETURN(const JinjaValue value, argument(e, "", 2));
    const bool compares = test.text == "eq" || test.text == "equalto" || test.text == "==";
    if (name.kind != Kind::kText || (test.kind != Kind::kUndefined && !compares))
      return unsupported(e.line, str_cat("`", e.text, "` by another test than eq"));
    std::vector<JinjaValue> items;
    for (const JinjaValue& item : of.items) {
      ASSIGN_OR_RETURN(const JinjaValue field, attribute(item, name.text, e.line));
      if (compares && has_opaque(field)) return unsupported(e.line, str_cat("`", e.text, "` by content"));
      if ((compares ? equal(field, value) : is_true(field)) == wanted) items.push_back(item);
    }
    return JinjaValue::list(std::move(items));
  }

  Value test(const Expression& e, const JinjaValue& of) {
    const std::string& name = e.text;
    bool holds = false;
    if (name == "defined" || name == "undefined") {
      holds = (of.kind != Kind::kUndefined) == (name == "defined");
    } else if (name == "none") {
      holds = of.kind == Kind::kNone;
    } else if (name == "string") {
      holds = of.kind == Kind::kText;
    } else if (name == "mapping") {
      holds = of.kind == Kind::kObject;
    } else if (name == "sequence" || name == "iterable") {
      holds = of.kind == Kind::kList || of.kind == Kind::kText || of.kind == Kind::kObject;
    } else if (name == "true" || name == "false") {
      holds = of.kind == Kind::kBoolean && of.boolean == (name == "true");
    } else {
      return unsupported(e.line, str_cat("test `", name, "`"));
    }
    return JinjaValue::of(holds != e.negated);
  }

  JinjaNames names_;
  std::string out_;
  size_t steps_ = 0, loops_ = 0;
};

}  // namespace

JinjaValue JinjaValue::none() {
  JinjaValue made;
  made.kind = Kind::kNone;
  return made;
}
JinjaValue JinjaValue::of(bool value) {
  JinjaValue made;
  made.kind = Kind::kBoolean;
  made.boolean = value;
  return made;
}
JinjaValue JinjaValue::of(int64_t value) {
  JinjaValue made;
  made.kind = Kind::kNumber;
  made.number = value;
  return made;
}
JinjaValue JinjaValue::of(std::string value) {
  JinjaValue made;
  made.kind = Kind::kText;
  made.text = std::move(value);
  return made;
}
JinjaValue JinjaValue::list(std::vector<JinjaValue> items) {
  JinjaValue made;
  made.kind = Kind::kList;
  made.items = std::move(items);
  return made;
}
JinjaValue JinjaValue::object(std::map<std::string, JinjaValue> fields) {
  JinjaValue made;
  made.kind = Kind::kObject;
  made.fields = std::move(fields);
  return made;
}

Result<std::string> render_jinja(std::string_view source, const JinjaNames& names) {
  if (source.size() > kMaxTemplateBytes)
    return absl::OutOfRangeError(str_cat("it is larger than ", kMaxTemplateBytes, " bytes"));
  if (is_opaque(source)) return absl::InvalidArgumentError("it has a noncharacter of Unicode");
  ASSIGN_OR_RETURN(const auto statements, jinja::parse(source));
  Renderer renderer(names);
  RETURN_IF_ERROR(renderer.render(statements));
  return std::move(renderer.out());
}

}  // namespace rerank::text
