#include "base/log.h"

#include <memory>
#include <mutex>

namespace rerank {
namespace {

std::mutex sink_mutex;

std::shared_ptr<LogSink>& current_sink() {
  static auto* sink = new std::shared_ptr<LogSink>();  // never destroyed: threads may log while the process ends
  return *sink;
}

}  // namespace

void set_log_sink(LogSink sink) {
  std::lock_guard lock(sink_mutex);
  current_sink() = sink ? std::make_shared<LogSink>(std::move(sink)) : nullptr;
}

void log(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  std::shared_ptr<LogSink> sink;
  {
    std::lock_guard lock(sink_mutex);
    sink = current_sink();
  }
  if (sink) (*sink)(level, message, fields);
}

}  // namespace rerank
