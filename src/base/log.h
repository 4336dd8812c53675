// Log lines for operators. The library writes nothing by itself: a program installs a sink (cli does); until then lines
// are dropped. Thread-safe. Never log query or document text.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rerank {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// What a line says besides its message, for machines.
struct LogField {
  const char* name;
  std::string value;
  bool is_number = false;  // else it is text

  LogField(const char* field, std::string text) : name(field), value(std::move(text)) {}
  static LogField number(const char* field, std::string digits) {
    LogField made(field, std::move(digits));
    made.is_number = true;
    return made;
  }
};

using LogSink = std::function<void(LogLevel, std::string_view message, std::span<const LogField> fields)>;

void set_log_sink(LogSink sink);  // an empty sink drops lines again
void log(LogLevel level, std::string_view message, std::span<const LogField> fields = {});

inline void log_debug(std::string_view message) { log(LogLevel::kDebug, message); }
inline void log_info(std::string_view message) { log(LogLevel::kInfo, message); }
inline void log_warning(std::string_view message) { log(LogLevel::kWarning, message); }
inline void log_error(std::string_view message) { log(LogLevel::kError, message); }

}  // namespace rerank
