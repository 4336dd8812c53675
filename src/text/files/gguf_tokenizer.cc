#include "text/files/gguf_tokenizer.h"

#include <cmath>
#include <filesystem>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/gguf/gguf.h"
#include "base/json/writer.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "text/files/sentencepiece_file.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

// What a text is cut into before the merges, as Qwen's tokenizer.json has it.
constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Token {
  std::string_view text;
  int type = SentencePiece::kNormal;
  double score = 0;
};

class Builder {
 public:
  Builder(const GgufFile& file, const std::string& path) : file_(file), path_(path) {}

  Result<std::string> build() {
    RETURN_IF_ERROR(read_tokens());
    const auto model = file_.text("tokenizer.ggml.model").value_or("?");
    const auto pre = file_.text("tokenizer.ggml.pre").value_or("?");
    out_.begin_object();
    if (model == "gpt2" && pre == "qwen2") {
      RETURN_IF_ERROR(qwen());
    } else if (model == "t5" && file_.text("general.architecture") == "bert") {
      RETURN_IF_ERROR(xlm_roberta());
    } else {
      return absl::UnimplementedError(str_cat(path_, ": its tokenizer (tokenizer.ggml.model ", model, ", pre ", pre,
                                              ") is not rebuilt: put the model's tokenizer.json beside it"));
    }
    out_.end_object();
    return out_.take();
  }

 private:
  // A file may give any numbers, also those that no integer holds.
  static bool is_byte(double number) { return number >= 0 && number <= 255 && number == std::floor(number); }
  Status wrong(std::string_view what) const { return absl::InvalidArgumentError(str_cat(path_, ": ", what)); }
  bool special(const Token& token) const { return token.type == SentencePiece::kControl; }
  bool added(const Token& token) const { return special(token) || token.type == SentencePiece::kUserDefined; }

  void field(const char* name, std::string_view value) {
    out_.key(name);
    out_.value(value);
  }
  void flag(const char* name, bool value) {
    out_.key(name);
    out_.value(value);
  }
  void start(std::string_view type) {
    out_.begin_object();
    field("type", type);
  }

  Status read_tokens() {
    bool valid = true;
    file_.each_text("tokenizer.ggml.tokens", [&](std::string_view text) {
      valid = valid && is_valid_utf8(text) && tokens_.size() < kMaxPieces;
      tokens_.push_back({text});
      return valid;
    });
    if (!valid || tokens_.empty()) return wrong("tokenizer.ggml.tokens is missing, too long, or not UTF-8");
    size_t at = 0;
    file_.each_number("tokenizer.ggml.token_type", [&](double type) {
      valid = is_byte(type);
      if (valid) tokens_[at].type = static_cast<int>(type);
      return valid && ++at < tokens_.size();
    });
    if (!valid) return wrong("tokenizer.ggml.token_type holds a number that is no type of a token");
    if (at != tokens_.size()) return wrong("tokenizer.ggml.token_type is missing, or too short");
    return ok_status();
  }

  void byte_level(const char* key) {
    out_.key(key);
    start("ByteLevel");
    byte_level_rest();
  }
  void byte_level_rest() {
    flag("add_prefix_space", false);
    flag("trim_offsets", false);
    flag("use_regex", false);
    out_.end_object();
  }

  Status qwen() {
    out_.key("normalizer");
    start("NFC");
    out_.end_object();
    out_.key("pre_tokenizer");
    start("Sequence");
    out_.key("pretokenizers");
    out_.begin_array();
    start("Split");
    out_.key("pattern");
    out_.begin_object();
    field("Regex", kQwenPattern);
    out_.end_object();
    field("behavior", "Isolated");
    flag("invert", false);
    out_.end_object();
    start("ByteLevel");
    byte_level_rest();
    out_.end_array();
    out_.end_object();
    byte_level("post_processor");
    byte_level("decoder");
    out_.key("model");
    start("BPE");
    out_.key("vocab");
    out_.begin_object();
    for (size_t id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id].type != SentencePiece::kNormal) continue;
      out_.key(std::string(tokens_[id].text).c_str());
      out_.value(id);
    }
    out_.end_object();
    out_.key("merges");
    out_.begin_array();
    bool valid = true;
    const bool there = file_.each_text("tokenizer.ggml.merges", [&](std::string_view merge) {
      valid = valid && is_valid_utf8(merge);
      if (valid) out_.value(merge);
      return valid;
    });
    if (!there || !valid) return wrong("tokenizer.ggml.merges is missing, or not UTF-8");
    out_.end_array();
    out_.end_object();
    write_added(false);
    return ok_status();
  }

  Status xlm_roberta() {
    size_t at = 0;
    file_.each_number("tokenizer.ggml.scores", [&](double score) {
      tokens_[at].score = score;
      return ++at < tokens_.size();
    });
    if (at != tokens_.size()) return wrong("tokenizer.ggml.scores is missing, or too short");
    constexpr std::string_view kFirst[] = {"<s>", "<pad>", "</s>", "<unk>"};
    for (size_t i = 0; i < std::size(kFirst); ++i) {
      if (i >= tokens_.size() || tokens_[i].text != kFirst[i])
        return absl::UnimplementedError(str_cat(path_,
                                                ": its tokens do not begin as XLM-RoBERTa's: put the model's "
                                                "tokenizer.json beside it"));
    }
    out_.key("normalizer");
    std::string charsmap;
    bool valid = true;
    file_.each_number("tokenizer.ggml.precompiled_charsmap", [&](double byte) {
      if (byte < 0) byte += 256;  // written as int8
      valid = is_byte(byte);
      if (valid) charsmap.push_back(static_cast<char>(static_cast<int>(byte)));
      return valid;
    });
    if (!valid) return wrong("tokenizer.ggml.precompiled_charsmap holds a number that is no byte");
    if (charsmap.empty()) {
      out_.null();
    } else {
      start("Precompiled");
      field("precompiled_charsmap", absl::Base64Escape(charsmap));
      out_.end_object();
    }
    out_.key("pre_tokenizer");
    start("Sequence");
    out_.key("pretokenizers");
    out_.begin_array();
    start("WhitespaceSplit");
    out_.end_object();
    metaspace();
    out_.end_array();
    out_.end_object();
    write_template();
    out_.key("decoder");
    metaspace();
    out_.key("model");
    start("Unigram");
    out_.key("unk_id");
    out_.value(3);
    flag("byte_fallback", false);
    out_.key("vocab");
    out_.begin_array();
    for (const Token& token : tokens_) {
      if (!std::isfinite(token.score)) return wrong("tokenizer.ggml.scores has one that is no number");
      out_.begin_array();
      out_.value(token.text);
      out_.value(special(token) || token.type == SentencePiece::kUnknown ? 0 : token.score);
      out_.end_array();
    }
    out_.end_array();
    out_.end_object();
    write_added(true);
    return ok_status();
  }

  void metaspace() {
    start("Metaspace");
    field("replacement", "\xE2\x96\x81");
    field("prepend_scheme", "always");
    flag("split", true);
    out_.end_object();
  }

  // <s> A </s> </s> B </s>
  void write_template() {
    const auto part = [&](const char* what, std::string_view id) {
      out_.begin_object();
      out_.key(what);
      out_.begin_object();
      field("id", id);
      out_.key("type_id");
      out_.value(0);
      out_.end_object();
      out_.end_object();
    };
    out_.key("post_processor");
    start("TemplateProcessing");
    for (const bool pair : {false, true}) {
      out_.key(pair ? "pair" : "single");
      out_.begin_array();
      part("SpecialToken", "<s>");
      part("Sequence", "A");
      part("SpecialToken", "</s>");
      if (pair) part("SpecialToken", "</s>");
      if (pair) part("Sequence", "B");
      if (pair) part("SpecialToken", "</s>");
      out_.end_array();
    }
    out_.key("special_tokens");
    out_.begin_object();
    for (const auto& [name, id] : {std::pair{"<s>", 0}, std::pair{"</s>", 2}}) {
      out_.key(name);
      out_.begin_object();
      field("id", name);
      out_.key("ids");
      out_.begin_array();
      out_.value(id);
      out_.end_array();
      out_.key("tokens");
      out_.begin_array();
      out_.value(name);
      out_.end_array();
      out_.end_object();
    }
    out_.end_object();
    out_.end_object();
  }

  // `unknown`: that token too is one of them, and "<mask>" takes the blank before it.
  void write_added(bool unknown) {
    out_.key("added_tokens");
    out_.begin_array();
    for (size_t id = 0; id < tokens_.size(); ++id) {
      const Token& token = tokens_[id];
      if (!added(token) && !(unknown && token.type == SentencePiece::kUnknown)) continue;
      const bool mask = unknown && token.text == "<mask>";
      out_.begin_object();
      out_.key("id");
      out_.value(id);
      field("content", token.text);
      flag("single_word", false);
      flag("lstrip", mask);
      flag("rstrip", false);
      flag("normalized", false);
      flag("special", token.type != SentencePiece::kUserDefined || mask);
      out_.end_object();
    }
    out_.end_array();
  }

  const GgufFile& file_;
  const std::string& path_;
  std::vector<Token> tokens_;
  JsonWriter out_;
};

}  // namespace

Result<std::string> gguf_tokenizer_json(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
  auto file = GgufFile::parse(mapped.bytes());
  if (!file.ok()) return with_context(file.status(), path);
  return Builder(*file, path).build();
}

std::string gguf_of(const std::string& folder) {
  if (folder.ends_with(".gguf")) return folder;
  std::error_code error;
  std::string found;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".gguf") continue;
    if (!found.empty()) return "";
    found = entry.path().string();
  }
  return found;
}

}  // namespace rerank::text
