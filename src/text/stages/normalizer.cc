#include "text/stages/normalizer.h"
#include "base/status_macros.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/escaping.h"
#include "base/strings.h"
#include "text/stages/byte_level.h"
#include "text/stages/charsmap.h"
#include "text/unicode/regex.h"
#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

constexpr int kMaxDepth = 32;  // of Sequences in Sequences

// Keeps the characters for which `keep(c)` holds.
template <class Keep>
void filter(NormalizedText& text, Keep keep) {
  text.scratch.clear();
  const char* p = text.value.data();
  const char* const end = p + text.value.size();
  bool first = true;
  while (p < end) {
    const char* start = p;
    const bool kept = keep(next_char(p));
    if (kept) text.scratch.append(start, p - start);
    if (first && !kept) text.at_start = false;
    first = false;
  }
  text.swap();
}

class BertNormalizer : public Normalizer {
 public:
  BertNormalizer(bool clean_text, bool ideographs, bool strip_accents, bool lowercase)
      : clean_text_(clean_text), ideographs_(ideographs), strip_accents_(strip_accents), lowercase_(lowercase) {
    for (char32_t c = 0; c < 128; ++c) {
      char32_t mapped = c;
      if (clean_text_) {
        if (has_property(c, kCharBertRemoved)) {
          mapped = kRemoved;
        } else if (has_property(c, kCharSpace)) {
          mapped = ' ';
        }
      }
      if (lowercase_ && c >= 'A' && c <= 'Z') mapped = c + ('a' - 'A');
      ascii_[c] = static_cast<unsigned char>(mapped);
    }
  }

  void apply(NormalizedText& text) const override {
    text.scratch.clear();
    text.scratch.reserve(text.value.size() + text.value.size() / 2 + 16);
    const char* p = text.value.data();
    const char* const end = p + text.value.size();
    if (clean_text_ && p < end) {
      const char* q = p;
      if (has_property(next_char(q), kCharBertRemoved)) text.at_start = false;
    }
    one_pass(p, end, text);
    text.swap();
  }

 private:
  static constexpr unsigned char kRemoved = 0xFF;

  // One pass, character by character. Only marks that survive the removal of accents make order matter: such texts,
  // which are rare, go through the steps one after the other instead.
  void one_pass(const char* p, const char* end, NormalizedText& text) const {
    std::string& out = text.scratch;
    const char* const begin = p;
    while (p < end) {
      const auto byte = static_cast<unsigned char>(*p);
      if (byte < 0x80) {
        if (ascii_[byte] != kRemoved) out += char(ascii_[byte]);
        ++p;
        continue;
      }
      const char* const start = p;
      const char32_t c = next_char(p);
      const uint32_t properties = char_properties(c);
      if (clean_text_) {
        if (properties & kCharBertRemoved) continue;
        if (properties & kCharSpace) {
          out += ' ';
          continue;
        }
      }
      const bool spaced = ideographs_ && is_bert_ideograph(c);
      if (spaced) out += ' ';
      if (strip_accents_ && (properties & (kCharUnsafeNfd | kCharBertMark))) {
        if (!append_stripped(std::string_view(start, p - start), out)) {
          step_by_step(std::string_view(begin, end - begin), out);
          return;
        }
      } else if (lowercase_ && (properties & kCharHasLower)) {
        append_lowercase(c, out);
      } else {
        out.append(start, p - start);
      }
      if (spaced) out += ' ';
    }
  }

  // Decomposes one character and drops its marks; false if a mark stays that could have to change places with others.
  bool append_stripped(std::string_view one, std::string& out) const {
    thread_local std::string decomposed;
    decomposed.clear();
    append_normalized(NormalForm::kNfd, one, decomposed);
    for (const char *p = decomposed.data(), *end = p + decomposed.size(); p < end;) {
      const char* const start = p;
      const char32_t c = next_char(p);
      if (has_property(c, kCharBertMark)) continue;
      if (combining_class(c) != 0) return false;
      if (lowercase_) {
        append_lowercase(c, out);
      } else {
        out.append(start, p - start);
      }
    }
    return true;
  }

  void step_by_step(std::string_view text, std::string& out) const {
    std::string cleaned, decomposed;
    for (const char *p = text.data(), *end = p + text.size(); p < end;) {
      const char32_t c = next_char(p);
      if (clean_text_ && has_property(c, kCharBertRemoved)) continue;
      const bool spaced = ideographs_ && is_bert_ideograph(c);
      if (spaced) cleaned += ' ';
      append_utf8(cleaned, clean_text_ && has_property(c, kCharSpace) ? U' ' : c);
      if (spaced) cleaned += ' ';
    }
    append_normalized(NormalForm::kNfd, cleaned, decomposed);
    out.clear();
    for (const char *p = decomposed.data(), *end = p + decomposed.size(); p < end;) {
      const char32_t c = next_char(p);
      if (has_property(c, kCharBertMark)) continue;
      if (lowercase_) {
        append_lowercase(c, out);
      } else {
        append_utf8(out, c);
      }
    }
  }

  bool clean_text_, ideographs_, strip_accents_, lowercase_;
  unsigned char ascii_[128];
};

class FormNormalizer : public Normalizer {
 public:
  explicit FormNormalizer(NormalForm form) : form_(form) {}
  void apply(NormalizedText& text) const override {
    if (ascii_prefix(text.value) == text.value.size()) return;
    text.scratch.clear();
    append_normalized(form_, text.value, text.scratch);
    text.swap();
  }

 private:
  NormalForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    text.scratch.clear();
    for (const char *p = text.value.data(), *end = p + text.value.size(); p < end;) {
      const auto byte = static_cast<unsigned char>(*p);
      if (byte < 0x80) {
        text.scratch += byte >= 'A' && byte <= 'Z' ? char(byte + 32) : char(byte);
        ++p;
      } else {
        append_lowercase(next_char(p), text.scratch);
      }
    }
    text.swap();
  }
};

class StripAccentsNormalizer : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    if (ascii_prefix(text.value) == text.value.size()) return;
    filter(text, [](char32_t c) { return !has_property(c, kCharMark); });
  }
};

class NmtNormalizer : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    filter(text, [](char32_t c) {
      return !((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F);
    });
    text.scratch.clear();
    for (const char *p = text.value.data(), *end = p + text.value.size(); p < end;) {
      const char32_t c = next_char(p);
      const bool blank = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                         c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
      append_utf8(text.scratch, blank ? U' ' : c);
    }
    text.swap();
  }
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  void apply(NormalizedText& text) const override {
    const std::string& value = text.value;
    size_t begin = 0, end = value.size();
    while (left_ && begin < end) {
      const char* p = value.data() + begin;
      if (!has_property(next_char(p), kCharSpace)) break;
      begin = p - value.data();
    }
    while (right_ && end > begin) {
      size_t start = end - 1;
      while ((static_cast<unsigned char>(value[start]) & 0xC0) == 0x80) --start;
      if (!has_property(first_char(std::string_view(value).substr(start)), kCharSpace)) break;
      end = start;
    }
    if (begin > 0) text.at_start = false;
    text.value.erase(end);
    text.value.erase(0, begin);
  }
  void apply_aligned(NormalizedText& text, Origins& origins) const override {
    const std::string before = text.value;
    apply(text);
    // The first character that is kept is no white space, so it stands nowhere before.
    const size_t begin = left_ ? before.find(text.value) : 0;
    origins =
        Origins(origins.begin() + std::ptrdiff_t(begin), origins.begin() + std::ptrdiff_t(begin + text.value.size()));
  }

 private:
  bool left_, right_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(NormalizedText& text) const override {
    text.scratch.clear();
    size_t copied = 0;
    const std::string_view value = text.value;
    bool any = false;
    pattern_.for_each_match(value, [&](size_t begin, size_t end) {
      any = true;
      // What replaces a match counts as coming from the match's last character.
      if (begin == 0 && end > 0 && (content_.empty() || end > utf8_length(static_cast<unsigned char>(value[0])))) {
        text.at_start = false;
      }
      text.scratch.append(value, copied, begin - copied);
      text.scratch += content_;
      copied = end;
    });
    if (!any) return;
    text.scratch.append(value, copied);
    text.swap();
  }
  void apply_aligned(NormalizedText& text, Origins& origins) const override {
    Origins made;
    size_t copied = 0;
    const auto copy = [&](size_t end) {
      made.insert(made.end(), origins.begin() + std::ptrdiff_t(copied), origins.begin() + std::ptrdiff_t(end));
    };
    pattern_.for_each_match(text.value, [&](size_t begin, size_t end) {
      copy(begin);
      const TextSpan from = origins.empty() ? TextSpan{} : origins[end > 0 ? end - 1 : 0];
      made.insert(made.end(), content_.size(), from);
      copied = end;
    });
    copy(origins.size());
    apply(text);
    origins = std::move(made);
  }
  double growth() const override {
    const auto made = static_cast<double>(content_.size()), least = static_cast<double>(pattern_.least_match());
    return least == 0 ? made + 1 : std::max(1.0, made / least);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(NormalizedText& text) const override {
    if (!text.value.empty()) text.value.insert(0, prefix_);
  }
  void apply_aligned(NormalizedText& text, Origins& origins) const override {
    if (!text.value.empty()) origins.insert(origins.begin(), prefix_.size(), origins.front());
    apply(text);
  }
  double growth() const override { return static_cast<double>(prefix_.size()) + 1; }

 private:
  std::string prefix_;
};

class PrecompiledNormalizer : public Normalizer {
 public:
  explicit PrecompiledNormalizer(Charsmap map) : map_(std::move(map)) {}
  void apply(NormalizedText& text) const override {
    text.scratch.clear();
    map_.append_mapped(text.value, text.scratch);
    text.swap();
  }
  double growth() const override { return static_cast<double>(map_.growth()); }

 private:
  Charsmap map_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    text.scratch.clear();
    for (char c : text.value) append_byte_char(static_cast<unsigned char>(c), text.scratch);
    text.swap();
  }
  double growth() const override { return 2; }
};

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<std::unique_ptr<const Normalizer>> steps) : steps_(std::move(steps)) {}
  void apply(NormalizedText& text) const override {
    for (const auto& step : steps_) step->apply(text);
  }
  void apply_aligned(NormalizedText& text, Origins& origins) const override {
    for (const auto& step : steps_) step->apply_aligned(text, origins);
  }
  double growth() const override {
    double product = 1;
    for (const auto& step : steps_) product *= step->growth();
    return product;
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

using Parsed = Result<std::unique_ptr<const Normalizer>>;

Parsed parse(const JsonField& json, int depth);

Parsed parse_sequence(const JsonField& json, int depth) {
  std::vector<std::unique_ptr<const Normalizer>> steps;
  ASSIGN_OR_RETURN(const auto items, json.at("normalizers").as_array());
  for (const JsonField& item : items) {
    ASSIGN_OR_RETURN(auto step, parse(item, depth + 1));
    if (step) steps.push_back(std::move(step));
  }
  return std::make_unique<SequenceNormalizer>(std::move(steps));
}

Parsed parse_bert(const JsonField& json) {
  ASSIGN_OR_RETURN(const bool clean_text, json.at("clean_text").as_bool());
  ASSIGN_OR_RETURN(const bool ideographs, json.at("handle_chinese_chars").as_bool());
  ASSIGN_OR_RETURN(const bool lowercase, json.at("lowercase").as_bool());
  ASSIGN_OR_RETURN(const bool strip_accents, json.at("strip_accents").as_bool_or(lowercase));
  return std::make_unique<BertNormalizer>(clean_text, ideographs, strip_accents, lowercase);
}

Parsed parse_precompiled(const JsonField& json) {
  const JsonField field = json.at("precompiled_charsmap");
  ASSIGN_OR_RETURN(const std::string_view encoded, field.as_string());
  std::string blob;
  if (!absl::Base64Unescape(absl::string_view(encoded.data(), encoded.size()), &blob))
    return field.error("expected base64");
  Result<Charsmap> map = Charsmap::from_blob(blob);
  if (!map.ok()) return field.error(std::string(map.status().message()));
  return std::make_unique<PrecompiledNormalizer>(*std::move(map));
}

Parsed parse(const JsonField& json, int depth) {
  if (json.is_null()) return nullptr;
  if (depth > kMaxDepth) return json.error("sequences are nested too deeply");
  ASSIGN_OR_RETURN(const std::string_view type, json.at("type").as_string());
  if (type == "Sequence") return parse_sequence(json, depth);
  if (type == "BertNormalizer" || type == "Bert") return parse_bert(json);
  if (type == "Precompiled") return parse_precompiled(json);
  if (type == "NFC") return std::make_unique<FormNormalizer>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<FormNormalizer>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<FormNormalizer>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<FormNormalizer>(NormalForm::kNfkd);
  if (type == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (type == "StripAccents") return std::make_unique<StripAccentsNormalizer>();
  if (type == "Nmt") return std::make_unique<NmtNormalizer>();
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  if (type == "Strip") {
    ASSIGN_OR_RETURN(const bool left, json.at("strip_left").as_bool());
    ASSIGN_OR_RETURN(const bool right, json.at("strip_right").as_bool());
    return std::make_unique<StripNormalizer>(left, right);
  }
  if (type == "Prepend") {
    ASSIGN_OR_RETURN(const std::string_view prefix, json.at("prepend").as_string());
    return std::make_unique<PrependNormalizer>(std::string(prefix));
  }
  if (type == "Replace") {
    ASSIGN_OR_RETURN(Pattern pattern, Pattern::parse(json.at("pattern")));
    ASSIGN_OR_RETURN(const std::string_view content, json.at("content").as_string());
    return std::make_unique<ReplaceNormalizer>(std::move(pattern), std::string(content));
  }
  return json.at("type").unsupported(str_cat("normalizer \"", type, "\" is not supported"));
}

}  // namespace

void Normalizer::apply_aligned(NormalizedText& text, Origins& origins) const {
  const std::string before = text.value;
  apply(text);
  origins = transformed_origins(before, text.value, origins, [this](std::string_view part, std::string& made) {
    NormalizedText one;
    one.value = part;
    apply(one);
    made += one.value;
  });
}

std::unique_ptr<const Normalizer> make_bert_normalizer(bool lowercase, std::optional<bool> strip_accents,
                                                       bool ideographs) {
  return std::make_unique<BertNormalizer>(/*clean_text=*/true, ideographs, strip_accents.value_or(lowercase),
                                          lowercase);
}

Result<std::unique_ptr<const Normalizer>> parse_normalizer(const JsonField& json) { return parse(json, 0); }

}  // namespace rerank::text
