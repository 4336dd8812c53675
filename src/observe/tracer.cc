#include "observe/tracer.h"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::observe {
namespace {

constexpr std::chrono::seconds kEvery(1);
constexpr size_t kRecordsAtOnce = 256;
constexpr int kTries = 3;
constexpr long kConnectMs = 2000, kPostMs = 5000;
constexpr std::chrono::seconds kSayAgain(60);

size_t ignore_answer(char*, size_t size, size_t count, void*) { return size * count; }

// One connection to the collector, kept open. One thread.
class Collector {
 public:
  Collector(const std::string& url, const std::vector<std::string>& headers) : curl_(curl_easy_init()) {
    headers_ = curl_slist_append(headers_, "Content-Type: application/json");
    headers_ = curl_slist_append(headers_, "Expect:");
    for (const std::string& header : headers) headers_ = curl_slist_append(headers_, header.c_str());
    curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, kPostMs);
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, ignore_answer);
  }
  ~Collector() {
    curl_slist_free_all(headers_);
    curl_easy_cleanup(curl_);
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Unavailable: trying again makes sense. Anything else: it does not.
  Status post(const std::string& body) {
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    const CURLcode code = curl_easy_perform(curl_);
    if (code != CURLE_OK) return absl::UnavailableError(curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2) return ok_status();
    const bool later = status == 429 || status == 502 || status == 503 || status == 504;
    const std::string reason = str_cat("the collector answers ", status);
    return later ? absl::UnavailableError(reason) : absl::InvalidArgumentError(reason);
  }

 private:
  CURL* curl_;
  curl_slist* headers_ = nullptr;
};

struct TracerMetrics {
  explicit TracerMetrics(Metrics& m)
      : sent(m.counter("rerankd_traces_sent_total", "Requests whose spans the collector has taken.")),
        dropped(m.counter("rerankd_traces_dropped_total", "Requests whose spans were given up.")) {}
  Counter &sent, &dropped;
};

class Tracer : public RequestObserver {
 public:
  Tracer(const TracerOptions& options, std::string url, std::vector<std::string> headers,
         std::shared_ptr<Metrics> metrics)
      : options_(options), url_(std::move(url)), headers_(std::move(headers)), metrics_(std::move(metrics)) {
    if (metrics_) counters_ = std::make_unique<TracerMetrics>(*metrics_);
    thread_ = std::thread([this] { work(); });
  }

  ~Tracer() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  void finished(const RequestRecord& record) override {
    if (!record.ranks || !wanted(record.trace)) return;
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= options_.max_queued) return dropped(1);
    queue_.push_back(record);
    if (queue_.size() == kRecordsAtOnce) wake_.notify_one();
  }

 private:
  // The caller decides, when it traces; else an even share.
  bool wanted(const TraceContext& trace) {
    if (!trace.trace_id.empty()) return trace.sampled;
    const auto number = static_cast<double>(++seen_);
    return std::floor(number * options_.rate) > std::floor((number - 1) * options_.rate);
  }

  void dropped(size_t count) {
    if (counters_) counters_->dropped.add(static_cast<double>(count));
  }

  void work() {
    Collector collector(url_, headers_);
    std::vector<RequestRecord> batch;
    while (take(batch)) {
      for (size_t first = 0; first < batch.size(); first += kRecordsAtOnce) {
        const auto part = std::span(batch).subspan(first, std::min(kRecordsAtOnce, batch.size() - first));
        send(collector, part);
      }
    }
  }

  // What has come within kEvery. False: stopping, and nothing is left.
  bool take(std::vector<RequestRecord>& batch) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, kEvery, [this] { return stopping_ || queue_.size() >= kRecordsAtOnce; });
    batch = std::exchange(queue_, {});
    return !stopping_ || !batch.empty();
  }

  void send(Collector& collector, std::span<const RequestRecord> records) {
    const std::string body = otlp_json(records, options_.service_name);
    Status status;
    for (int attempt = 0; attempt < kTries; ++attempt) {
      if (attempt > 0 && !pause(kEvery * attempt)) break;
      status = collector.post(body);
      if (!absl::IsUnavailable(status)) break;
    }
    if (status.ok()) {
      if (counters_) counters_->sent.add(static_cast<double>(records.size()));
      return;
    }
    dropped(records.size());
    if (Clock::now() < quiet_until_) return;
    quiet_until_ = Clock::now() + kSayAgain;
    log_warning(str_cat("traces are lost: --otlp-endpoint ", url_, ": ", message_of(status)));
  }

  // False: stopping.
  bool pause(std::chrono::seconds time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [this] { return stopping_; });
  }

  const TracerOptions options_;
  const std::string url_;
  const std::vector<std::string> headers_;
  const std::shared_ptr<Metrics> metrics_;
  std::unique_ptr<TracerMetrics> counters_;  // null without metrics
  std::atomic<uint64_t> seen_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<RequestRecord> queue_;  // guarded by mutex_, as is the next
  bool stopping_ = false;
  TimePoint quiet_until_{};  // of thread_ alone
  std::thread thread_;
};

// "a=b,c=d" as header lines.
Result<std::vector<std::string>> header_lines(std::string_view list) {
  std::vector<std::string> lines;
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    const size_t equals = item.find('=');
    if (equals == item.npos || equals == 0 || item.find_first_of("\r\n") != item.npos) {
      return absl::InvalidArgumentError("--otlp-headers: want name=value, several with commas between");
    }
    lines.push_back(str_cat(item.substr(0, equals), ": ", item.substr(equals + 1)));
  }
  return lines;
}

}  // namespace

Result<std::shared_ptr<RequestObserver>> make_tracer(const TracerOptions& options, std::shared_ptr<Metrics> metrics) {
  static const CURLcode kInitialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kInitialised != CURLE_OK) return absl::InternalError("libcurl cannot be initialised");
  std::string url = options.endpoint;
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    return absl::InvalidArgumentError(str_cat("--otlp-endpoint ", url, ": want an http:// or https:// URL"));
  }
  if (!(options.rate >= 0 && options.rate <= 1)) {
    return absl::InvalidArgumentError(str_cat("--trace-rate ", options.rate, ": want a share from 0 to 1"));
  }
  ASSIGN_OR_RETURN(auto headers, header_lines(options.headers));
  constexpr std::string_view kPath = "/v1/traces";
  while (url.ends_with('/')) url.pop_back();
  if (!url.ends_with(kPath)) url += kPath;
  return std::shared_ptr<RequestObserver>(
      std::make_shared<Tracer>(options, std::move(url), std::move(headers), std::move(metrics)));
}

}  // namespace rerank::observe
