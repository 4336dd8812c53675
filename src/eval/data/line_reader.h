// Lines of a text file, plain or gzipped (seen from its bytes, not from its name).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank::eval {

class LineReader {
 public:
  // NotFound naming the path.
  static Result<LineReader> open(const std::string& path);
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;
  ~LineReader();

  // The next line without its end (LF or CR LF), without a byte order mark before the first; bytes that are not UTF-8
  // read as U+FFFD. Valid until the next call. False at the end of the file or at an error.
  bool next(std::string_view& line);

  // What stopped next(): OK at the end of the file, InvalidArgument for one that is cut short or damaged.
  Status status() const;

  // "path:12", the line that next() gave last.
  std::string where() const;

 private:
  struct State;
  explicit LineReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The parts of a line between `separator`s; empty parts are kept.
std::vector<std::string_view> split_fields(std::string_view line, char separator);

// The parts of a line between runs of blanks and tabs.
std::vector<std::string_view> split_words(std::string_view line);

// A whole text; false when `text` is not wholly a number.
bool parse_number(std::string_view text, double& value);

}  // namespace rerank::eval
