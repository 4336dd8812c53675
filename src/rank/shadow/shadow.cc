#include "rank/shadow/shadow.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "rank/shadow/agreement.h"

namespace rerank::rank {
namespace {

// Of larger requests so many documents are compared, evenly picked: bounds the time of one comparison.
constexpr size_t kMaxDocuments = 64;
// A sample that has waited so long for a moment without requests is scored concurrently: a server that is never idle
// must be measured too. It gives up next to nothing: these threads get a tenth of one core from it (that is what this
// nice value means to Linux), a tenth of the time.
constexpr std::chrono::seconds kPatience(2);
constexpr int kNice = 10;
constexpr int kRestBesideRequests = 9;  // times as long as the scoring took
constexpr std::chrono::milliseconds kLookAgain(5);
// When fewer of the last kRecent requests than this have the same first document, the log says so, once a minute.
constexpr size_t kRecent = 20;
constexpr double kAlarming = 0.9;
constexpr std::chrono::seconds kSayAgain(60);

struct Sample {
  RerankRequest request;
  std::vector<float> logits;  // as served, of its documents
  size_t bytes = 0;
  int64_t served_us = 0;
  TimePoint arrived = Clock::now();
};

struct ShadowMetrics {
  explicit ShadowMetrics(Metrics& m)
      : up(m.gauge("rerankd_shadow_up", "1: requests can be scored again; 0: not yet, or that engine failed.")),
        scored(m.counter("rerankd_shadow_requests_total", "Served requests that were scored again.")),
        same_first(m.counter("rerankd_shadow_same_top1_total", "Of those, the ones with the same first document.")),
        skipped(m.counter("rerankd_shadow_skipped_total", "Sampled requests not scored again: too much waited.")),
        failed(m.counter("rerankd_shadow_failures_total", "Sampled requests whose second scoring failed.")),
        tau(m.histogram("rerankd_shadow_kendall_tau", "Agreement of the order: 1 the same, -1 the opposite.",
                        {-0.5, 0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1})),
        difference(m.histogram("rerankd_shadow_logit_difference", "Largest difference of a logit in one request.",
                               {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10})),
        served_seconds(m.histogram("rerankd_shadow_served_seconds", "Time of sampled requests as they were served.",
                                   latency_buckets_seconds())),
        scored_seconds(
            m.histogram("rerankd_shadow_seconds", "Time of their second scoring.", latency_buckets_seconds())) {}
  Gauge& up;
  Counter &scored, &same_first, &skipped, &failed;
  Histogram &tau, &difference, &served_seconds, &scored_seconds;
};

class ShadowedReranker : public Reranker {
 public:
  ShadowedReranker(std::unique_ptr<Reranker> served, OpenShadow open, const ShadowOptions& options,
                   std::shared_ptr<Metrics> metrics)
      : served_(std::move(served)),
        options_(options),
        metrics_(std::move(metrics)),
        counts_(*metrics_),
        thread_([this, open = std::move(open)] { work(open); }) {}

  ~ShadowedReranker() override {
    served_.reset();  // finishes what was accepted
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
    ++in_flight_;
    std::shared_ptr<const RerankRequest> sampled = picked(*request) ? request : nullptr;
    served_->submit(std::move(request), [this, sampled = std::move(sampled), done = std::move(done)](auto result) {
      --in_flight_;
      if (sampled && result.ok()) keep(*sampled, *result);
      done(std::move(result));
    });
  }

  std::vector<Token> tokenize(std::string_view text, bool add_special_tokens) const override {
    return served_->tokenize(text, add_special_tokens);
  }
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special_tokens) const override {
    return served_->decode(ids, skip_special_tokens);
  }
  const ModelInfo& info() const override { return served_->info(); }
  bool ready() const override { return served_->ready(); }

 private:
  // Evenly: at a rate of 0.01 every hundredth request with something to compare.
  bool picked(const RerankRequest& request) {
    if (request.documents.size() < 2) return false;
    const auto number = static_cast<double>(++seen_);
    return std::floor(number * options_.rate) > std::floor((number - 1) * options_.rate);
  }

  // What was returned is compared, and stands before what was not: a request is not changed to be measured.
  void keep(const RerankRequest& request, const RerankResponse& response) {
    const std::vector<RankedDocument>& results = response.results;
    std::vector<float> logits(request.documents.size(), kNotReturned);
    for (const RankedDocument& document : results) logits[document.index] = document.logit;
    Sample sample;
    sample.request = settings_of(request);
    sample.served_us = response.timings.total_us;
    for (const size_t i : compared(request.documents.size(), results)) {
      sample.bytes += request.documents[i].size();
      sample.request.documents.push_back(request.documents[i]);
      sample.logits.push_back(logits[i]);
    }
    const std::lock_guard lock(mutex_);
    if (queued_bytes_ + sample.bytes > options_.max_queued_bytes || stopping_) return counts_.skipped.add();
    queued_bytes_ += sample.bytes;
    queue_.push_back(std::move(sample));
    wake_.notify_one();
  }

  // At most kMaxDocuments of them, in order: evenly picked, and the first few of the answer, where it was cut.
  static std::set<size_t> compared(size_t documents, const std::vector<RankedDocument>& results) {
    std::set<size_t> picks;
    if (results.size() < documents) {
      for (size_t k = 0; k < std::min(results.size(), kMaxDocuments / 2); ++k) picks.insert(results[k].index);
    }
    const size_t evenly = std::min(documents, kMaxDocuments - picks.size());
    for (size_t k = 0; k < evenly; ++k) picks.insert(k * documents / evenly);
    return picks;
  }

  // The request without its documents, and without what hurries it or makes it shallow.
  static RerankRequest settings_of(const RerankRequest& request) {
    RerankRequest settings;
    settings.query = request.query_text();
    settings.instruction = request.instruction;
    settings.truncate = request.truncate;
    settings.truncation_side = request.truncation_side;
    settings.max_length = request.max_length;
    settings.max_query_tokens = request.max_query_tokens;
    settings.max_document_tokens = request.max_document_tokens;
    settings.truncation = request.truncation;
    settings.chunk_overlap = request.chunk_overlap;
    settings.chunk_best = request.chunk_best;
    settings.max_chunks = request.max_chunks;
    settings.use_cache = false;
    return settings;
  }

  void work(const OpenShadow& open) {
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);  // of this thread, and of those it starts
    auto shadow = open();
    if (!shadow.ok()) {
      return log_error(str_cat("shadow scoring is off: ", message_of(shadow.status())));
    }
    const ModelInfo& info = (*shadow)->info();
    log_info(info.engine.empty() ? str_cat("shadow scoring: ", options_.by)
                                 : str_cat("shadow scoring: engine ", info.engine, ", precision ", info.precision,
                                           ", kernel ", info.kernel));
    counts_.up.set(1);
    for (Sample sample; next(sample);) {
      const bool busy = in_flight_ > 0;
      const TimePoint begin = Clock::now();
      compare(**shadow, std::move(sample));
      if (busy) rest_until_ = Clock::now() + kRestBesideRequests * (Clock::now() - begin);
    }
    counts_.up.set(0);
  }

  // The next sample, when it is its time. False: stopping.
  bool next(Sample& sample) {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return false;
      const TimePoint now = Clock::now();
      if (in_flight_ == 0 || (now - queue_.front().arrived > kPatience && now > rest_until_)) break;
      wake_.wait_for(lock, kLookAgain, [this] { return stopping_; });
    }
    sample = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= sample.bytes;
    return true;
  }

  void compare(Reranker& shadow, Sample&& sample) {
    const auto result = shadow.rerank(std::move(sample.request));
    if (!result.ok()) {
      log_debug(str_cat("shadow scoring failed: ", message_of(result.status())));
      return counts_.failed.add();
    }
    std::vector<float> reference(sample.logits.size());
    for (const RankedDocument& document : result->results) reference[document.index] = document.logit;
    const LogitAgreement found = compare_logits(sample.logits, reference);
    counts_.scored.add();
    if (found.same_first) counts_.same_first.add();
    counts_.tau.observe(found.kendall_tau);
    counts_.difference.observe(found.largest_difference);
    counts_.served_seconds.observe(static_cast<double>(sample.served_us) * 1e-6);
    counts_.scored_seconds.observe(static_cast<double>(result->timings.total_us) * 1e-6);
    warn(found.same_first);
  }

  // Also says it in the log, for those who do not look at metrics.
  void warn(bool same_first) {
    recent_.push_back(same_first);
    if (recent_.size() > kRecent) recent_.pop_front();
    const auto same = static_cast<double>(std::count(recent_.begin(), recent_.end(), true));
    if (recent_.size() < kRecent || same >= kAlarming * kRecent || Clock::now() < quiet_until_) return;
    quiet_until_ = Clock::now() + kSayAgain;
    log_warning(str_cat("shadow scoring: of the last ", kRecent, " sampled requests only ", same,
                        " have the same first document as when they are scored ", options_.by));
  }

  std::unique_ptr<Reranker> served_;
  const ShadowOptions options_;
  const std::shared_ptr<Metrics> metrics_;
  ShadowMetrics counts_;
  std::atomic<size_t> in_flight_{0};
  std::atomic<uint64_t> seen_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Sample> queue_;  // guarded by mutex_, as the next two are
  size_t queued_bytes_ = 0;
  bool stopping_ = false;
  std::deque<bool> recent_;  // of thread_ alone, as the next one is
  TimePoint quiet_until_{}, rest_until_{};
  std::thread thread_;  // the last: it uses the others
};

}  // namespace

std::unique_ptr<Reranker> with_shadow(std::unique_ptr<Reranker> served, OpenShadow open, const ShadowOptions& options,
                                      std::shared_ptr<Metrics> metrics) {
  return std::make_unique<ShadowedReranker>(std::move(served), std::move(open), options, std::move(metrics));
}

Options shadow_settings(Options options) {
  options.model.source.download_progress = nullptr;
  EngineOptions& engine = options.model.engine;
  engine.engine = EngineKind::kCpu;
  engine.onnx_file.clear();
  engine.precision = Precision::kFp32;
  engine.kernel = KernelTier::kAuto;
  engine.layers = 0;
  engine.target_agreement = engine.exit_keep = 0;
  engine.exits.clear();
  options.model.queue.max_batch_tokens = 1024;
  options.model.queue.max_queue_ms = 0;
  HostOptions& host = options.host;
  host.threads = host.tokenizer_threads = 1;
  host.caches.cache_bytes = host.caches.token_cache_bytes = 0;
  host.caches.cache_url.clear();
  host.watch.shadow_rate = 0;
  return options;
}

}  // namespace rerank::rank
