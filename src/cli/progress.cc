#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace rerank::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string amount(uint64_t n, const std::string& unit) {
  char text[64];
  if (unit == "bytes") {
    std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(n) / 1e6);
  } else {
    std::snprintf(text, sizeof text, "%llu %s", static_cast<unsigned long long>(n), unit.c_str());
  }
  return text;
}

}  // namespace

Progress::Progress(std::string label, std::string unit)
    : label_(std::move(label)), unit_(std::move(unit)), terminal_(::isatty(STDERR_FILENO) == 1), begin_(Clock::now()) {}

Progress::~Progress() {
  if (drawn_) std::fputc('\n', stderr);
}

void Progress::update(uint64_t done, uint64_t total) {
  if (!terminal_) return;
  const auto now = Clock::now();
  if (drawn_ && now - last_ < std::chrono::milliseconds(100) && (total == 0 || done < total)) return;
  last_ = now;
  draw(done, total);
}

void Progress::draw(uint64_t done, uint64_t total) {
  const double seconds = std::max(1e-3, std::chrono::duration<double>(last_ - begin_).count());
  const auto rate = static_cast<uint64_t>(static_cast<double>(done) / seconds);
  std::string bar;
  if (total > 0) {
    constexpr size_t kWidth = 24;
    const size_t full = std::min<size_t>(kWidth, kWidth * done / total);
    bar = " [" + std::string(full, '#') + std::string(kWidth - full, '.') + "]";
  }
  std::fprintf(stderr, "\r%s%s %s, %s/s\033[K", label_.c_str(), bar.c_str(), amount(done, unit_).c_str(),
               amount(rate, unit_).c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace rerank::cli
