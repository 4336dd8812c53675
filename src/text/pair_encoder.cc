#include "text/pair_encoder.h"

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/chat/cuts.h"
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

}  // namespace

std::shared_ptr<const PairEncoder> PairEncoder::plain(std::shared_ptr<const Tokenizer> tokenizer, std::string before) {
  std::shared_ptr<PairEncoder> encoder(new PairEncoder(std::move(tokenizer)));
  encoder->identity_ = encoder->query_before_ = std::move(before);
  return encoder;
}

std::shared_ptr<const PairEncoder> PairEncoder::of_lists(std::shared_ptr<const Tokenizer> tokenizer,
                                                         const PromptTemplate& prompt, const PromptSettings& settings,
                                                         TokenSet as_text, std::vector<std::string> removed) {
  std::shared_ptr<PairEncoder> encoder(new PairEncoder(std::move(tokenizer)));
  encoder->name_ = prompt.name;
  encoder->instruction_form_ = prompt.instruction_form;
  encoder->default_instruction_ = settings.instruction.value_or(prompt.instruction);
  encoder->as_text_ = std::move(as_text);
  encoder->removed_ = std::move(removed);
  encoder->identity_ = str_cat(prompt.name, "\n", prompt.text, "\n", prompt.instruction_form, "\n",
                               encoder->default_instruction_, settings.parse_special ? "\nspecial" : "");
  return encoder;
}

Result<std::shared_ptr<const PairEncoder>> PairEncoder::with_prompt(std::shared_ptr<const Tokenizer> tokenizer,
                                                                    const PromptTemplate& prompt,
                                                                    const PromptSettings& settings) {
  std::shared_ptr<PairEncoder> encoder(new PairEncoder(std::move(tokenizer)));
  encoder->prompt_ = true;
  encoder->name_ = prompt.name;
  encoder->instruction_form_ = prompt.instruction_form;
  const auto where = str_cat("template ", prompt.name);
  if (Status status = encoder->read_template(prompt, prompt.text); !status.ok()) return with_context(status, where);
  if (Status status = encoder->read_without_instruction(prompt); !status.ok()) return with_context(status, where);
  encoder->default_instruction_ = settings.instruction.value_or(prompt.instruction);
  if (settings.instruction && !encoder->takes_instruction()) {
    return absl::InvalidArgumentError(str_cat("--instruction: template ", prompt.name, " takes none"));
  }
  if (settings.parse_special) encoder->as_text_.clear();
  encoder->identity_ = str_cat(prompt.text, "\n", prompt.instruction_form, "\n", encoder->default_instruction_,
                               prompt.without_instruction.empty() ? "" : str_cat("\n", prompt.without_instruction),
                               settings.parse_special ? "\nspecial" : "");
  return encoder;
}

Status PairEncoder::read_template(const PromptTemplate& prompt, std::string_view given) {
  std::string cut;
  for (const std::string_view mark : {kQuery, kDocument}) {
    if (const size_t n = count(given, mark); n != 1)
      return absl::InvalidArgumentError(str_cat("needs ", mark, " once, has it ", n, " times"));
  }
  if (has(given, kInstruction) != takes_instruction())
    return absl::InvalidArgumentError("has no {instruction} for the instruction that it takes");
  if (prompt.one_text) {
    ASSIGN_OR_RETURN(cut, with_cuts(*tokenizer_, given));
    given = cut;
  }
  const std::string_view text = given;
  const std::vector<ControlToken> tokens = tokenizer_->added_tokens();
  for (const ControlToken& token : tokens) {
    if (!token.special && !has(text, token.text)) continue;
    as_text_.resize(std::max(as_text_.size(), size_t(token.id) + 1));
    as_text_[size_t(token.id)] = true;
  }
  std::vector<Segment> segments;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(kApart, at), text.size());
    const std::string_view part = text.substr(at, end - at);
    at = end + kApart.size();
    if (is_fixed(part)) {
      segments.push_back({std::string(part), true});
      continue;
    }
    for (const std::string_view segment : divided(part, tokens))
      segments.push_back({std::string(segment), is_fixed(segment)});
  }
  return read_segments(segments, !prompt.without_instruction.empty());
}

// `front`: the query's part is all that stands before the document.
Status PairEncoder::read_segments(const std::vector<Segment>& segments, bool front) {
  const auto place_of = [&](std::string_view mark) {
    return static_cast<size_t>(
        std::ranges::find_if(segments, [&](const Segment& segment) { return has(segment.text, mark); }) -
        segments.begin());
  };
  const size_t query = place_of(kQuery), document = place_of(kDocument), instruction = place_of(kInstruction);
  if (query == document) {
    return absl::InvalidArgumentError(
        "{query} and {document} stand in one segment: put {|} between them, where no token reaches over");
  }
  if (instruction == document) {
    return absl::InvalidArgumentError("{instruction} stands beside {document}: it can only stand beside {query}");
  }
  const bool takes = instruction < segments.size();
  const size_t first = front   ? 0
                       : takes ? std::min(query, instruction)
                               : query,
               last = front   ? document - 1
                      : takes ? std::max(query, instruction)
                              : query;
  if (front ? query > document : first < document && document < last)
    return absl::InvalidArgumentError("{document} stands between {instruction} and {query}");
  for (size_t i = 0; i < segments.size(); ++i) {
    if (i == document) {
      RETURN_IF_ERROR(add_document(segments[i].text));
    } else if (i < first || i > last) {
      add_fixed(segments[i].text);
    } else {
      if (i == first) pieces_.pair.push_back({TemplatePiece::Kind::kFirst, 0, 0});
      query_part_.push_back(segments[i]);
    }
  }
  return ok_status();
}

// It is read as the whole template is, and must differ before the document alone.
Status PairEncoder::read_without_instruction(const PromptTemplate& prompt) {
  if (prompt.without_instruction.empty()) return ok_status();
  PairEncoder other(tokenizer_);
  RETURN_IF_ERROR(other.read_template(prompt, prompt.without_instruction));
  if (other.pieces_.pair != pieces_.pair || other.document_before_ != document_before_) {
    return absl::UnimplementedError("an instruction changes what stands after {query}, too");
  }
  bare_query_part_ = other.query_part_;
  return ok_status();
}

void PairEncoder::add_fixed(std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer_->encode(text, ids);
  for (const int32_t id : ids) pieces_.pair.push_back({TemplatePiece::Kind::kSpecial, id, 0});
}

Status PairEncoder::add_document(std::string_view segment) {
  if (!segment.ends_with(kDocument)) {
    return absl::InvalidArgumentError(
        "text follows {document} in its segment, and would be cut with it: put {|} between them, where no token "
        "reaches over");
  }
  document_before_ = segment.substr(0, segment.size() - kDocument.size());
  pieces_.pair.push_back({TemplatePiece::Kind::kSecond, 0, 0});
  return ok_status();
}

void PairEncoder::encode_query_part(std::string_view query, std::string_view instruction,
                                    std::vector<int32_t>& ids) const {
  const std::string form = instruction.empty() ? "" : replaced(instruction_form_, kInstruction, instruction);
  const TokenSet* as_text = as_text_.empty() ? nullptr : &as_text_;
  ids.clear();
  for (const Segment& segment : instruction.empty() && !bare_query_part_.empty() ? bare_query_part_ : query_part_) {
    if (segment.fixed) {
      tokenizer_->encode(segment.text, ids);
      continue;
    }
    // The query last: it may have the other's mark in it.
    const std::string_view text = segment.text;
    const size_t at = text.find(kQuery);
    std::string filled = replaced(text.substr(0, at), kInstruction, form);
    if (at != text.npos) filled.append(query).append(replaced(text.substr(at + kQuery.size()), kInstruction, form));
    tokenizer_->encode(filled, as_text, ids);
  }
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
    query_before_.empty() ? encode_alone(text.query, ids) : encode_alone(str_cat(query_before_, text.query), ids);
    return cut_to(ids, text.max_query_tokens, text.truncation);
  }
  const std::string_view instruction = text.instruction.value_or(default_instruction_);
  const size_t added = pieces_.added_to_pair();
  const size_t room = text.max_length > added ? text.max_length - added : 0;
  const size_t limit = std::min(room, text.max_length / 4 * 3);
  const auto encode = [&](std::string_view query) { encode_query_part(query, instruction, ids); };
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

std::string PairEncoder::cleaned(std::string_view text) const {
  std::string clean(text);
  for (const std::string& mark : removed_) clean = replaced(clean, mark, "");
  return clean;
}

void PairEncoder::encode_alone(std::string_view text, std::vector<int32_t>& ids) const {
  const TokenSet* as_text = as_text_.empty() ? nullptr : &as_text_;
  if (removed_.empty()) return tokenizer_->encode(text, as_text, ids);
  tokenizer_->encode(cleaned(text), as_text, ids);
}

void PairEncoder::encode_document(std::string_view document, std::vector<int32_t>& ids) const {
  if (!prompt_) return encode_alone(document, ids);
  const TokenSet* as_text = as_text_.empty() ? nullptr : &as_text_;
  if (document_before_.empty()) return tokenizer_->encode(document, as_text, ids);
  tokenizer_->encode(str_cat(document_before_, document), as_text, ids);
}

}  // namespace rerank::text
