// The part of Jinja (https://jinja.palletsprojects.com) that chat templates of rerankers are written in, with the
// settings that transformers renders them with (trim_blocks, lstrip_blocks): text, {{ }}, set, if, for over lists;
// literals, names, attributes, indices, slices; arithmetic of texts and whole numbers, comparisons, tests; the filters
// selectattr, rejectattr, map(attribute=), first, last, list, default, trim, length, join, string; raise_exception().
// What else stands in a template is Unimplemented, by name: nothing is ever rendered otherwise than Jinja would.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank::text {

struct JinjaValue {
  enum class Kind { kUndefined, kNone, kBoolean, kNumber, kText, kList, kObject };
  Kind kind = Kind::kUndefined;
  bool boolean = false;
  int64_t number = 0;
  std::string text;
  std::vector<JinjaValue> items;             // of a list
  std::map<std::string, JinjaValue> fields;  // of an object

  static JinjaValue none();
  static JinjaValue of(bool value);
  static JinjaValue of(int64_t value);
  static JinjaValue of(std::string value);
  static JinjaValue list(std::vector<JinjaValue> items);
  static JinjaValue object(std::map<std::string, JinjaValue> fields);
};
using JinjaNames = std::map<std::string, JinjaValue>;

// Stand for texts that are not known yet, and are not empty: Unicode's noncharacters U+FDD0 to U+FDD2. They may be
// printed and joined; what would look into them, compare or change them is refused.
inline constexpr std::string_view kOpaqueTexts[] = {"\uFDD0", "\uFDD1", "\uFDD2"};

inline constexpr size_t kMaxTemplateBytes = 1u << 20;  // of a template, and of what it renders

// InvalidArgument or Unimplemented, saying what and in which line.
Result<std::string> render_jinja(std::string_view source, const JinjaNames& names);

}  // namespace rerank::text
