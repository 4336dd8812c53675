// The service over a recorded model: text to scores as transformers gives them, and what happens to odd requests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <mutex>
#include <thread>

#include "base/metrics.h"
#include "rank/host.h"
#include "rank/rank_test.h"
#include "rerank/reranker.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank::rank {
namespace {

TEST(RerankTest, TextToLogitsAsTransformers) {
  const double tolerance = testing::tolerance(EngineKind::kCpu, Precision::kFp32).recorded;
  for (const std::string& folder : testing::golden_models()) {
    auto reranker = open(folder);
    for (const auto& pair : testing::read_golden_pairs(folder)) {
      auto response = reranker->rerank({.query = pair.query, .documents = {pair.document}});
      ASSERT_TRUE(response.ok()) << response.status();
      const RankedDocument& r = response->results.at(0);
      EXPECT_NEAR(r.logit, pair.logit, tolerance) << folder << ": " << pair.document.substr(0, 40);
      EXPECT_EQ(r.tokens, pair.ids.size());
      EXPECT_NEAR(r.score, 1 / (1 + std::exp(-pair.logit)), tolerance);
    }
  }
}

TEST(RerankTest, TextsThatTheModelDoesNotKnowAreTold) {
  auto reranker = open(bert());
  const auto warnings = [&](const char* query, std::vector<std::string> documents) {
    auto response = reranker->rerank({.query = query, .documents = std::move(documents)});
    EXPECT_TRUE(response.ok()) << response.status();
    return response->warnings;
  };
  EXPECT_THAT(warnings("what is a panda", {"a bear", "the giant panda \u2603"}), ::testing::IsEmpty());
  EXPECT_THAT(
      warnings("\u0e2b\u0e21\u0e35 \u0e04\u0e37\u0e2d", {"\u0e2b\u0e21\u0e35", "\u0e2a\u0e31\u0e15\u0e27\u0e4c"}),
      ::testing::ElementsAre(::testing::HasSubstr("100 % of the tokens are unknown to bert-a")));
  EXPECT_THAT(warnings("", {""}), ::testing::IsEmpty());
}

// Counts what requests hold, and has room for so much.
class Account : public MemoryAccount {
 public:
  explicit Account(size_t room) : room_(room) {}
  Status add(size_t bytes) override {
    const std::lock_guard lock(mutex_);
    if (held_ + bytes > room_) return absl::ResourceExhaustedError("no room");
    most_ = std::max(most_, held_ += bytes);
    return ok_status();
  }
  void remove(size_t bytes) override {
    const std::lock_guard lock(mutex_);
    held_ -= bytes;
  }
  size_t most() const { return most_; }
  size_t held() const {
    const std::lock_guard lock(mutex_);
    return held_;
  }

 private:
  const size_t room_;
  mutable std::mutex mutex_;
  size_t held_ = 0, most_ = 0;
};

TEST(RerankTest, PairsOfALongQueryAreCounted) {
  auto reranker = open(bert(), [](Options& o) { o.model.queue.max_documents = 20000; });
  std::string query;
  for (int i = 0; i < 200; ++i) query += "panda ";
  for (const size_t room : {size_t{100} << 10, size_t{100} << 20}) {
    const auto account = std::make_shared<Account>(room);
    RerankRequest request{.query = query, .documents = std::vector<std::string>(2000, "a")};
    request.memory = account;
    const auto response = reranker->rerank(request);
    EXPECT_EQ(response.ok(), room > size_t{1} << 20) << response.status();
    if (response.ok()) {
      EXPECT_GT(account->most(), 2000u * 60 * 8) << "some tens of tokens in each of 2000 pairs";
    }
    while (account->held() != 0) std::this_thread::yield();  // given back once the answer has been taken
  }
}

// U+FDFA has 3 bytes, and becomes 18 letters.
TEST(RerankTest, TextsThatBecomeLongerAreCounted) {
  auto reranker = open(RERANKD_SOURCE_DIR "/tests/data/models/xlm-roberta-a");
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "\xEF\xB7\xBA";
  const auto ask = [&](size_t room, const std::string& document) {
    RerankRequest request{.query = "q", .documents = {document}};
    request.memory = std::make_shared<Account>(room);
    return reranker->rerank(request).status();
  };
  EXPECT_TRUE(absl::IsResourceExhausted(ask(size_t{4} << 20, text)));
  EXPECT_TRUE(ask(size_t{256} << 20, text).ok());
  EXPECT_TRUE(ask(size_t{64} << 10, std::string(text.size(), 'a')).ok()) << "a plain text of the same size";
}

TEST(RerankTest, ManyRequestsAtOnceGetTheirOwnAnswers) {
  const auto pairs = testing::read_golden_pairs(bert());
  auto reranker = open(bert(), [](Options& o) { o.model.queue.max_batch_tokens = 700; });
  std::vector<std::thread> clients;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      for (int round = 0; round < 6; ++round) {
        const auto& pair = pairs[static_cast<size_t>(c + round) % pairs.size()];
        auto response =
            reranker->rerank({.query = pair.query, .documents = {"rain", pair.document, "", pair.document}});
        if (!response.ok()) {
          ++wrong;
          continue;
        }
        for (const auto& r : response->results) {
          if (r.index % 2 == 1 && std::abs(r.logit - pair.logit) > 1e-4) ++wrong;
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
}

TEST(RerankTest, ASharedQueryScoresAsItsText) {
  auto reranker = open(bert());
  const auto query = std::make_shared<SharedQuery>("rain in berlin");
  RerankRequest own{
      .query = query->text(), .documents = {"rain", "the cat"}, .max_query_tokens = 2, .use_cache = false};
  RerankRequest shared{.query = "not this one", .documents = own.documents, .max_query_tokens = 2};
  shared.shared_query = query;
  const auto want = reranker->rerank(own);
  for (int round = 0; round < 3; ++round) {  // the last one's pairs are known
    shared.use_cache = round > 0;
    const auto got = reranker->rerank(shared);
    ASSERT_TRUE(got.ok() && want.ok());
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(got->results[i].logit, want->results[i].logit);
      EXPECT_EQ(got->results[i].truncated, want->results[i].truncated);
    }
    EXPECT_EQ(got->cached_documents, round == 2 ? 2u : 0u);
  }
}

TEST(RerankTest, OddRequests) {
  auto reranker = open(bert(), [](Options& o) { o.model.queue.max_documents = 3; });
  auto none = reranker->rerank({.query = "q"});
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->results.empty());
  EXPECT_EQ(reranker->rerank({.query = "q", .documents = {"a", "b", "c", "d"}}).status().code(),
            absl::StatusCode::kOutOfRange);
  auto bytes =
      reranker->rerank({.query = std::string("\xff\xfe\0x", 4), .documents = {std::string(100, '\0'), "\xed\xa0\x80"}});
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  auto late = reranker->rerank({.query = "q", .documents = {"a"}, .deadline = Clock::now() - std::chrono::seconds(1)});
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  auto cancellation = std::make_shared<Cancellation>();
  cancellation->cancel();
  EXPECT_EQ(reranker->rerank({.query = "q", .documents = {"a"}, .cancellation = cancellation}).status().code(),
            absl::StatusCode::kCancelled);
}

// Whatever batch a pair lands in: alone, among others, in a large request split into many batches.
TEST(RerankTest, AScoreIsTheSameBitForBitInEveryBatch) {
  const std::vector<std::string> words = {"rain", "sun", "snow", "today", "Berlin", "the", "cat", "weather"};
  std::vector<std::string> documents;
  for (size_t i = 0; i < 120; ++i) {
    std::string text;
    for (size_t w = 0; w < 1 + i * 7 % 90; ++w) text += words[(i * 5 + w * w) % words.size()] + " ";
    documents.push_back(text);
  }
  for (Precision precision : {Precision::kFp32, Precision::kAuto}) {
    const auto change = [&](size_t batch_tokens) {
      return [=](Options& o) {
        o.model.engine.precision = precision;
        o.model.queue.max_batch_tokens = batch_tokens;
        o.model.queue.max_queue_ms = 0;  // a machine that is busy with others refuses nothing
        o.host.caches.cache_bytes = 0;
      };
    };
    auto large = open(bert(), change(8192)), small = open(bert(), change(300));
    std::vector<float> alone;
    for (const std::string& document : documents) {
      auto response = large->rerank({.query = "rain today", .documents = {document}});
      ASSERT_TRUE(response.ok());
      alone.push_back(response->results[0].logit);
    }
    std::atomic<int> wrong{0}, compared{0};
    std::vector<std::thread> clients;
    for (size_t c = 0; c < 6; ++c) {
      clients.emplace_back([&, c] {
        for (size_t round = 0; round < 4; ++round) {
          std::vector<std::string> some;
          std::vector<size_t> which;
          for (size_t i = 0; i < 10 + 17 * c; ++i) {
            which.push_back((i * (2 * round + 3) + c * 31) % documents.size());
            some.push_back(documents[which.back()]);
          }
          // Without the cache nothing is shared: each pair is computed in its own batch.
          auto response =
              (round % 2 ? large : small)->rerank({.query = "rain today", .documents = some, .use_cache = c % 2 == 0});
          if (!response.ok()) {
            ++wrong;
            continue;
          }
          for (const auto& r : response->results) {
            ++compared;
            wrong += r.logit != alone[which[r.index]];
          }
        }
      });
    }
    for (auto& client : clients) client.join();
    EXPECT_EQ(wrong, 0) << word_of(precision);
    EXPECT_GT(compared, 1000);
  }
}

// A long document is computed again and again, until what others ask has been computed in its midst some times.
TEST(RerankTest, ScoresAreTheSameWhereALongBatchIsInterrupted) {
  const auto metrics = std::make_shared<Metrics>();
  const auto reranker = open(
      decoder_with_room("qwen3-a"),
      [](Options& o) {
        o.model.queue.max_batch_ms = 1;  // what takes longer is interrupted
        o.model.queue.max_queue_ms = 0;
        o.host.caches.cache_bytes = 0;
      },
      metrics);
  RerankRequest longer{.query = "rain", .use_cache = false}, shorter{.query = "sun", .use_cache = false};
  longer.documents.push_back("rain");
  for (int i = 0; i < 1000; ++i) longer.documents[0] += i % 3 == 0 ? " falls in berlin" : " and snow";
  for (int i = 0; i < 3; ++i) shorter.documents.push_back(str_cat("the weather of day ", i));
  const auto alone = reranker->rerank(longer), short_alone = reranker->rerank(shorter);
  ASSERT_TRUE(alone.ok() && short_alone.ok()) << alone.status() << short_alone.status();
  std::atomic<bool> done = false;
  std::thread client([&] {
    while (!done) {
      const auto answer = reranker->rerank(shorter);
      ASSERT_TRUE(answer.ok()) << answer.status();
      for (size_t i = 0; i < 3; ++i) EXPECT_EQ(answer->results[i].logit, short_alone->results[i].logit);
    }
  });
  const auto interruptions = [&] { return metrics->counter("rerankd_interrupting_batches_total", "").value(); };
  for (int round = 0; round < 500 && interruptions() < 10; ++round) {
    const auto answer = reranker->rerank(longer);
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (answer.ok()) {
      EXPECT_EQ(answer->results[0].logit, alone->results[0].logit);
    }
  }
  done = true;
  client.join();
  EXPECT_GE(interruptions(), 10);
}

TEST(RerankTest, TimeoutsAndPolicies) {
  auto reranker = open(bert(), [](Options& o) { o.model.queue.queue_policy = QueuePolicy::kWait; });
  std::vector<std::string> documents(3000, "");
  for (size_t i = 0; i < documents.size(); ++i) documents[i] = "rain and sun " + std::to_string(i);
  auto soon = reranker->rerank(
      {.query = "q", .documents = documents, .deadline = Clock::now() + std::chrono::microseconds(300)});
  EXPECT_EQ(soon.status().code(), absl::StatusCode::kDeadlineExceeded) << soon.status();
  EXPECT_TRUE(
      reranker->rerank({.query = "q", .documents = {"a"}, .deadline = Clock::now() + std::chrono::hours(1)}).ok());
}

TEST(RerankTest, RequestsThatNobodyWaitsForAreNeitherTokenizedNorComputed) {
  const auto one_thread = [](Options& o) { o.host.threads = o.host.tokenizer_threads = 1; };
  const auto metrics = std::make_shared<Metrics>();
  SharedHost shared;
  shared.host = *Host::make(options_for(bert(), one_thread).host, metrics.get());
  const auto reranker = open(bert(), one_thread, metrics, shared);
  const auto count = [&](const std::string& name) {
    return metrics->counter("rerankd_" + name + "_total", "").value();
  };
  const double tokenized = count("token_cache_misses"), computed = count("batch_pairs");
  std::promise<void> busy, go_on;
  shared.host->tokenizers->post([&] {
    busy.set_value();
    go_on.get_future().wait();
  });
  busy.get_future().wait();

  std::vector<std::string> documents;
  for (int i = 0; i < 20; ++i)
    documents.push_back("rain " + std::to_string(i) + std::string(10000, ' '));  // many units
  const auto request = [&](std::optional<TimePoint> deadline) {
    auto made = std::make_shared<RerankRequest>(RerankRequest{.query = "q", .documents = documents});
    made->deadline = deadline;
    made->cancellation = std::make_shared<Cancellation>();
    return made;
  };
  const TimePoint deadline = Clock::now() + std::chrono::milliseconds(200);
  const auto late = request(deadline), gone = request(std::nullopt);
  std::vector<std::future<Status>> ends;
  for (const auto& each : {late, gone}) {
    auto end = std::make_shared<std::promise<Status>>();
    ends.push_back(end->get_future());
    reranker->submit(each, [end](const Result<RerankResponse>& response) { end->set_value(response.status()); });
  }
  gone->cancellation->cancel();
  std::this_thread::sleep_until(deadline + std::chrono::milliseconds(1));
  go_on.set_value();
  EXPECT_EQ(ends[0].get().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ends[1].get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(count("token_cache_misses"), tokenized);
  EXPECT_EQ(count("batch_pairs"), computed);
  EXPECT_TRUE(reranker->rerank(*request(std::nullopt)).ok());
  EXPECT_EQ(count("token_cache_misses"), tokenized + 20);
  EXPECT_GT(count("batch_pairs"), computed);
}

}  // namespace
}  // namespace rerank::rank
