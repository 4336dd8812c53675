// Log lines for operators. The library writes nothing by itself: a program installs a sink (cli does); until then lines
// are dropped. Thread-safe. Never log query or document text.
#pragma once

#include <functional>
#include <string_view>

namespace rerank {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogSink = std::function<void(LogLevel, std::string_view message)>;

void set_log_sink(LogSink sink);  // an empty sink drops lines again
void log(LogLevel level, std::string_view message);

inline void log_debug(std::string_view message) { log(LogLevel::kDebug, message); }
inline void log_info(std::string_view message) { log(LogLevel::kInfo, message); }
inline void log_warning(std::string_view message) { log(LogLevel::kWarning, message); }
inline void log_error(std::string_view message) { log(LogLevel::kError, message); }

}  // namespace rerank
