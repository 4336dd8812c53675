#include "text/stages/pre_tokenizer.h"
#include "base/status_macros.h"

#include "base/strings.h"
#include "text/stages/byte_level.h"
#include "text/unicode/regex.h"
#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

constexpr int kMaxDepth = 32;  // of Sequences in Sequences

// What becomes of the delimiters a text is split at.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct Span {
  size_t begin, end;
  bool match;
};

// Appends what `behavior` makes of `spans`, which cover a piece; empty ones are dropped.
void append_split(const std::vector<Span>& spans, Behavior behavior, bool at_start, std::vector<Piece>& out) {
  const size_t first = spans.empty() ? 0 : spans.front().begin;
  auto add = [&](size_t begin, size_t end) {
    if (begin < end) out.push_back({begin, end, at_start && begin == first});
  };
  for (size_t i = 0; i < spans.size(); ++i) {
    size_t begin = spans[i].begin, end = spans[i].end;
    switch (behavior) {
      case Behavior::kRemoved:
        if (spans[i].match) continue;
        break;
      case Behavior::kIsolated:
        break;
      case Behavior::kContiguous:
        while (i + 1 < spans.size() && spans[i + 1].match == spans[i].match) end = spans[++i].end;
        break;
      case Behavior::kMergedWithPrevious:
        // A delimiter joins what is before it unless that is a delimiter too.
        if (!spans[i].match && i + 1 < spans.size() && spans[i + 1].match) end = spans[++i].end;
        break;
      case Behavior::kMergedWithNext:
        if (spans[i].match && i + 1 < spans.size() && !spans[i + 1].match) end = spans[++i].end;
        break;
    }
    add(begin, end);
  }
}

// Splits every piece at the characters for which `matches(c)` holds.
template <class Matches>
void split_at_chars(Pieces& pieces, Behavior behavior, Matches matches) {
  thread_local std::vector<Span> spans;
  pieces.list_scratch.clear();
  for (const Piece& piece : pieces.list) {
    spans.clear();
    const char* const base = pieces.text.data();
    const char* const end = base + piece.end;
    size_t open = piece.begin;
    for (const char* p = base + piece.begin; p < end;) {
      const size_t at = p - base;
      if (!matches(next_char(p))) continue;
      if (open < at) spans.push_back({open, at, false});
      open = p - base;
      spans.push_back({at, open, true});
    }
    if (open < piece.end) spans.push_back({open, piece.end, false});
    append_split(spans, behavior, piece.at_start, pieces.list_scratch);
  }
  pieces.swap_list();
}

// Kinds of ASCII characters for the BERT and white space splitters.
struct AsciiKinds {
  unsigned char kind[128];  // 0 word, 1 white space, 2 punctuation
  AsciiKinds() {
    for (int c = 0; c < 128; ++c) kind[c] = has_property(c, kCharSpace) ? 1 : has_property(c, kCharPunctuation) ? 2 : 0;
  }
};

inline int bert_kind(const char*& p) {
  static const AsciiKinds ascii;
  const auto byte = static_cast<unsigned char>(*p);
  if (byte < 0x80) {
    ++p;
    return ascii.kind[byte];
  }
  const uint32_t properties = char_properties(next_char(p));
  return properties & kCharSpace ? 1 : properties & kCharPunctuation ? 2 : 0;
}

// White space is removed; with `punctuation`, each punctuation character is a piece of its own.
template <bool punctuation>
void split_words(Pieces& pieces) {
  pieces.list_scratch.clear();
  const char* const base = pieces.text.data();
  for (const Piece& piece : pieces.list) {
    const char* const end = base + piece.end;
    const char* open = base + piece.begin;
    auto add = [&](const char* from, const char* to) {
      const size_t begin = from - base;
      if (from < to) pieces.list_scratch.push_back({begin, size_t(to - base), piece.at_start && begin == piece.begin});
    };
    for (const char* p = open; p < end;) {
      const char* const at = p;
      const int kind = bert_kind(p);
      if (kind == 0 || (kind == 2 && !punctuation)) continue;
      add(open, at);
      if (kind == 2) add(at, p);
      open = p;
    }
    add(open, end);
  }
  pieces.swap_list();
}

class BertPreTokenizer : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override { split_words<true>(pieces); }
};

class WhitespaceSplitPreTokenizer : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override { split_words<false>(pieces); }
};

// \w+|[^\w\s]+
class WhitespacePreTokenizer : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    pieces.list_scratch.clear();
    const char* const base = pieces.text.data();
    for (const Piece& piece : pieces.list) {
      const char* p = base + piece.begin;
      const char* const end = base + piece.end;
      while (p < end) {
        const char* const open = p;
        const uint32_t kind = char_properties(next_char(p)) & (kCharWord | kCharSpace);
        for (const char* next = p; p < end && (char_properties(next_char(next)) & (kCharWord | kCharSpace)) == kind;)
          p = next;
        const size_t begin = open - base;
        if (kind != kCharSpace)
          pieces.list_scratch.push_back({begin, size_t(p - base), piece.at_start && begin == piece.begin});
      }
    }
    pieces.swap_list();
  }
};

class PunctuationPreTokenizer : public PreTokenizer {
 public:
  explicit PunctuationPreTokenizer(Behavior behavior) : behavior_(behavior) {}
  void apply(Pieces& pieces) const override {
    split_at_chars(pieces, behavior_, [](char32_t c) { return has_property(c, kCharPunctuation); });
  }

 private:
  Behavior behavior_;
};

class DigitsPreTokenizer : public PreTokenizer {
 public:
  explicit DigitsPreTokenizer(bool individual) : behavior_(individual ? Behavior::kIsolated : Behavior::kContiguous) {}
  void apply(Pieces& pieces) const override {
    split_at_chars(pieces, behavior_, [](char32_t c) { return has_property(c, kCharNumeric); });
  }

 private:
  Behavior behavior_;
};

class DelimiterPreTokenizer : public PreTokenizer {
 public:
  explicit DelimiterPreTokenizer(char32_t delimiter) : delimiter_(delimiter) {}
  void apply(Pieces& pieces) const override {
    split_at_chars(pieces, Behavior::kRemoved, [this](char32_t c) { return c == delimiter_; });
  }

 private:
  char32_t delimiter_;
};

class SplitPreTokenizer : public PreTokenizer {
 public:
  SplitPreTokenizer(Pattern pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(Pieces& pieces) const override {
    thread_local std::vector<Span> spans;
    pieces.list_scratch.clear();
    for (const Piece& piece : pieces.list) {
      spans.clear();
      size_t open = piece.begin;
      pattern_.for_each_match(pieces.view(piece), [&](size_t begin, size_t end) {
        begin += piece.begin;
        end += piece.begin;
        if (open != begin) spans.push_back({open, begin, invert_});
        spans.push_back({begin, end, !invert_});
        open = end;
      });
      if (open != piece.end) spans.push_back({open, piece.end, invert_});
      append_split(spans, behavior_, piece.at_start, pieces.list_scratch);
    }
    pieces.swap_list();
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

// Origins after a step that wrote each piece anew, in order: `prefix(piece)` bytes before it, which come from its first
// character, and then `width(text, at, length)` bytes for each character.
template <class Prefix, class Width>
void rewrite_origins(const Pieces& before, Prefix prefix, Width width, Origins& origins) {
  Origins made;
  for (const Piece& piece : before.list) {
    made.insert(made.end(), prefix(piece), origins[piece.begin]);
    for (size_t at = piece.begin; at < piece.end;) {
      const size_t length = utf8_length(static_cast<unsigned char>(before.text[at]));
      made.insert(made.end(), width(before.text, at, length), origins[at]);
      at += length;
    }
  }
  origins = std::move(made);
}

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  enum class Prepend { kFirst, kNever, kAlways };

  MetaspacePreTokenizer(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split) {}

  // Blanks become the replacement, and every replacement begins a piece.
  void apply(Pieces& pieces) const override {
    std::string& out = pieces.text_scratch;
    out.clear();
    pieces.list_scratch.clear();
    for (const Piece& piece : pieces.list) {
      const std::string_view view = pieces.view(piece);
      size_t open = out.size();
      const bool present = view[0] == ' ' || view.starts_with(replacement_);
      const bool wanted = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && piece.at_start);
      bool at_start = piece.at_start;
      if (wanted && !present) out += replacement_;
      const char* const end = view.data() + view.size();
      for (const char* p = view.data(); p < end;) {
        const bool blank = *p == ' ';
        const size_t length = blank ? 1 : utf8_length(static_cast<unsigned char>(*p));
        if (blank || (*p == replacement_[0] && std::string_view(p, end - p).starts_with(replacement_))) {
          if (split_ && out.size() > open && p != view.data()) {
            pieces.list_scratch.push_back({open, out.size(), at_start});
            at_start = false;
            open = out.size();
          }
          out += replacement_;
        } else {
          out.append(p, length);
        }
        p += length;
      }
      pieces.list_scratch.push_back({open, out.size(), at_start});
    }
    pieces.swap_text();
    pieces.swap_list();
  }

  void apply_aligned(Pieces& pieces, Origins& origins) const override {
    const auto prefix = [&](const Piece& piece) -> size_t {
      const std::string_view view = pieces.view(piece);
      const bool wanted = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && piece.at_start);
      return wanted && view[0] != ' ' && !view.starts_with(replacement_) ? replacement_.size() : 0;
    };
    const auto width = [&](const std::string& text, size_t at, size_t length) {
      return text[at] == ' ' ? replacement_.size() : length;
    };
    rewrite_origins(pieces, prefix, width, origins);
    apply(pieces);
  }
  double growth() const override { return static_cast<double>(replacement_.size()) + 1; }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

class ByteLevelPreTokenizer : public PreTokenizer {
 public:
  ByteLevelPreTokenizer(bool add_prefix_space, bool split) : add_prefix_space_(add_prefix_space), split_(split) {}

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) prefix(pieces);
    if (split_) split(pieces);
    if (byte_chars_) replace_bytes(pieces);
  }

  void apply_aligned(Pieces& pieces, Origins& origins) const override {
    if (add_prefix_space_) {
      const auto blank = [&](const Piece& piece) { return size_t(pieces.text[piece.begin] != ' '); };
      rewrite_origins(
          pieces, blank, [](const std::string&, size_t, size_t length) { return length; }, origins);
      prefix(pieces);
    }
    if (split_) split(pieces);
    if (!byte_chars_) return;
    const auto width = [](const std::string& text, size_t at, size_t length) {
      std::string chars;
      for (size_t i = at; i < at + length; ++i) append_byte_char(static_cast<unsigned char>(text[i]), chars);
      return chars.size();
    };
    rewrite_origins(
        pieces, [](const Piece&) { return size_t{0}; }, width, origins);
    replace_bytes(pieces);
  }
  double growth() const override { return (add_prefix_space_ ? 2 : 1) * (byte_chars_ ? 2 : 1); }

  bool skip_byte_chars() override {
    byte_chars_ = false;
    return true;
  }

 private:
  static void prefix(Pieces& pieces) {
    pieces.text_scratch.clear();
    for (Piece& piece : pieces.list) {
      const std::string_view view = pieces.view(piece);
      const size_t begin = pieces.text_scratch.size();
      if (view[0] != ' ') pieces.text_scratch += ' ';
      pieces.text_scratch += view;
      piece.begin = begin;
      piece.end = pieces.text_scratch.size();
    }
    pieces.swap_text();
  }

  static void split(Pieces& pieces) {
    pieces.list_scratch.clear();
    const char* const base = pieces.text.data();
    for (const Piece& piece : pieces.list) {
      const char* const end = base + piece.end;
      for (const char* p = base + piece.begin; p < end;) {
        const char* const next = gpt2_word_end(p, end);
        const size_t begin = p - base;
        pieces.list_scratch.push_back({begin, size_t(next - base), piece.at_start && begin == piece.begin});
        p = next;
      }
    }
    pieces.swap_list();
  }

  static void replace_bytes(Pieces& pieces) {
    pieces.text_scratch.clear();
    for (Piece& piece : pieces.list) {
      const size_t begin = pieces.text_scratch.size();
      for (char c : pieces.view(piece)) append_byte_char(static_cast<unsigned char>(c), pieces.text_scratch);
      piece.begin = begin;
      piece.end = pieces.text_scratch.size();
    }
    pieces.swap_text();
  }

  bool add_prefix_space_, split_;
  bool byte_chars_ = true;
};

class SequencePreTokenizer : public PreTokenizer {
 public:
  explicit SequencePreTokenizer(std::vector<std::unique_ptr<PreTokenizer>> steps) : steps_(std::move(steps)) {}
  void apply(Pieces& pieces) const override {
    for (const auto& step : steps_) step->apply(pieces);
  }
  void apply_aligned(Pieces& pieces, Origins& origins) const override {
    for (const auto& step : steps_) step->apply_aligned(pieces, origins);
  }
  double growth() const override {
    double product = 1;
    for (const auto& step : steps_) product *= step->growth();
    return product;
  }
  bool skip_byte_chars() override { return !steps_.empty() && steps_.back()->skip_byte_chars(); }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

using Parsed = Result<std::unique_ptr<PreTokenizer>>;

Result<Behavior> parse_behavior(const JsonField& json) {
  ASSIGN_OR_RETURN(const std::string_view name, json.as_string());
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return json.error(str_cat("\"", name, "\" is not a split behavior"));
}

Result<std::string_view> parse_char(const JsonField& json) {
  ASSIGN_OR_RETURN(const std::string_view c, json.as_string());
  if (c.empty() || count_chars(c) != 1) return json.expected("one character");
  return c;
}

Parsed parse_metaspace(const JsonField& json) {
  using Prepend = MetaspacePreTokenizer::Prepend;
  ASSIGN_OR_RETURN(const std::string_view replacement, parse_char(json.at("replacement")));
  ASSIGN_OR_RETURN(const bool split, json.at("split").as_bool_or(true));
  ASSIGN_OR_RETURN(const bool prefix, json.at("add_prefix_space").as_bool_or(true));
  const JsonField scheme_field = json.at("prepend_scheme");
  ASSIGN_OR_RETURN(const std::string_view scheme, scheme_field.as_string_or(prefix ? "always" : "never"));
  Prepend prepend = Prepend::kAlways;
  if (scheme == "first") {
    prepend = Prepend::kFirst;
  } else if (scheme == "never") {
    prepend = Prepend::kNever;
  } else if (scheme != "always") {
    return scheme_field.error("expected \"always\", \"first\" or \"never\"");
  }
  if (!prefix && prepend != Prepend::kNever) return scheme_field.error("contradicts \"add_prefix_space\": false");
  return std::make_unique<MetaspacePreTokenizer>(std::string(replacement), prepend, split);
}

Parsed parse(const JsonField& json, int depth) {
  if (json.is_null()) return nullptr;
  if (depth > kMaxDepth) return json.error("sequences are nested too deeply");
  ASSIGN_OR_RETURN(const std::string_view type, json.at("type").as_string());
  if (type == "BertPreTokenizer") return std::make_unique<BertPreTokenizer>();
  if (type == "WhitespaceSplit") return std::make_unique<WhitespaceSplitPreTokenizer>();
  if (type == "Whitespace") return std::make_unique<WhitespacePreTokenizer>();
  if (type == "Metaspace") return parse_metaspace(json);
  if (type == "ByteLevel") {
    ASSIGN_OR_RETURN(const bool add_prefix_space, json.at("add_prefix_space").as_bool());
    ASSIGN_OR_RETURN(const bool use_regex, json.at("use_regex").as_bool_or(true));
    return std::make_unique<ByteLevelPreTokenizer>(add_prefix_space, use_regex);
  }
  if (type == "Digits") {
    ASSIGN_OR_RETURN(const bool individual, json.at("individual_digits").as_bool());
    return std::make_unique<DigitsPreTokenizer>(individual);
  }
  if (type == "CharDelimiterSplit") {
    ASSIGN_OR_RETURN(const std::string_view delimiter, parse_char(json.at("delimiter")));
    return std::make_unique<DelimiterPreTokenizer>(first_char(delimiter));
  }
  if (type == "Punctuation") {
    Behavior behavior = Behavior::kIsolated;
    if (!json.at("behavior").missing()) {
      ASSIGN_OR_RETURN(behavior, parse_behavior(json.at("behavior")));
    }
    return std::make_unique<PunctuationPreTokenizer>(behavior);
  }
  if (type == "Split") {
    ASSIGN_OR_RETURN(Pattern pattern, Pattern::parse(json.at("pattern")));
    ASSIGN_OR_RETURN(const Behavior behavior, parse_behavior(json.at("behavior")));
    ASSIGN_OR_RETURN(const bool invert, json.at("invert").as_bool());
    return std::make_unique<SplitPreTokenizer>(std::move(pattern), behavior, invert);
  }
  if (type == "Sequence") {
    std::vector<std::unique_ptr<PreTokenizer>> steps;
    ASSIGN_OR_RETURN(const auto items, json.at("pretokenizers").as_array());
    for (const JsonField& item : items) {
      ASSIGN_OR_RETURN(auto step, parse(item, depth + 1));
      if (step) steps.push_back(std::move(step));
    }
    return std::make_unique<SequencePreTokenizer>(std::move(steps));
  }
  return json.at("type").unsupported(str_cat("pre-tokenizer \"", type, "\" is not supported"));
}

}  // namespace

std::unique_ptr<PreTokenizer> make_byte_level_pre_tokenizer(bool add_prefix_space) {
  return std::make_unique<ByteLevelPreTokenizer>(add_prefix_space, /*split=*/true);
}

Result<std::unique_ptr<PreTokenizer>> parse_pre_tokenizer(const JsonField& json) { return parse(json, 0); }

}  // namespace rerank::text
