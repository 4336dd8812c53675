
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include <chrono>

#include "absl/strings/str_format.h"
#include "base/json/repair.h"
#include "base/json/writer.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/environment.h"
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

// As it is, or in quotes where it would not be one word.
std::string quoted_where_needed(const std::string& value) {
  const auto plain = [](unsigned char c) { return c > 0x20 && c != '"' && c != '=' && c != 0x7f; };
  if (!value.empty() && std::all_of(value.begin(), value.end(), plain)) return value;
  JsonWriter out;
  out.value(std::string_view(repair_text(value, /*escapes=*/false)));
  return out.take();
}

// systemd's journal keeps time and priority itself (sd-daemon(3)): "<4>" is a warning.
std::string journal_line(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  constexpr const char* kPriorities[] = {"<7>", "<6>", "<4>", "<3>"};
  std::string line = str_cat(kPriorities[static_cast<int>(level)], message);
  for (const LogField& field : fields) line += str_cat(" ", field.name, "=", quoted_where_needed(field.value));
  return line;
}

// Whether stderr is the journal's: systemd says which file that is.
bool writes_to_journal() {
  struct stat file {};
  if (::fstat(STDERR_FILENO, &file) != 0) return false;
  return variable("JOURNAL_STREAM") == str_cat(file.st_dev, ":", file.st_ino);
}

std::string text_line(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  std::string line = str_cat(now_text(), " ", kLevelNames[static_cast<int>(level)], " ", message);
  for (const LogField& field : fields) line += str_cat(" ", field.name, "=", quoted_where_needed(field.value));
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
      text(repair_text(field.value, /*escapes=*/false));
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
  const auto make_line = format == "json" ? json_line : writes_to_journal() ? journal_line : text_line;
  set_log_sink([least, make_line](LogLevel line_level, std::string_view message, std::span<const LogField> fields) {
    if (line_level < least) return;
    end_progress_line();
    std::fprintf(stderr, "%s\n", make_line(line_level, message, fields).c_str());
  });
}

}  // namespace rerank::cli
