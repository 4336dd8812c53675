#include "eval/data/line_reader.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/strings.h"
#include "text/unicode/utf8.h"

namespace rerank::eval {

struct LineReader::State {
  ~State() {
    if (file != nullptr) gzclose(file);
  }
  // Into `line`, with its end. Not gzgets(): lines may hold zero bytes.
  bool read_line() {
    line.clear();
    while (true) {
      const std::string_view rest = std::string_view(bytes).substr(at);
      const size_t end = rest.find('\n');
      line += rest.substr(0, end == std::string_view::npos ? end : end + 1);
      at += std::min(rest.size(), end == std::string_view::npos ? end : end + 1);
      if (end != std::string_view::npos) return true;
      bytes.resize(piece);
      const int length = gzread(file, bytes.data(), static_cast<unsigned>(bytes.size()));
      bytes.resize(static_cast<size_t>(std::max(0, length)));
      at = 0;
      if (length > 0) continue;
      int code = Z_OK;
      const char* message = gzerror(file, &code);
      if (code != Z_OK && code != Z_STREAM_END) {
        status = absl::InvalidArgumentError(str_cat(path, ": ", std::string(message)));
        return false;
      }
      return !line.empty();
    }
  }

  static constexpr size_t kMostPiece = 256u << 10, kLeastPiece = 4u << 10;
  gzFile file = nullptr;
  size_t piece = kMostPiece;  // what is read at once: no more than a small file has
  std::string path, line;
  std::string bytes;  // read and not yet taken, from `at` on
  size_t at = 0;
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
  std::error_code error;
  if (const auto size = std::filesystem::file_size(path, error); !error)
    state->piece = std::clamp<size_t>(size, State::kLeastPiece, State::kMostPiece);
  gzbuffer(state->file, static_cast<unsigned>(state->piece));
  state->path = path;
  return LineReader(std::move(state));
}

bool LineReader::next(std::string_view& line) {
  State& s = *state_;
  if (!s.read_line()) return false;
  ++s.number;
  while (s.line.ends_with('\n') || s.line.ends_with('\r')) s.line.pop_back();
  if (s.number == 1 && s.line.starts_with("\xEF\xBB\xBF")) s.line.erase(0, 3);
  if (!text::is_valid_utf8(s.line)) s.line = text::repaired_utf8(s.line);
  line = s.line;
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

}  // namespace rerank::eval
