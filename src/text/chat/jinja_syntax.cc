#include "text/chat/jinja_syntax.h"

#include <algorithm>
#include <array>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::text::jinja {
namespace {

using Kind = Expression::Kind;

constexpr bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Token {
  enum class Kind { kName, kNumber, kText, kSign, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;
};

Status wrong(size_t line, std::string_view what) {
  return absl::InvalidArgumentError(str_cat("line ", line, ": ", what));
}
Status unsupported(size_t line, std::string_view what) {
  return absl::UnimplementedError(str_cat("line ", line, ": ", what, " is not supported"));
}

// What stands between {{ and }}, or {% and %}, as tokens.
Result<std::vector<Token>> tokens_of(std::string_view code, size_t line) {
  constexpr std::array<std::string_view, 4> kDouble = {"==", "!=", "<=", ">="};
  std::vector<Token> tokens;
  for (size_t at = 0; at < code.size();) {
    const char c = code[at];
    const size_t begin = at;
    if (is_blank(c)) {
      ++at;
    } else if (is_letter(c)) {
      while (at < code.size() && (is_letter(code[at]) || is_digit(code[at]))) ++at;
      tokens.push_back({Token::Kind::kName, std::string(code.substr(begin, at - begin))});
    } else if (is_digit(c)) {
      while (at < code.size() && is_digit(code[at])) ++at;
      if (at - begin > 9) return wrong(line, "a number of more than nine digits");
      tokens.push_back({Token::Kind::kNumber, std::string(code.substr(begin, at - begin))});
    } else if (c == '"' || c == '\'') {
      std::string text;
      for (++at; at < code.size() && code[at] != c; ++at) {
        if (code[at] != '\\') {
          text += code[at];
          continue;
        }
        if (++at == code.size()) break;
        constexpr std::string_view kEscapes = "n\nr\rt\t\\\\'\'\"\"";
        const size_t known = kEscapes.find(code[at]);
        if (known == kEscapes.npos || known % 2 != 0) return unsupported(line, str_cat("\\", std::string(1, code[at])));
        text += kEscapes[known + 1];
      }
      if (at >= code.size()) return wrong(line, "a text has no end");
      ++at;
      tokens.push_back({Token::Kind::kText, std::move(text)});
    } else {
      const bool two = std::ranges::find(kDouble, code.substr(at, 2)) != kDouble.end();
      if (!two && std::string_view("()[]{}.,:|~+-*/%=<>").find(c) == std::string_view::npos)
        return wrong(line, str_cat("unexpected `", std::string(1, c), "`"));
      at += two ? 2 : 1;
      tokens.push_back({Token::Kind::kSign, std::string(code.substr(begin, at - begin))});
    }
  }
  if (tokens.size() > kMaxTokens)
    return wrong(line, str_cat("an expression of more than ", kMaxTokens, " names, values and signs"));
  tokens.push_back({});
  return tokens;
}

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, size_t line) : tokens_(std::move(tokens)), line_(line) {}

  Result<ExpressionPointer> whole() {
    ASSIGN_OR_RETURN(ExpressionPointer value, choice());
    if (tokens_[at_].kind != Token::Kind::kEnd) return wrong(line_, str_cat("unexpected `", tokens_[at_].text, "`"));
    return value;
  }
  bool take(std::string_view text) {
    const Token& token = tokens_[at_];
    if ((token.kind != Token::Kind::kName && token.kind != Token::Kind::kSign) || token.text != text) return false;
    ++at_;
    return true;
  }
  Result<std::string> name() {
    if (tokens_[at_].kind != Token::Kind::kName) return wrong(line_, "a name is missing");
    return tokens_[at_++].text;
  }
  bool at_end() const { return tokens_[at_].kind == Token::Kind::kEnd; }

 private:
  using Parse = Result<ExpressionPointer> (ExpressionParser::*)();

  ExpressionPointer make(Kind kind, std::string text = "") const {
    auto made = std::make_unique<Expression>();
    made->kind = kind;
    made->line = line_;
    made->text = std::move(text);
    return made;
  }
  ExpressionPointer binary(std::string sign, ExpressionPointer left, ExpressionPointer right) const {
    ExpressionPointer made = make(Kind::kBinary, std::move(sign));
    made->parts.push_back(std::move(left));
    made->parts.push_back(std::move(right));
    return made;
  }
  Status expect(std::string_view sign) {
    return take(sign) ? ok_status() : wrong(line_, str_cat("`", sign, "` is missing"));
  }

  Result<ExpressionPointer> choice() {
    if (++depth_ > kMaxDepth) return wrong(line_, "an expression is too deep");
    ASSIGN_OR_RETURN(ExpressionPointer value, either());
    while (take("if")) {
      ExpressionPointer made = make(Kind::kChoice);
      made->parts.push_back(std::move(value));
      ASSIGN_OR_RETURN(ExpressionPointer condition, either());
      made->parts.push_back(std::move(condition));
      if (take("else")) {
        ASSIGN_OR_RETURN(ExpressionPointer other, choice());
        made->parts.push_back(std::move(other));
      }
      value = std::move(made);
    }
    --depth_;
    return value;
  }
  Result<ExpressionPointer> chain(std::initializer_list<std::string_view> signs, Parse next) {
    ASSIGN_OR_RETURN(ExpressionPointer left, (this->*next)());
    while (true) {
      const auto sign = std::ranges::find_if(signs, [&](std::string_view s) { return take(s); });
      if (sign == signs.end()) return left;
      ASSIGN_OR_RETURN(ExpressionPointer right, (this->*next)());
      left = binary(std::string(*sign), std::move(left), std::move(right));
    }
  }
  Result<ExpressionPointer> either() { return chain({"or"}, &ExpressionParser::both); }
  Result<ExpressionPointer> both() { return chain({"and"}, &ExpressionParser::negation); }
  Result<ExpressionPointer> negation() {
    bool negated = false;
    while (take("not")) negated = !negated;
    const bool any = at_ > 0 && tokens_[at_ - 1].text == "not";
    ASSIGN_OR_RETURN(ExpressionPointer value, comparison());
    if (!any) return value;
    for (int i = negated ? 1 : 2; i > 0; --i) {
      ExpressionPointer made = make(Kind::kNot);
      made->parts.push_back(std::move(value));
      value = std::move(made);
    }
    return value;
  }
  Result<ExpressionPointer> comparison() {
    ASSIGN_OR_RETURN(ExpressionPointer left, sum());
    static constexpr std::array<std::string_view, 7> kSigns = {"==", "!=", "<=", ">=", "<", ">", "in"};
    bool compared = false;
    while (true) {
      const size_t before = at_;
      const bool negated = take("not");
      const auto sign = std::ranges::find_if(kSigns, [&](std::string_view s) { return take(s); });
      if (sign == kSigns.end() || (negated && *sign != "in")) {
        at_ = before;
        return left;
      }
      if (compared) return unsupported(line_, "a comparison of more than two");
      compared = true;
      ASSIGN_OR_RETURN(ExpressionPointer right, sum());
      left = binary(std::string(*sign), std::move(left), std::move(right));
      if (!negated) continue;
      ExpressionPointer made = make(Kind::kNot);
      made->parts.push_back(std::move(left));
      left = std::move(made);
    }
  }
  Result<ExpressionPointer> sum() { return chain({"+", "-"}, &ExpressionParser::joined); }
  Result<ExpressionPointer> joined() { return chain({"~"}, &ExpressionParser::unary); }
  Result<ExpressionPointer> unary() {
    if (take("-")) {
      ExpressionPointer made = make(Kind::kMinus);
      ASSIGN_OR_RETURN(ExpressionPointer value, filtered());
      made->parts.push_back(std::move(value));
      return made;
    }
    return filtered();
  }
  // A value with what follows it: attributes, indices, calls, filters, tests.
  Result<ExpressionPointer> filtered() {
    ASSIGN_OR_RETURN(ExpressionPointer value, primary());
    while (true) {
      ExpressionPointer made;
      if (take(".")) {
        ASSIGN_OR_RETURN(std::string attribute, name());
        made = make(Kind::kAttribute, std::move(attribute));
        made->parts.push_back(std::move(value));
      } else if (take("[")) {
        ASSIGN_OR_RETURN(made, index(std::move(value)));
      } else if (take("(")) {
        made = make(Kind::kCall);
        made->parts.push_back(std::move(value));
        RETURN_IF_ERROR(arguments(*made));
      } else if (take("|") || take("is")) {
        const bool test = tokens_[at_ - 1].text == "is";
        made = make(test ? Kind::kTest : Kind::kFilter);
        made->negated = test && take("not");
        ASSIGN_OR_RETURN(made->text, name());
        made->parts.push_back(std::move(value));
        if (take("(")) RETURN_IF_ERROR(arguments(*made));
      } else {
        return value;
      }
      value = std::move(made);
    }
  }
  Result<ExpressionPointer> index(ExpressionPointer of) {
    ExpressionPointer first, second;
    if (!take(":")) {
      ASSIGN_OR_RETURN(first, choice());
      if (take("]")) {
        ExpressionPointer made = make(Kind::kIndex);
        made->parts.push_back(std::move(of));
        made->parts.push_back(std::move(first));
        return made;
      }
      RETURN_IF_ERROR(expect(":"));
    }
    if (!take("]")) {
      ASSIGN_OR_RETURN(second, choice());
      RETURN_IF_ERROR(expect("]"));
    }
    ExpressionPointer made = make(Kind::kSlice);
    made->parts.push_back(std::move(of));
    made->parts.push_back(std::move(first));
    made->parts.push_back(std::move(second));
    return made;
  }
  // After "(".
  Status arguments(Expression& of) {
    while (!take(")")) {
      if (!of.arguments.empty()) RETURN_IF_ERROR(expect(","));
      Argument argument;
      if (tokens_[at_].kind == Token::Kind::kName && tokens_[at_ + 1].text == "=" &&
          tokens_[at_ + 1].kind == Token::Kind::kSign) {
        argument.name = tokens_[at_].text;
        at_ += 2;
      }
      ASSIGN_OR_RETURN(argument.value, choice());
      of.arguments.push_back(std::move(argument));
    }
    return ok_status();
  }
  Result<ExpressionPointer> primary() {
    const Token& token = tokens_[at_];
    if (token.kind == Token::Kind::kText) {
      ExpressionPointer made = make(Kind::kText);
      while (tokens_[at_].kind == Token::Kind::kText) made->text += tokens_[at_++].text;
      return made;
    }
    if (token.kind == Token::Kind::kNumber) {
      ExpressionPointer made = make(Kind::kNumber);
      made->number = std::stoll(token.text);
      ++at_;
      return made;
    }
    if (token.kind == Token::Kind::kName) return make(Kind::kName, tokens_[at_++].text);
    if (take("(")) {
      ASSIGN_OR_RETURN(ExpressionPointer value, choice());
      RETURN_IF_ERROR(expect(")"));
      return value;
    }
    if (take("[")) {
      ExpressionPointer made = make(Kind::kList);
      while (!take("]")) {
        if (!made->parts.empty()) RETURN_IF_ERROR(expect(","));
        ASSIGN_OR_RETURN(ExpressionPointer value, choice());
        made->parts.push_back(std::move(value));
      }
      return made;
    }
    if (token.kind == Token::Kind::kEnd) return wrong(line_, "a value is missing");
    return unsupported(line_, str_cat("`", token.text, "` here"));
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  const size_t line_;
  size_t depth_ = 0;
};

// Text, or what stands in a tag.
struct Piece {
  char kind = 't';  // 't', '{' of {{ }}, '%'
  size_t line = 0;
  std::string text;
};

// The place of a tag's end, passing over texts in it.
size_t end_of(std::string_view source, size_t from, std::string_view end) {
  char quote = 0;
  for (size_t at = from; at < source.size(); ++at) {
    const char c = source[at];
    if (quote != 0) {
      if (c == '\\') {
        ++at;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (source.substr(at).starts_with(end)) {
      return at;
    } else if (end != "#}" && (c == '"' || c == '\'')) {
      quote = c;
    }
  }
  return source.npos;
}

constexpr bool opens_tag(char behind_brace) {
  return behind_brace == '{' || behind_brace == '%' || behind_brace == '#';
}

Result<std::vector<Piece>> divide(std::string_view source) {
  if (source.ends_with('\n')) source.remove_suffix(1);
  if (source.ends_with('\r')) source.remove_suffix(1);
  std::vector<Piece> pieces;
  size_t line = 1;
  bool trim_left = false, trim_line = false, begins_line = true;
  while (true) {
    size_t open = source.find('{');
    while (open != source.npos && (open + 1 == source.size() || !opens_tag(source[open + 1])))
      open = source.find('{', open + 1);
    std::string_view text = source.substr(0, open);
    const size_t lines = static_cast<size_t>(std::ranges::count(text, '\n'));
    const bool tag = open != source.npos;
    const char kind = tag ? source[open + 1] : 0;
    const char sign = tag && open + 2 < source.size() ? source[open + 2] : 0;
    if (trim_left) {
      for (; !text.empty() && is_blank(text.front()); text.remove_prefix(1)) begins_line = text.front() == '\n';
    } else if (trim_line && text.starts_with('\n')) {
      text.remove_prefix(1);
      begins_line = true;
    }
    if (tag && sign == '-') {
      while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    } else if (tag && kind != '{' && sign != '+') {
      size_t keep = text.size();
      while (keep > 0 && (text[keep - 1] == ' ' || text[keep - 1] == '\t')) --keep;
      // Blanks that begin their line: after a line's end, or where the text begins one.
      if (keep > 0 ? text[keep - 1] == '\n' : begins_line) text = text.substr(0, keep);
    }
    if (!text.empty()) pieces.push_back({'t', line, std::string(text)});
    if (!tag) return pieces;
    line += lines;
    const std::string_view close = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
    const size_t end = end_of(source, open + 2, close);
    if (end == source.npos) return wrong(line, str_cat("`{", std::string(1, kind), "` has no `", close, "`"));
    std::string_view code = source.substr(open + 2, end - open - 2);
    line += static_cast<size_t>(std::ranges::count(code, '\n'));
    if (sign == '-' || sign == '+') code.remove_prefix(std::min<size_t>(1, code.size()));
    trim_left = code.ends_with('-');
    trim_line = kind != '{' && !code.ends_with('+');
    if (trim_left || code.ends_with('+')) code.remove_suffix(1);
    if (kind != '#') pieces.push_back({kind, line, std::string(code)});
    source.remove_prefix(end + 2);
    begins_line = false;
  }
}

class Parser {
 public:
  explicit Parser(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

  Result<std::vector<Statement>> whole() {
    ASSIGN_OR_RETURN(auto statements, block());
    if (at_ < pieces_.size()) return wrong(pieces_[at_].line, "an end, or else, of nothing");
    return statements;
  }

 private:
  static std::string_view keyword(const Piece& piece) {
    std::string_view code = piece.text;
    while (!code.empty() && is_blank(code.front())) code.remove_prefix(1);
    size_t end = 0;
    while (end < code.size() && is_letter(code[end])) ++end;
    return code.substr(0, end);
  }
  bool stands(std::string_view word) const {
    return at_ < pieces_.size() && pieces_[at_].kind == '%' && keyword(pieces_[at_]) == word;
  }
  static Result<ExpressionParser> expressions(const Piece& piece) {
    ASSIGN_OR_RETURN(auto tokens, tokens_of(piece.text, piece.line));
    return ExpressionParser(std::move(tokens), piece.line);
  }

  // Up to an end or an else, which stays.
  Result<std::vector<Statement>> block() {
    if (++depth_ > kMaxDepth) return wrong(pieces_[at_].line, "blocks are too deep");
    std::vector<Statement> statements;
    for (; at_ < pieces_.size();) {
      const Piece& piece = pieces_[at_];
      Statement made;
      made.line = piece.line;
      if (piece.kind == 't') {
        made.text = piece.text;
        ++at_;
      } else if (piece.kind == '{') {
        made.kind = Statement::Kind::kOutput;
        ASSIGN_OR_RETURN(ExpressionParser parser, expressions(piece));
        ASSIGN_OR_RETURN(made.value, parser.whole());
        ++at_;
      } else if (const std::string_view word = keyword(piece); word == "set") {
        RETURN_IF_ERROR(set(made));
      } else if (word == "if") {
        RETURN_IF_ERROR(conditions(made));
      } else if (word == "for") {
        RETURN_IF_ERROR(loop(made));
      } else if (word.starts_with("end") || word == "else" || word == "elif") {
        break;
      } else {
        return unsupported(piece.line, str_cat("{% ", word, " %}"));
      }
      statements.push_back(std::move(made));
    }
    --depth_;
    return statements;
  }
  Status set(Statement& made) {
    made.kind = Statement::Kind::kSet;
    const Piece& piece = pieces_[at_++];
    ASSIGN_OR_RETURN(ExpressionParser parser, expressions(piece));
    parser.take("set");
    ASSIGN_OR_RETURN(made.text, parser.name());
    if (!parser.take("=")) return unsupported(piece.line, "a `set` that is not of a name to a value");
    ASSIGN_OR_RETURN(made.value, parser.whole());
    return ok_status();
  }
  Status conditions(Statement& made) {
    made.kind = Statement::Kind::kIf;
    while (stands("if") || stands("elif")) {
      const Piece& piece = pieces_[at_];
      ASSIGN_OR_RETURN(ExpressionParser parser, expressions(piece));
      parser.take(keyword(piece));
      ASSIGN_OR_RETURN(ExpressionPointer condition, parser.whole());
      made.conditions.push_back(std::move(condition));
      RETURN_IF_ERROR(body(made));
      if (stands("if")) break;
    }
    if (stands("else")) RETURN_IF_ERROR(body(made));
    return end("endif", made.line);
  }
  Status loop(Statement& made) {
    made.kind = Statement::Kind::kFor;
    const Piece& piece = pieces_[at_];
    ASSIGN_OR_RETURN(ExpressionParser parser, expressions(piece));
    parser.take("for");
    ASSIGN_OR_RETURN(made.text, parser.name());
    if (!parser.take("in")) return unsupported(piece.line, "a `for` of several names");
    ASSIGN_OR_RETURN(made.value, parser.whole());
    RETURN_IF_ERROR(body(made));
    if (stands("else")) return unsupported(pieces_[at_].line, "`else` of a loop");
    return end("endfor", made.line);
  }
  Status body(Statement& made) {
    ++at_;
    ASSIGN_OR_RETURN(auto statements, block());
    made.bodies.push_back(std::move(statements));
    return ok_status();
  }
  Status end(std::string_view word, size_t line) {
    if (!stands(word)) return wrong(line, str_cat("{% ", word, " %} is missing"));
    ++at_;
    return ok_status();
  }

  std::vector<Piece> pieces_;
  size_t at_ = 0, depth_ = 0;
};

}  // namespace

Result<std::vector<Statement>> parse(std::string_view source) {
  ASSIGN_OR_RETURN(auto pieces, divide(source));
  return Parser(std::move(pieces)).whole();
}

}  // namespace rerank::text::jinja
