
#include <cstdio>
#include <ctime>

#include <chrono>

#include "absl/strings/str_format.h"
#include "base/json/writer.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/progress.h"

namespace rerank::cli {

int report(const Status& status) {
  end_progress_line();
  std::fprintf(stderr, "rerankd: %s\n", std::string(message_of(status)).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? 2 : 1;
}

namespace {

constexpr const char* kLevelNames[] = {"debug", "info", "warning", "error"};

std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char time[32];
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return absl::StrFormat("%s.%03dZ", time, millis);
}

std::string text_line(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  std::string line = str_cat(now_text(), " ", kLevelNames[static_cast<int>(level)], " ", message);
  for (const LogField& field : fields) line += str_cat(" ", field.name, "=", field.value);
  return line;
}

std::string json_line(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  JsonWriter out;
  const auto text = [&](std::string_view value) { out.value(value); };
  out.begin_object();
  out.key("time"), text(now_text());
  out.key("level"), text(kLevelNames[static_cast<int>(level)]);
  out.key("message"), text(message);
  for (const LogField& field : fields) {
    out.key(field.name);
    if (field.is_number) {
      out.number(field.value);
    } else {
      text(field.value);
    }
  }
  out.end_object();
  return out.take();
}

}  // namespace

void log_to_stderr(std::string_view level, std::string_view format) {
  const LogLevel least = level == "debug"     ? LogLevel::kDebug
                         : level == "warning" ? LogLevel::kWarning
                         : level == "error"   ? LogLevel::kError
                                              : LogLevel::kInfo;
  const auto make_line = format == "json" ? json_line : text_line;
  set_log_sink([least, make_line](LogLevel line_level, std::string_view message, std::span<const LogField> fields) {
    if (line_level < least) return;
    end_progress_line();
    std::fprintf(stderr, "%s\n", make_line(line_level, message, fields).c_str());
  });
}

}  // namespace rerank::cli
