#include "eval/data/line_reader.h"

#include <zlib.h>

#include <charconv>
#include <cmath>

#include "base/strings.h"

namespace rerank::eval {

struct LineReader::State {
  ~State() {
    if (file != nullptr) gzclose(file);
  }
  gzFile file = nullptr;
  std::string path, line;
  size_t number = 0;
  Status status;
};

LineReader::LineReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

Result<LineReader> LineReader::open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->file = gzopen(path.c_str(), "rb");
  if (state->file == nullptr) return absl::NotFoundError(str_cat(path, ": cannot open"));
  gzbuffer(state->file, 256u << 10);
  state->path = path;
  return LineReader(std::move(state));
}

bool LineReader::next(std::string_view& line) {
  State& s = *state_;
  s.line.clear();
  char part[8192];
  while (gzgets(s.file, part, sizeof part) != nullptr) {
    s.line += part;
    if (s.line.ends_with('\n')) break;
  }
  int code = Z_OK;
  const char* message = gzerror(s.file, &code);
  if (code != Z_OK && code != Z_STREAM_END) {
    s.status = absl::InvalidArgumentError(str_cat(s.path, ": ", std::string(message)));
    return false;
  }
  if (s.line.empty()) return false;
  ++s.number;
  while (s.line.ends_with('\n') || s.line.ends_with('\r')) s.line.pop_back();
  line = s.line;
  if (s.number == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  return true;
}

Status LineReader::status() const { return state_->status; }
std::string LineReader::where() const { return str_cat(state_->path, ":", state_->number); }

std::vector<std::string_view> split_fields(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  for (;;) {
    const size_t end = line.find(separator);
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> split_words(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const size_t end = line.find_first_of(" \t");
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return words;
    line.remove_prefix(end);
  }
}

bool parse_number(std::string_view text, double& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

bool parse_integer(std::string_view text, long& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace rerank::eval
