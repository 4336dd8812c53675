#include "cli/text_input.h"

#include "base/strings.h"
#include "text/unicode/utf8.h"

namespace rerank::cli {

Status TextInput::open(const std::string& flag, const std::string& name) {
  if (name == "-") return ok_status();
  file_.open(name);
  if (!file_) return absl::NotFoundError(str_cat(flag, " ", name, ": cannot open"));
  in_ = &file_;
  return ok_status();
}

bool TextInput::next(std::string& line) {
  if (!std::getline(*in_, line)) return false;
  if (++number_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  if (line.ends_with('\r')) line.pop_back();
  if (!text::is_valid_utf8(line)) line = text::repaired_utf8(line);
  return true;
}

bool TextInput::next_text(std::string& line) {
  while (next(line)) {
    if (line.find_first_not_of(" \t") != std::string::npos) return true;
  }
  return false;
}

}  // namespace rerank::cli
