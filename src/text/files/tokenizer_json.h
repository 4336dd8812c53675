// Inside of tokenizer_files: what a folder says of its tokenizer, and the tokenizer.json that is written from it.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/json/reader.h"
#include "base/strings.h"
#include "rerank/status.h"

namespace rerank::text {

enum class TokenizerKind { kBert, kMpnet, kXlmRoberta, kDeberta, kAlbert };

// In the order in which transformers numbers tokens that no vocabulary has.
enum TokenRole { kBos, kEos, kUnk, kSep, kPad, kCls, kMask, kTokenRoles };
inline constexpr const char* kRoleFields[kTokenRoles] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                         "pad_token", "cls_token", "mask_token"};

struct SpecialToken {
  std::string text;
  bool lstrip = false, rstrip = false, single_word = false, normalized = false, special = true;
};

struct KindFacts {
  TokenizerKind kind;
  const char* file;
  std::array<const char*, kTokenRoles> tokens;  // what the class takes where nothing says otherwise; null: none
};

// A JSON object of the folder; an empty one where the file is not there.
struct TokenizerSettings {
  JsonFile json;

  Status load(const std::string& path);
  JsonField find(const char* field) const { return json.at(field); }
  Result<bool> boolean(const char* field, bool fallback) const;
  Status wrong(std::string_view field, std::string_view expected) const {
    return absl::InvalidArgumentError(str_cat(json.origin(), ": ", field, ": expected ", expected));
  }
};

// "[SEP]", or {"content": "[SEP]", "lstrip": false, ...}.
Result<SpecialToken> read_token(const TokenizerSettings& from, const JsonField& value, const std::string& field,
                                bool special = true);

struct TokenizerFolder {
  const KindFacts* facts = nullptr;
  TokenizerSettings config, special_map, added, model;

  // Before transformers had added_tokens_decoder, tokens stood in files of their own, which rule then.
  bool is_older() const { return config.find("added_tokens_decoder").is_null(); }
  JsonField find_special(const char* field, const TokenizerSettings*& from) const {
    from = is_older() && !special_map.find(field).is_null() ? &special_map : &config;
    return from->find(field);
  }
};

// `file` is the vocabulary.
Result<std::string> write_tokenizer_json(const TokenizerFolder& folder, const std::string& file);

}  // namespace rerank::text
