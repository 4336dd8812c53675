#include "text/stages/decoder.h"
#include "base/status_macros.h"

#include <utility>

#include "base/strings.h"
#include "text/stages/byte_level.h"
#include "text/unicode/regex.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

constexpr int kMaxDepth = 32;  // of Sequences in Sequences

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// What `tokenizers` undoes of how words were split, in its order.
constexpr std::pair<std::string_view, std::string_view> kCleanUp[] = {
    {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
    {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};

class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void apply(std::vector<std::string>& parts) const override {
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0 && parts[i].starts_with(prefix_)) {
        parts[i].erase(0, prefix_.size());
      } else if (i > 0) {
        parts[i].insert(0, " ");
      }
      if (!cleanup_) continue;
      for (const auto& [from, to] : kCleanUp) replace_all(parts[i], from, to);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class ByteLevelDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& parts) const override {
    std::string bytes;
    for (const std::string& part : parts) {
      std::string decoded;
      bool known = true;
      for (const char *p = part.data(), *end = p + part.size(); p < end && known;) {
        const int byte = byte_of_char(next_char(p));
        known = byte >= 0;
        decoded += char(byte);
      }
      bytes += known ? decoded : part;
    }
    parts = {repaired_utf8(bytes)};
  }
};

class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool prepended)
      : replacement_(std::move(replacement)), prepended_(prepended) {}
  void apply(std::vector<std::string>& parts) const override {
    for (size_t i = 0; i < parts.size(); ++i) replace_all(parts[i], replacement_, i == 0 && prepended_ ? "" : " ");
  }

 private:
  std::string replacement_;
  bool prepended_;
};

class BpeDecoder : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(std::vector<std::string>& parts) const override {
    for (size_t i = 0; i < parts.size(); ++i) replace_all(parts[i], suffix_, i + 1 == parts.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

class ByteFallbackDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& parts) const override {
    std::vector<std::string> made;
    std::string bytes;
    const auto flush = [&] {
      if (is_valid_utf8(bytes)) {
        if (!bytes.empty()) made.push_back(bytes);
      } else {
        for (size_t i = 0; i < bytes.size(); ++i) append_utf8(made.emplace_back(), kReplacementChar);
      }
      bytes.clear();
    };
    for (std::string& part : parts) {
      if (const auto byte = byte_of_token(part)) {
        bytes += *byte;
        continue;
      }
      flush();
      made.push_back(std::move(part));
    }
    flush();
    parts = std::move(made);
  }
};

class FuseDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& parts) const override {
    std::string whole;
    for (const std::string& part : parts) whole += part;
    parts = {std::move(whole)};
  }
};

class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, size_t start, size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& parts) const override {
    for (std::string& part : parts) {
      for (size_t i = 0; i < start_ && part.starts_with(content_); ++i) part.erase(0, content_.size());
      for (size_t i = 0; i < stop_ && part.ends_with(content_); ++i) part.erase(part.size() - content_.size());
    }
  }

 private:
  std::string content_;
  size_t start_, stop_;
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& parts) const override {
    for (std::string& part : parts) {
      std::string made;
      size_t copied = 0;
      pattern_.for_each_match(part, [&](size_t begin, size_t end) {
        made.append(part, copied, begin - copied).append(content_);
        copied = end;
      });
      part = made.append(part, copied);
    }
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class SequenceDecoder : public Decoder {
 public:
  explicit SequenceDecoder(std::vector<std::unique_ptr<const Decoder>> steps) : steps_(std::move(steps)) {}
  void apply(std::vector<std::string>& parts) const override {
    for (const auto& step : steps_) step->apply(parts);
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> steps_;
};

using Parsed = Result<std::unique_ptr<const Decoder>>;

Parsed parse(const JsonField& json, int depth);

Parsed parse_sequence(const JsonField& json, int depth) {
  std::vector<std::unique_ptr<const Decoder>> steps;
  ASSIGN_OR_RETURN(const auto items, json.at("decoders").as_array());
  for (const JsonField& item : items) {
    ASSIGN_OR_RETURN(auto step, parse(item, depth + 1));
    if (step) steps.push_back(std::move(step));
  }
  return std::make_unique<SequenceDecoder>(std::move(steps));
}

Parsed parse_metaspace(const JsonField& json) {
  ASSIGN_OR_RETURN(const std::string_view replacement, json.at("replacement").as_string());
  ASSIGN_OR_RETURN(const bool prefix, json.at("add_prefix_space").as_bool_or(true));
  ASSIGN_OR_RETURN(const std::string_view scheme, json.at("prepend_scheme").as_string_or(prefix ? "always" : "never"));
  if (replacement.empty()) return json.at("replacement").expected("a character");
  return std::make_unique<MetaspaceDecoder>(std::string(replacement), scheme != "never");
}

Parsed parse(const JsonField& json, int depth) {
  if (json.is_null()) return nullptr;
  if (depth > kMaxDepth) return json.error("sequences are nested too deeply");
  ASSIGN_OR_RETURN(const std::string_view type, json.at("type").as_string());
  if (type == "Sequence") return parse_sequence(json, depth);
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "Metaspace") return parse_metaspace(json);
  if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_unique<FuseDecoder>();
  if (type == "WordPiece") {
    ASSIGN_OR_RETURN(const std::string_view prefix, json.at("prefix").as_string_or("##"));
    ASSIGN_OR_RETURN(const bool cleanup, json.at("cleanup").as_bool_or(true));
    return std::make_unique<WordPieceDecoder>(std::string(prefix), cleanup);
  }
  if (type == "BPEDecoder") {
    ASSIGN_OR_RETURN(const std::string_view suffix, json.at("suffix").as_string_or("</w>"));
    if (suffix.empty()) return json.at("suffix").expected("a suffix");
    return std::make_unique<BpeDecoder>(std::string(suffix));
  }
  if (type == "Strip") {
    ASSIGN_OR_RETURN(const std::string_view content, json.at("content").as_string());
    ASSIGN_OR_RETURN(const int64_t start, json.at("start").as_int(0, 1 << 20));
    ASSIGN_OR_RETURN(const int64_t stop, json.at("stop").as_int(0, 1 << 20));
    if (content.empty()) return json.at("content").expected("a character");
    return std::make_unique<StripDecoder>(std::string(content), size_t(start), size_t(stop));
  }
  if (type == "Replace") {
    ASSIGN_OR_RETURN(Pattern pattern, Pattern::parse(json.at("pattern")));
    ASSIGN_OR_RETURN(const std::string_view content, json.at("content").as_string());
    return std::make_unique<ReplaceDecoder>(std::move(pattern), std::string(content));
  }
  return json.at("type").unsupported(str_cat("decoder \"", type, "\" is not supported"));
}

}  // namespace

std::optional<char> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const size_t digit = std::string_view("0123456789ABCDEFabcdef").find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<int>(digit < 16 ? digit : digit - 6);
  }
  return static_cast<char>(value);
}

Result<std::unique_ptr<const Decoder>> parse_decoder(const JsonField& json) { return parse(json, 0); }

}  // namespace rerank::text
