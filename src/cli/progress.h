// A progress line on stderr, drawn only when stderr is a terminal, at most ten times a second: how much is done, how
// fast, and how long the rest takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace rerank::cli {

// False: nothing is drawn from now on.
void show_progress(bool shown);

// Ends the line that is being drawn, if any, before something else is written to stderr. Thread-safe.
void end_progress_line();

class Progress {
 public:
  // `unit`: what is counted ("pairs"); bytes are shown in MB.
  Progress(std::string label, std::string unit);
  ~Progress();  // leaves the line as it is and ends it

  void update(uint64_t done, uint64_t total);  // total 0: not known

 private:
  void draw(uint64_t done, uint64_t total);
  std::string label_, unit_;
  bool terminal_;
  bool drawn_ = false;
  uint64_t first_ = 0;  // done when the first line was drawn: a download goes on where it was
  std::chrono::steady_clock::time_point begin_, last_;
};

}  // namespace rerank::cli
