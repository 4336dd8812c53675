#include "observe/request_log.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/log.h"
#include "observe/bucket.h"

namespace rerank::observe {
namespace {

class RequestLog : public RequestObserver {
 public:
  explicit RequestLog(double rate) : good_(rate), failed_(rate) {}

  void finished(const RequestRecord& record) override {
    const bool refused = record.status >= 400;
    if (!record.ranks && !refused) return;  // health, metrics, pages: asked for all the time
    uint64_t skipped = 0;
    {
      const std::lock_guard lock(mutex_);
      if (!(refused ? failed_ : good_).take(Clock::now())) {
        ++skipped_;
        return;
      }
      std::swap(skipped, skipped_);
    }
    const LogLevel level = record.status >= 500 || record.status == 424 ? LogLevel::kWarning : LogLevel::kInfo;
    log(level, "request", fields(record, skipped));
  }

 private:
  static std::vector<LogField> fields(const RequestRecord& record, uint64_t skipped) {
    const bool http = !record.method.empty();
    std::vector<LogField> list = {{"transport", record.transport},
                                  {!http || record.is_dialect ? "dialect" : "route", record.label},
                                  {"reason", std::string(reason_of(record))}};
    const auto number = [&](const char* name, auto value) {
      list.push_back(LogField::number(name, std::to_string(value)));
    };
    const auto time = [&](const char* name, double milliseconds) {
      list.push_back(LogField::number(name, absl::StrFormat("%.2f", milliseconds)));
    };
    number("status", record.status);
    time("ms", std::chrono::duration<double, std::milli>(record.total).count());
    if (record.documents > 0) {
      time("queue_ms", static_cast<double>(record.timings.queue_us) * 1e-3);
      time("compute_ms", static_cast<double>(record.timings.compute_us) * 1e-3);
      number("documents", record.documents);
      number("tokens", record.tokens);
      number("cached", record.cached_documents);
      number("truncated", record.truncated_documents);
    }
    const auto text = [&](const char* name, const std::string& value) {
      if (!value.empty()) list.emplace_back(name, value);
    };
    text("field", record.field);
    text("method", record.method);
    text("path", record.path);
    text("model", record.model);
    text("peer", record.peer);
    text("key", record.key);
    text("agent", record.agent);
    text("id", record.id);
    if (!record.trace.trace_id.empty()) list.emplace_back("trace_id", record.trace.trace_id);
    if (skipped > 0) number("lines_left_out", skipped);
    return list;
  }

  std::mutex mutex_;
  Bucket good_, failed_;
  uint64_t skipped_ = 0;
};

}  // namespace

std::shared_ptr<RequestObserver> make_request_log(size_t lines_per_second) {
  return std::make_shared<RequestLog>(static_cast<double>(lines_per_second));
}

}  // namespace rerank::observe
