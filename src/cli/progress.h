// A progress line on stderr, drawn only when stderr is a terminal, at most ten times a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace rerank::cli {

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
  std::chrono::steady_clock::time_point begin_, last_;
};

}  // namespace rerank::cli
