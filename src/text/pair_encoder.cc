#include "text/pair_encoder.h"

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/long_document.h"

namespace rerank::text {
namespace {

constexpr std::string_view kQuery = "{query}", kDocument = "{document}", kInstruction = "{instruction}", kApart = "{|}";

size_t count(std::string_view text, std::string_view mark) {
  size_t found = 0;
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + mark.size())) ++found;
  return found;
}

bool has(std::string_view text, std::string_view mark) { return text.find(mark) != text.npos; }

bool is_fixed(std::string_view text) { return !has(text, kQuery) && !has(text, kDocument) && !has(text, kInstruction); }

std::string replaced(std::string_view text, std::string_view mark, std::string_view by) {
  std::string out;
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark)) {
    out.append(text.substr(0, at)).append(by);
    text.remove_prefix(at + mark.size());
  }
  return out.append(text);
}

// `part` of a template divided where an added token stands: the token alone, and what is between.
std::vector<std::string_view> divided(std::string_view part, const std::vector<ControlToken>& tokens) {
  std::vector<std::string_view> out;
  size_t open = 0;
  for (size_t at = 0; at < part.size();) {
    size_t longest = 0;
    for (const ControlToken& token : tokens)
      if (part.substr(at).starts_with(token.text)) longest = std::max(longest, token.text.size());
    if (longest == 0) {
      ++at;
      continue;
    }
    if (open < at) out.push_back(part.substr(open, at - open));
    out.push_back(part.substr(at, longest));
    open = at += longest;
  }
  if (open < part.size()) out.push_back(part.substr(open));
  return out;
}

}  // namespace

std::shared_ptr<const PairEncoder> PairEncoder::plain(std::shared_ptr<const Tokenizer> tokenizer, std::string before) {
  std::shared_ptr<PairEncoder> encoder(new PairEncoder(std::move(tokenizer)));
  encoder->identity_ = encoder->query_before_ = std::move(before);
  return encoder;
}

Result<std::shared_ptr<const PairEncoder>> PairEncoder::with_prompt(std::shared_ptr<const Tokenizer> tokenizer,
                                                                    const PromptTemplate& prompt,
                                                                    const PromptSettings& settings) {
  std::shared_ptr<PairEncoder> encoder(new PairEncoder(std::move(tokenizer)));
  encoder->prompt_ = true;
  encoder->instruction_form_ = prompt.instruction_form;
  if (Status status = encoder->read_template(prompt); !status.ok())
    return with_context(status, str_cat("template ", prompt.name));
  encoder->default_instruction_ = settings.instruction.value_or(prompt.instruction);
  if (settings.instruction && !encoder->takes_instruction()) {
    return absl::InvalidArgumentError(str_cat("--instruction: template ", prompt.name, " takes none"));
  }
  if (settings.parse_special) encoder->as_text_.clear();
  encoder->identity_ = str_cat(prompt.text, "\n", prompt.instruction_form, "\n", encoder->default_instruction_,
                               settings.parse_special ? "\nspecial" : "");
  return encoder;
}

Status PairEncoder::read_template(const PromptTemplate& prompt) {
  const std::string_view text = prompt.text;
  for (const std::string_view mark : {kQuery, kDocument}) {
    if (const size_t n = count(text, mark); n != 1)
      return absl::InvalidArgumentError(str_cat("needs ", mark, " once, has it ", n, " times"));
  }
  if (has(text, kInstruction) != takes_instruction())
    return absl::InvalidArgumentError("has no {instruction} for the instruction that it takes");
  const std::vector<ControlToken> tokens = tokenizer_->added_tokens();
  for (const ControlToken& token : tokens) {
    if (!token.special && !has(text, token.text)) continue;
    as_text_.resize(std::max(as_text_.size(), size_t(token.id) + 1));
    as_text_[size_t(token.id)] = true;
  }
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(kApart, at), text.size());
    const std::string_view part = text.substr(at, end - at);
    at = end + kApart.size();
    if (is_fixed(part)) {
      add_fixed(part);
      continue;
    }
    for (const std::string_view segment : divided(part, tokens)) {
      if (is_fixed(segment)) {
        add_fixed(segment);
      } else {
        RETURN_IF_ERROR(add_segment(segment));
      }
    }
  }
  return ok_status();
}

void PairEncoder::add_fixed(std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer_->encode(text, ids);
  for (const int32_t id : ids) pieces_.pair.push_back({TemplatePiece::Kind::kSpecial, id, 0});
}

Status PairEncoder::add_segment(std::string_view segment) {
  if (has(segment, kQuery) && has(segment, kDocument)) {
    return absl::InvalidArgumentError(
        "{query} and {document} stand in one segment: put {|} between them, where no token reaches over");
  }
  if (has(segment, kDocument)) {
    if (has(segment, kInstruction))
      return absl::InvalidArgumentError("{instruction} stands beside {document}: it can only stand beside {query}");
    if (!segment.ends_with(kDocument)) {
      return absl::InvalidArgumentError(
          "text follows {document} in its segment, and would be cut with it: put {|} between them, where no token "
          "reaches over");
    }
    document_before_ = segment.substr(0, segment.size() - kDocument.size());
    pieces_.pair.push_back({TemplatePiece::Kind::kSecond, 0, 0});
    return ok_status();
  }
  if (!has(segment, kQuery)) return absl::InvalidArgumentError("{instruction} stands in no segment with {query}");
  query_segment_ = segment;
  pieces_.pair.push_back({TemplatePiece::Kind::kFirst, 0, 0});
  return ok_status();
}

std::string PairEncoder::query_part(std::string_view query, std::string_view instruction) const {
  const size_t at = query_segment_.find(kQuery);
  const std::string form = instruction.empty() ? "" : replaced(instruction_form_, kInstruction, instruction);
  const auto side = [&](std::string_view text) { return replaced(text, kInstruction, form); };
  const std::string_view segment = query_segment_;
  return side(segment.substr(0, at)).append(query).append(side(segment.substr(at + kQuery.size())));
}

Status PairEncoder::check_instruction(bool given) const {
  if (!given || takes_instruction()) return ok_status();
  return absl::InvalidArgumentError(
      prompt_
          ? "`instruction`: this model's template takes none: leave it out, or give the server a --template that has "
            "{instruction}"
          : "`instruction`: this model takes none: leave it out");
}

Result<bool> PairEncoder::encode_query(const QueryText& text, std::vector<int32_t>& ids) const {
  RETURN_IF_ERROR(check_instruction(text.instruction.has_value()));
  if (!prompt_) {
    if (query_before_.empty()) {
      tokenizer_->encode(text.query, ids);
    } else {
      tokenizer_->encode(str_cat(query_before_, text.query), ids);
    }
    return cut_to(ids, text.max_query_tokens, text.truncation);
  }
  const std::string_view instruction = text.instruction.value_or(default_instruction_);
  const TokenSet* as_text = as_text_.empty() ? nullptr : &as_text_;
  const size_t added = pieces_.added_to_pair();
  const size_t room = text.max_length > added ? text.max_length - added : 0;
  const size_t limit = std::min(room, text.max_length / 4 * 3);
  const auto encode = [&](std::string_view query) {
    ids.clear();
    tokenizer_->encode(query_part(query, instruction), as_text, ids);
  };
  encode(text.query);
  if (ids.size() <= limit && text.max_query_tokens == 0) return false;

  std::vector<int32_t> own;
  const std::vector<TextSpan> spans = tokenizer_->encode_spans(text.query, own);
  size_t keep = own.size();
  if (text.max_query_tokens != 0) keep = std::min(keep, text.max_query_tokens);
  if (ids.size() > limit) keep = std::min(keep, own.size() * limit / ids.size());
  if (keep == own.size()) return false;
  // The cut text may have more tokens than were counted: control tokens that are read as text, a word cut in two.
  while (true) {
    encode(text.query.substr(0, keep == 0 ? 0 : spans[keep - 1].end));
    if (ids.size() <= limit) return true;
    if (keep == 0) break;
    keep -= std::min(keep, 1 + (ids.size() - limit) * keep / ids.size());
  }
  return absl::OutOfRangeError(str_cat("the instruction and the template have ", ids.size() + added, " tokens: of the ",
                                       text.max_length, " of a pair they leave nothing for its texts"));
}

void PairEncoder::encode_document(std::string_view document, std::vector<int32_t>& ids) const {
  if (!prompt_) return tokenizer_->encode(document, ids);
  const TokenSet* as_text = as_text_.empty() ? nullptr : &as_text_;
  if (document_before_.empty()) return tokenizer_->encode(document, as_text, ids);
  tokenizer_->encode(str_cat(document_before_, document), as_text, ids);
}

}  // namespace rerank::text
