// The lines that a command reads.
#pragma once

#include <cstddef>
#include <fstream>
#include <iostream>
#include <string>

#include "rerank/status.h"

namespace rerank::cli {

// A file, or stdin for "-". One reader for all commands: lines end in LF or CR LF, a byte order mark at the beginning
// is no text, and bytes that are not UTF-8 read as U+FFFD, as over HTTP.
class TextInput {
 public:
  // NotFound, naming the flag, when the file cannot be opened.
  Status open(const std::string& flag, const std::string& name);

  // The next line, without its end. False at the end.
  bool next(std::string& line);
  // The next line that is not blank.
  bool next_text(std::string& line);
  // Of the line that was read last, from 1.
  size_t number() const { return number_; }

 private:
  std::ifstream file_;
  std::istream* in_ = &std::cin;
  size_t number_ = 0;
};

}  // namespace rerank::cli
