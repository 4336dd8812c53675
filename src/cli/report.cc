#include <cstdio>
#include <ctime>

#include <chrono>

#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"

namespace rerank {

int report(const Status& status) {
  std::fprintf(stderr, "rerankd: %s\n", std::string(message_of(status)).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? 2 : 1;
}

void log_to_stderr(std::string_view level) {
  const LogLevel least = level == "debug"     ? LogLevel::kDebug
                         : level == "warning" ? LogLevel::kWarning
                         : level == "error"   ? LogLevel::kError
                                              : LogLevel::kInfo;
  set_log_sink([least](LogLevel line_level, std::string_view message) {
    if (line_level < least) return;
    static constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char time[32];
    std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
    const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
    std::fprintf(stderr, "%s.%03dZ %s %.*s\n", time, static_cast<int>(millis), kNames[static_cast<int>(line_level)],
                 static_cast<int>(message.size()), message.data());
  });
}

}  // namespace rerank
