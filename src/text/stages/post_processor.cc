#include "text/stages/post_processor.h"
#include "base/status_macros.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "text/models/vocabulary.h"

namespace rerank::text {
namespace {

using Kind = TemplatePiece::Kind;

constexpr int kMaxDepth = 32;  // of Sequences in Sequences

// ["[SEP]", 102]
Result<int32_t> parse_named_id(const JsonField& json) {
  ASSIGN_OR_RETURN(const auto items, json.as_array());
  if (items.size() != 2) return json.expected("[token, id]");
  ASSIGN_OR_RETURN(const int64_t id, items[1].as_int(0, kMaxTokenId));
  return int32_t(id);
}

// [CLS] A [SEP] and [CLS] A [SEP] B [SEP]
Result<PairTemplate> parse_bert(const JsonField& json) {
  ASSIGN_OR_RETURN(const int32_t cls, parse_named_id(json.at("cls")));
  ASSIGN_OR_RETURN(const int32_t sep, parse_named_id(json.at("sep")));
  PairTemplate out;
  out.single = {{Kind::kSpecial, cls, 0}, {Kind::kFirst, 0, 0}, {Kind::kSpecial, sep, 0}};
  out.pair = out.single;
  out.pair.push_back({Kind::kSecond, 0, 1});
  out.pair.push_back({Kind::kSpecial, sep, 1});
  return out;
}

// <s> A </s> and <s> A </s></s> B </s>, all in segment 0
Result<PairTemplate> parse_roberta(const JsonField& json) {
  ASSIGN_OR_RETURN(const int32_t cls, parse_named_id(json.at("cls")));
  ASSIGN_OR_RETURN(const int32_t sep, parse_named_id(json.at("sep")));
  PairTemplate out;
  out.single = {{Kind::kSpecial, cls, 0}, {Kind::kFirst, 0, 0}, {Kind::kSpecial, sep, 0}};
  out.pair = out.single;
  out.pair.push_back({Kind::kSpecial, sep, 0});
  out.pair.push_back({Kind::kSecond, 0, 0});
  out.pair.push_back({Kind::kSpecial, sep, 0});
  return out;
}

Result<std::vector<TemplatePiece>> parse_pieces(const JsonField& json, const JsonField& special_tokens) {
  std::vector<TemplatePiece> pieces;
  ASSIGN_OR_RETURN(const auto items, json.as_array());
  for (const JsonField& item : items) {
    const JsonField sequence = item.at("Sequence"), special = item.at("SpecialToken");
    const JsonField& piece = sequence.missing() ? special : sequence;
    if (piece.missing()) return item.expected("an object with \"Sequence\" or \"SpecialToken\"");
    ASSIGN_OR_RETURN(const std::string_view id, piece.at("id").as_string());
    ASSIGN_OR_RETURN(const int64_t type_id, piece.at("type_id").as_int(0, INT32_MAX));
    if (!sequence.missing()) {
      if (id != "A" && id != "B") return piece.at("id").expected("\"A\" or \"B\"");
      pieces.push_back({id == "A" ? Kind::kFirst : Kind::kSecond, 0, int32_t(type_id)});
      continue;
    }
    const JsonField token = special_tokens.at(id);
    if (token.missing()) return piece.at("id").error(str_cat("\"", id, "\" is not among the special_tokens"));
    ASSIGN_OR_RETURN(const auto ids, token.at("ids").as_array());
    for (const JsonField& one : ids) {
      ASSIGN_OR_RETURN(const int64_t value, one.as_int(0, kMaxTokenId));
      pieces.push_back({Kind::kSpecial, int32_t(value), int32_t(type_id)});
    }
  }
  return pieces;
}

bool has_kind(const std::vector<TemplatePiece>& pieces, Kind kind) {
  return std::any_of(pieces.begin(), pieces.end(), [&](const TemplatePiece& p) { return p.kind == kind; });
}

Result<PairTemplate> parse_template(const JsonField& json) {
  PairTemplate out;
  ASSIGN_OR_RETURN(out.single, parse_pieces(json.at("single"), json.at("special_tokens")));
  ASSIGN_OR_RETURN(out.pair, parse_pieces(json.at("pair"), json.at("special_tokens")));
  if (has_kind(out.single, Kind::kSecond)) return json.at("single").error("uses sequence B");
  if (!has_kind(out.pair, Kind::kFirst) || !has_kind(out.pair, Kind::kSecond)) {
    return json.at("pair").error("does not use both sequences");
  }
  return out;
}

// No value: the processor adds nothing.
Result<std::optional<PairTemplate>> parse(const JsonField& json, int depth) {
  if (json.is_null()) return std::nullopt;
  if (depth > kMaxDepth) return json.error("sequences are nested too deeply");
  ASSIGN_OR_RETURN(const std::string_view type, json.at("type").as_string());
  if (type == "ByteLevel") return std::nullopt;
  if (type == "TemplateProcessing") return parse_template(json);
  if (type == "BertProcessing") return parse_bert(json);
  if (type == "RobertaProcessing") return parse_roberta(json);
  if (type == "Sequence") {
    std::optional<PairTemplate> found;
    ASSIGN_OR_RETURN(const auto items, json.at("processors").as_array());
    for (const JsonField& item : items) {
      ASSIGN_OR_RETURN(auto one, parse(item, depth + 1));
      if (one && found) return item.unsupported("more than one processor that adds special tokens is not supported");
      if (one) found = std::move(one);
    }
    return found;
  }
  return json.at("type").unsupported(str_cat("post-processor \"", type, "\" is not supported"));
}

}  // namespace

Result<PairTemplate> parse_post_processor(const JsonField& json) {
  ASSIGN_OR_RETURN(auto found, parse(json, 0));
  if (found) return *std::move(found);
  PairTemplate plain;
  plain.single = {{Kind::kFirst, 0, 0}};
  plain.pair = {{Kind::kFirst, 0, 0}, {Kind::kSecond, 0, 1}};
  return plain;
}

}  // namespace rerank::text
