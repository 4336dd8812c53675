#include "transport/body.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "simdjson.h"
#include "transport/errors.h"

namespace rerank::transport {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr size_t kMaxFields = 1000;         // no client sends 50; keeps the search for a field short
constexpr size_t kMaxJoinedFields = 32;     // Cohere's documents have a handful
constexpr size_t kKeptCapacity = 4u << 20;  // parsers that a larger body has grown are not kept for the next
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

Body::Kind kind_of_element(const element& value) {
  switch (value.type()) {
    case element_type::STRING:
      return Body::Kind::kText;
    case element_type::INT64:
    case element_type::UINT64:
    case element_type::DOUBLE:
      return Body::Kind::kNumber;
    case element_type::BOOL:
      return Body::Kind::kBool;
    case element_type::ARRAY:
      return Body::Kind::kArray;
    case element_type::OBJECT:
      return Body::Kind::kObject;
    default:
      return Body::Kind::kAbsent;
  }
}

std::optional<std::string_view> string_of(const element& value) {
  std::string_view text;
  if (value.get_string().get(text)) return std::nullopt;
  return text;
}

std::optional<std::string_view> member_string(const element& object, std::string_view name) {
  element member;
  if (object.at_key(name).get(member)) return std::nullopt;
  return string_of(member);
}

// {"content": [{"type":"text","text":...}, ...]}: the parts joined by line breaks; nullopt if one is not text.
std::optional<std::string> join_parts(const element& content) {
  simdjson::dom::array parts;
  if (const auto text = string_of(content)) return std::string(*text);
  if (content.get_array().get(parts)) return std::nullopt;
  std::string joined;
  for (const element part : parts) {
    const auto text = part.is_object() ? member_string(part, "text") : string_of(part);
    if (!text) return std::nullopt;
    if (!joined.empty()) joined += '\n';
    joined += *text;
  }
  return joined;
}

// Joins named fields of objects by line breaks; those that are missing or no text are left out. An object's fields are
// gone through once, however many are named.
class FieldJoiner {
 public:
  explicit FieldJoiner(const Body::JoinedFields& fields) : fields_(fields), left_(fields.max_bytes) {
    for (size_t i = 0; i < fields.names.size(); ++i) first_of_.try_emplace(std::string_view(fields.names[i]), i);
  }
  bool wanted() const { return !fields_.names.empty(); }
  bool too_large() const { return too_large_; }

  std::string join(const element& object) {
    std::vector<std::optional<element>> members(fields_.names.size());
    for (const auto& [key, value] : simdjson::dom::object(object)) {
      const auto found = first_of_.find(key);
      if (found != first_of_.end() && !members[found->second]) members[found->second] = value;
    }
    std::vector<std::pair<std::string_view, std::string>> parts;  // a string of the body, or a number written anew
    size_t size = 0;
    for (const std::string& name : fields_.names) {
      const auto& member = members[first_of_.at(name)];
      if (!member) continue;
      const auto text = string_of(*member);
      if (!text && !member->is_number() && !member->is_bool()) continue;
      parts.emplace_back(text.value_or(""), text ? std::string() : simdjson::minify(*member));
      size += parts.back().first.size() + parts.back().second.size() + 1;
    }
    too_large_ |= size > left_;
    if (too_large_) return {};
    left_ -= size;
    std::string joined;
    joined.reserve(size);
    for (const auto& [text, number] : parts) {
      if (!joined.empty()) joined += '\n';
      joined.append(text).append(number);
    }
    return joined;
  }

 private:
  const Body::JoinedFields& fields_;
  std::unordered_map<std::string_view, size_t> first_of_;  // where a name stands for the first time
  size_t left_;
  bool too_large_ = false;
};

// Of an object that has one text, whatever its name is: not of one that is an image or the like, nor its id.
std::optional<std::string> only_string_of(const element& object) {
  std::optional<std::string_view> only;
  for (const auto& field : simdjson::dom::object(object)) {
    for (const char* media : {"image", "image_url", "video", "audio", "url"})
      if (field.key == media) return std::nullopt;
    if (field.key == "id" || field.key == "_id") continue;
    const auto text = string_of(field.value);
    if (text && only) return std::nullopt;
    if (text) only = text;
  }
  return only ? std::optional<std::string>(*only) : std::nullopt;
}

std::optional<std::string> text_of(const element& value, FieldJoiner* fields = nullptr) {
  if (const auto text = string_of(value)) return std::string(*text);
  if (!value.is_object()) return std::nullopt;
  if (fields && fields->wanted()) return fields->join(value);
  if (const auto text = member_string(value, "text")) return std::string(*text);
  element content;
  if (!value.at_key("content").get(content)) return join_parts(content);
  for (const char* name : {"page_content", "body", "value", "passage"}) {
    if (const auto text = member_string(value, name)) return std::string(*text);
  }
  return only_string_of(value);
}

using Pair = std::pair<std::string, std::string>;

std::optional<Pair> pair_of(const element& value) {
  simdjson::dom::array items;
  if (value.get_array().get(items) || items.size() != 2) return std::nullopt;
  const auto query = string_of(items.at(0).value_unsafe());
  const auto text = string_of(items.at(1).value_unsafe());
  if (!query || !text) return std::nullopt;
  return Pair(*query, *text);
}

std::optional<std::vector<int32_t>> ids_of(const element& value) {
  simdjson::dom::array items;
  if (value.get_array().get(items)) return std::nullopt;
  std::vector<int32_t> ids;
  for (const element item : items) {
    double id = 0;
    if (item.get_double().get(id) || id < 0 || id != std::floor(id)) return std::nullopt;
    ids.push_back(id > std::numeric_limits<int32_t>::max() ? -1 : static_cast<int32_t>(id));
  }
  return ids;
}

// What simdjson's error means to the author of a request.
std::string explain(simdjson::error_code error) {
  switch (error) {
    case simdjson::EMPTY:
      return "the body is empty; send a JSON object";
    case simdjson::UNCLOSED_STRING:
      return "the body is not valid JSON: a string is not closed";
    case simdjson::UNESCAPED_CHARS:
      return "the body is not valid JSON: a string holds a raw control character (write line breaks as \\n, NUL as "
             "\\u0000)";
    case simdjson::DEPTH_ERROR:
      return "the body is not accepted: nested deeper than 1024 levels";
    case simdjson::NUMBER_ERROR:
      return "the body is not valid JSON: a number is malformed or too large";
    case simdjson::STRING_ERROR:
      return "the body is not valid JSON: a string holds an escape that JSON does not have";
    case simdjson::MEMALLOC:
    case simdjson::CAPACITY:
      return "the body is too large to parse";
    default:
      return "the body is not valid JSON";
  }
}

// Parsers keep their buffers, so each thread keeps one.
std::unique_ptr<simdjson::dom::parser>& spare_parser() {
  thread_local std::unique_ptr<simdjson::dom::parser> parser;
  return parser;
}

simdjson::error_code parse_into(simdjson::dom::parser& parser, std::string& bytes, element& root) {
  const size_t skip = bytes.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  bytes.reserve(bytes.size() + simdjson::SIMDJSON_PADDING);
  return parser.parse(bytes.data() + skip, bytes.size() - skip, /*realloc_if_needed=*/false).get(root);
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return absl::ascii_tolower(x) == absl::ascii_tolower(y); });
}

struct Body::Impl {
  std::unique_ptr<simdjson::dom::parser> parser;
  std::vector<std::pair<std::string_view, element>> fields;

  Impl() : parser(std::move(spare_parser())) {
    if (!parser) parser = std::make_unique<simdjson::dom::parser>();
  }
  ~Impl() {
    if (parser->capacity() <= kKeptCapacity) spare_parser() = std::move(parser);
  }

  // "a.b": field b of the object in field a, unless a field has that name.
  std::optional<element> find(std::string_view name) const {
    for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
      if (field->first == name) return field->second;
    }
    const size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const auto parent = find(name.substr(0, dot));
    element child;
    if (!parent || !parent->is_object() || parent->at_key(name.substr(dot + 1)).get(child)) return std::nullopt;
    return child;
  }
};

Body::Body(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Body::Body(Body&&) noexcept = default;
Body& Body::operator=(Body&&) noexcept = default;
Body::~Body() = default;

Result<Body> Body::parse(std::string& bytes) {
  auto impl = std::make_unique<Impl>();
  element root;
  simdjson::error_code error = parse_into(*impl->parser, bytes, root);
  if (error == simdjson::UTF8_ERROR || error == simdjson::STRING_ERROR) {
    bytes = repair_text(bytes, /*escapes=*/true);
    error = parse_into(*impl->parser, bytes, root);
  }
  if (error == simdjson::NUMBER_ERROR) {
    bytes = repair_numbers(bytes);
    error = parse_into(*impl->parser, bytes, root);
  }
  if (error) return make_error(error == simdjson::EMPTY ? ErrorKind::kEmpty : ErrorKind::kMalformed, explain(error));
  simdjson::dom::object object;
  if (root.get_object().get(object)) return make_error(ErrorKind::kInvalid, "the body must be a JSON object");
  for (const auto& field : object) {
    if (impl->fields.size() == kMaxFields) {
      return make_error(ErrorKind::kInvalid, absl::StrFormat("the body has more than %d fields", kMaxFields));
    }
    impl->fields.emplace_back(field.key, field.value);
  }
  return Body(std::move(impl));
}

Body::Kind Body::kind(std::string_view name) const {
  const auto value = impl_->find(name);
  return value ? kind_of_element(*value) : Kind::kAbsent;
}

Body::Kind Body::first_element_kind(std::string_view name) const {
  const auto value = impl_->find(name);
  simdjson::dom::array items;
  if (!value || value->get_array().get(items) || items.begin() == items.end()) return Kind::kAbsent;
  return kind_of_element(*items.begin());
}

bool Body::has_key(std::string_view name) const { return impl_->find(name).has_value(); }

JsonField Body::at(std::string_view name) const {
  const auto value = impl_->find(name);
  return value ? JsonField(*value, std::string(name)) : JsonField(std::string(name));
}

void Body::fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

bool Body::flag(std::string_view name, bool fallback) {
  const auto value = impl_->find(name);
  if (!value || value->is_null()) return fallback;
  bool flag = false;
  if (!value->get_bool().get(flag)) return flag;
  // As servers read it that are made with pydantic.
  int64_t number = 0;
  if (!value->get_int64().get(number) && (number == 0 || number == 1)) return number == 1;
  if (const auto text = string_of(*value)) {
    if (text->empty()) return fallback;
    for (const char* word : {"true", "t", "yes", "y", "on", "1"}) {
      if (same_word(*text, word)) return true;
    }
    for (const char* word : {"false", "f", "no", "n", "off", "0"}) {
      if (same_word(*text, word)) return false;
    }
  }
  fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` must be true or false", name)));
  return fallback;
}

int64_t Body::integer(std::string_view name, int64_t fallback) {
  const auto value = impl_->find(name);
  if (!value || value->is_null()) return fallback;
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  int64_t whole = 0;
  double number = 0;
  if (!value->get_int64().get(whole)) return whole;
  if (value->is_uint64()) return kLargest;
  if (!value->get_double().get(number) && number == std::floor(number)) {
    if (number >= 9.2e18) return kLargest;
    if (number <= -9.2e18) return -kLargest;
    return static_cast<int64_t>(number);
  }
  if (const auto text = string_of(*value)) {
    if (text->empty()) return fallback;
    if (absl::SimpleAtoi(absl::string_view(text->data(), text->size()), &whole)) return whole;
  }
  fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` must be a whole number", name)));
  return fallback;
}

std::optional<double> Body::number(std::string_view name) const {
  const auto value = impl_->find(name);
  double number = 0;
  if (!value || value->get_double().get(number)) return std::nullopt;
  return number;
}

size_t Body::positive(std::string_view name) {
  const int64_t number = integer(name, 0);
  return number > 0 ? static_cast<size_t>(number) : 0;
}

std::string Body::word(std::string_view name) {
  const auto value = impl_->find(name);
  if (!value || value->is_null()) return {};
  if (const auto text = string_of(*value)) return std::string(*text);
  fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` must be a string", name)));
  return {};
}

std::string Body::text(std::string_view name) {
  const auto value = impl_->find(name);
  if (!value || value->is_null()) {
    fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` is missing: a string is required", name)));
    return {};
  }
  if (auto text = text_of(*value)) return *std::move(text);
  fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` must be a string or {\"text\": string}", name)));
  return {};
}

Body::JoinedFields Body::joined_fields(std::string_view name, size_t max_bytes) {
  JoinedFields fields{words(name), max_bytes};
  if (fields.names.size() <= kMaxJoinedFields) return fields;
  fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` names %d fields, more than the %d that may be joined",
                                                       name, fields.names.size(), kMaxJoinedFields)));
  return {};
}

std::vector<std::string> Body::texts(std::string_view name, size_t limit, const JoinedFields& fields) {
  std::vector<std::string> texts;
  FieldJoiner joiner(fields);
  const auto fail_if_too_large = [&] {
    if (!joiner.too_large()) return false;
    fail(
        make_error(ErrorKind::kBodyTooLarge,
                   absl::StrFormat("the fields that are joined make `%s` larger than %d bytes: name fewer fields, send "
                                   "fewer or shorter documents, or raise --max-body-bytes",
                                   name, fields.max_bytes)));
    return true;
  };
  const auto value = impl_->find(name);
  if (value && (value->is_string() || value->is_object())) {
    auto alone = text_of(*value, &joiner);
    if (fail_if_too_large()) return texts;
    if (alone) return {*std::move(alone)};
  }
  simdjson::dom::array items;
  if (!value || value->get_array().get(items)) {
    fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` must be an array of strings", name)));
    return texts;
  }
  if (!status_.ok()) return texts;
  size_t count = 0;
  for (auto item = items.begin(); item != items.end(); ++item) ++count;
  fail(check_count(name, count, limit));
  if (!status_.ok()) return texts;
  texts.reserve(count);
  for (const element item : items) {
    auto text = text_of(item, &joiner);
    if (fail_if_too_large()) break;
    if (!text) {
      fail(make_error(ErrorKind::kInvalid,
                      absl::StrFormat("`%s[%d]` must be a string or {\"text\": string}", name, texts.size())));
      break;
    }
    texts.push_back(*std::move(text));
  }
  return texts;
}

std::vector<std::pair<std::string, std::string>> Body::pairs(std::string_view name, size_t limit, bool* single) {
  std::vector<Pair> pairs;
  const auto value = impl_->find(name);
  simdjson::dom::array items;
  *single = false;
  if (value && !value->get_array().get(items) && items.size() <= limit) {
    if (auto pair = pair_of(*value)) {
      *single = true;
      return {*std::move(pair)};
    }
    for (const element item : items) {
      auto pair = pair_of(item);
      if (!pair) break;
      pairs.push_back(*std::move(pair));
    }
    if (!pairs.empty() && pairs.size() == items.size()) return pairs;
  }
  fail(make_error(ErrorKind::kInvalid,
                  absl::StrFormat("`%s` must be a pair [query, text], or an array of 1 to %d such pairs: "
                                  "this model scores pairs",
                                  name, limit)));
  return {};
}

std::vector<std::vector<int32_t>> Body::ids(std::string_view name, size_t limit) {
  const auto value = impl_->find(name);
  simdjson::dom::array items;
  std::vector<std::vector<int32_t>> lists;
  if (value && !value->get_array().get(items) && items.begin() != items.end()) {
    if (auto single = ids_of(*value)) return {*std::move(single)};
    for (const element item : items) {
      auto list = ids_of(item);
      if (!list || list->empty() || lists.size() == limit) break;
      lists.push_back(*std::move(list));
    }
    size_t count = 0;
    for (auto item = items.begin(); item != items.end(); ++item) ++count;
    if (lists.size() == count) return lists;
  }
  fail(make_error(
      ErrorKind::kInvalid,
      absl::StrFormat("`%s` must be an array of token ids (0 or more), or an array of 1 to %d such arrays, none of "
                      "them empty",
                      name, limit)));
  return {};
}

std::vector<std::string> Body::words(std::string_view name) {
  std::vector<std::string> words;
  const auto value = impl_->find(name);
  if (!value || value->is_null()) return words;
  simdjson::dom::array items;
  if (!value->get_array().get(items)) {
    for (const element item : items) {
      const auto text = string_of(item);
      if (!text) break;
      words.emplace_back(*text);
    }
    if (words.size() == items.size()) return words;
  }
  fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` must be an array of strings", name)));
  return {};
}

}  // namespace rerank::transport
