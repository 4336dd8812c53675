#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
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

std::string duration(double seconds) {
  char text[64];
  if (seconds < 100) {
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else if (seconds < 6000) {
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  } else {
    std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
  }
  return text;
}

std::atomic<bool> shown_at_all = true;
std::atomic<bool> line_is_open = false;

}  // namespace

void show_progress(bool shown) { shown_at_all = shown; }

void end_progress_line() {
  if (line_is_open.exchange(false)) std::fputc('\n', stderr);
}

Progress::Progress(std::string label, std::string unit)
    : label_(std::move(label)), unit_(std::move(unit)), terminal_(::isatty(STDERR_FILENO) == 1), begin_(Clock::now()) {}

Progress::~Progress() {
  if (drawn_) end_progress_line();
}

void Progress::update(uint64_t done, uint64_t total) {
  if (!terminal_ || !shown_at_all) return;
  const auto now = Clock::now();
  if (drawn_ && now - last_ < std::chrono::milliseconds(100) && (total == 0 || done < total)) return;
  if (!drawn_) first_ = done;
  last_ = now;
  draw(done, total);
}

void Progress::draw(uint64_t done, uint64_t total) {
  const double seconds = std::max(1e-3, std::chrono::duration<double>(last_ - begin_).count());
  const double rate = static_cast<double>(done - std::min(done, first_)) / seconds;
  std::string bar;
  if (total > 0) {
    constexpr size_t kWidth = 24;
    const size_t full = std::min<size_t>(kWidth, kWidth * done / total);
    bar = " [" + std::string(full, '#') + std::string(kWidth - full, '.') + "]";
  }
  std::string text = label_ + bar + " " + amount(done, unit_);
  if (total > 0) text += " of " + amount(total, unit_);
  if (rate > 0) text += ", " + amount(static_cast<uint64_t>(rate), unit_) + "/s";
  if (total > done && rate > 0) text += ", " + duration(static_cast<double>(total - done) / rate) + " left";
  std::fprintf(stderr, "\r%s\033[K", text.c_str());
  line_is_open = true;
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace rerank::cli
