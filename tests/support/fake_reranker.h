// A Reranker without a model, for tests of what stands before it. A document's logit is fake_logit(), so a test can
// work out every answer. By default it answers on the caller's thread; hold() keeps requests until release() or a
// thread answers them.
#pragma once

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rerank/reranker.h"

namespace rerank {

// Between -8 and 8, different for most documents, equal for equal ones.
inline float fake_logit(std::string_view query, std::string_view document) {
  uint32_t hash = 2166136261u;
  for (const std::string_view text : {query, std::string_view("\n"), document}) {
    for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619u;
  }
  return static_cast<float>(hash % 1601) / 100.0f - 8.0f;
}

inline float fake_sigmoid(float logit) { return 1.0f / (1.0f + std::exp(-logit)); }

class FakeReranker : public Reranker {
 public:
  using Job = std::pair<std::shared_ptr<const RerankRequest>, Done>;

  FakeReranker() {
    info_.id = "fake-reranker";
    info_.architecture = "FakeForSequenceClassification";
    info_.fingerprint = "00ff";
    info_.engine = "cpu";
    info_.precision = "fp32";
    info_.kernel = "portable";
    info_.threads = 2;
    info_.max_length = 512;
    info_.model_max_length = 8192;
    info_.parameters = 1000;
  }
  ~FakeReranker() override { release(); }

  void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
    {
      const std::lock_guard lock(mutex_);
      last_ = *request;
      last_.memory = nullptr;  // which would be held as long as this is
      ++submitted_;
      changed_.notify_all();
      if (throws_) throw std::runtime_error("thrown on purpose");
      if (held_) {
        jobs_.emplace_back(std::move(request), std::move(done));
        return;
      }
    }
    done(answer(*request));
  }

  // Of every answer from now on.
  void warn(std::string warning) {
    const std::lock_guard lock(mutex_);
    warnings_ = {std::move(warning)};
  }

  // From now on requests wait for release().
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }

  // Answers what waits, on this thread, and no longer holds.
  void release() {
    std::vector<Job> jobs;
    {
      const std::lock_guard lock(mutex_);
      held_ = false;
      jobs.swap(jobs_);
    }
    for (auto& [request, done] : jobs) done(answer(*request));
  }

  // From now on every request fails with this; nullopt ends it.
  void fail_with(std::optional<Status> status) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(status);
  }

  // From now on every request throws.
  void throw_always(bool throws) {
    const std::lock_guard lock(mutex_);
    throws_ = throws;
  }

  void set_ready(bool ready) {
    const std::lock_guard lock(mutex_);
    ready_ = ready;
  }

  void wait_for_submitted(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return submitted_ >= count; });
  }

  size_t submitted() const {
    const std::lock_guard lock(mutex_);
    return submitted_;
  }

  RerankRequest last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  ModelInfo& mutable_info() { return info_; }

  std::vector<Token> tokenize(std::string_view text, bool add_special_tokens) const override {
    std::vector<Token> tokens;
    if (add_special_tokens) tokens.push_back({1, "[CLS]", true});
    for (size_t i = 0; i < text.size(); ++i) {
      tokens.push_back({static_cast<unsigned char>(text[i]) + 10, std::string(1, text[i]), false, ByteRange{i, i + 1}});
    }
    if (add_special_tokens) tokens.push_back({2, "[SEP]", true});
    return tokens;
  }
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special_tokens) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (id < 10 && !skip_special_tokens) text += id == 1 ? "[CLS]" : "[SEP]";
      if (id >= 10) text += static_cast<char>(id - 10);
    }
    return text;
  }
  const ModelInfo& info() const override { return info_; }
  bool ready() const override {
    const std::lock_guard lock(mutex_);
    return ready_;
  }

 private:
  Result<RerankResponse> answer(const RerankRequest& request) {
    {
      const std::lock_guard lock(mutex_);
      if (failure_) return *failure_;
    }
    RerankResponse response;
    response.warnings = warnings_;
    for (size_t i = 0; i < request.documents.size(); ++i) {
      RankedDocument document;
      document.index = i;
      document.logit = fake_logit(request.query_text(), request.documents[i]);
      document.score = request.scale == ScoreScale::kLogit ? document.logit : fake_sigmoid(document.logit);
      document.tokens = 3 + static_cast<uint32_t>(request.query_text().size() + request.documents[i].size()) / 4;
      response.total_tokens += document.tokens;
      response.results.push_back(document);
    }
    std::stable_sort(response.results.begin(), response.results.end(),
                     [](const RankedDocument& a, const RankedDocument& b) { return a.score > b.score; });
    if (request.top_n && request.top_n < response.results.size()) response.results.resize(request.top_n);
    response.documents = request.documents.size();
    response.timings = {5000, 0, 1000, 1000, 3000};
    return response;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Job> jobs_;
  std::optional<Status> failure_;
  std::vector<std::string> warnings_;
  RerankRequest last_;
  size_t submitted_ = 0;
  bool held_ = false, throws_ = false;
  bool ready_ = true;
  ModelInfo info_;
};

}  // namespace rerank
