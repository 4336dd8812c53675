// The service over recorded models: text to scores as transformers gives them, and what happens to odd requests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "base/mapped_file.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "model/exits.h"
#include "rank/host.h"
#include "rank/locate.h"
#include "rank/rank_test.h"
#include "rank/score.h"
#include "rank/warm_up.h"
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

TEST(RerankTest, ATokenizerThatLeavesNoRoomForTextsIsRefused) {
  const std::string folder = ::testing::TempDir() + "rank_test_template";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(bert(), folder);
  std::string json = *read_file(folder + "/tokenizer.json", 1u << 20);
  const size_t at = json.find('2', json.find("\"ids\""));  // [CLS] of the template becomes a thousand tokens
  ASSERT_NE(at, std::string::npos);
  for (int i = 0; i < 1000; ++i) json.insert(at, "2,");
  const size_t token = json.find("\"[CLS]\"", json.find("\"tokens\"", at));
  for (int i = 0; i < 1000; ++i) json.insert(token, "\"[CLS]\",");
  std::ofstream(folder + "/tokenizer.json") << json;
  Options options;
  options.model.source.model = folder;
  const auto refused = Reranker::open(options);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(message_of(refused.status())), ::testing::HasSubstr("special tokens to a pair"));
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

TEST(RerankTest, TruncationIsSaidOrRefused) {
  auto reranker = open(bert());
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "rain ";
  auto cut = reranker->rerank({.query = "rain", .documents = {text, "short"}});
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->truncated_documents, 1u);
  for (const auto& r : cut->results) EXPECT_EQ(r.truncated, r.index == 0);
  auto refused = reranker->rerank({.query = "rain", .documents = {"short", text}, .truncate = false});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(message_of(refused.status())), ::testing::HasSubstr("must have less than 513 tokens"));
  auto limited = reranker->rerank({.query = "rain", .documents = {text}, .max_length = 20});
  EXPECT_EQ(limited->results[0].tokens, 20u);
  auto document_limit = reranker->rerank({.query = "rain", .documents = {text}, .max_document_tokens = 7});
  EXPECT_LE(document_limit->results[0].tokens, 7u + 3u + 4u);
  EXPECT_TRUE(document_limit->results[0].truncated);
}

TEST(RerankTest, LongDocumentsAreCutAsAskedOrScoredInChunks) {
  auto reranker = open(bert());
  std::string text;
  for (int i = 0; i < 20; ++i) text += i < 8 ? "rain falls in berlin " : "the cat ";
  RerankRequest request{.query = "rain", .documents = {text, "short"}, .max_length = 32, .explain_cuts = true};
  auto of = [](const RerankResponse& r, size_t index) {
    return *std::find_if(r.results.begin(), r.results.end(), [&](const auto& d) { return d.index == index; });
  };
  for (Truncation how : {Truncation::kHead, Truncation::kTail, Truncation::kHeadTail, Truncation::kQueryAware}) {
    request.truncation = how;
    auto response = reranker->rerank(request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->truncated_documents, 1u);
    const RankedDocument cut = of(*response, 0);
    EXPECT_EQ(cut.tokens, 32u);
    EXPECT_EQ(of(*response, 1).kept, (std::vector<TokenRange>{{0, of(*response, 1).document_tokens}}));
    size_t kept = 0;
    for (const TokenRange& part : cut.kept) kept += part.end - part.begin;
    EXPECT_LT(kept, 32u);
    EXPECT_GT(cut.document_tokens, kept);
  }
  request.truncation = Truncation::kChunks;
  request.chunk_overlap = 4;
  auto chunked = reranker->rerank(request);
  ASSERT_TRUE(chunked.ok()) << chunked.status();
  EXPECT_EQ(chunked->truncated_documents, 0u);
  const RankedDocument d = of(*chunked, 0);
  EXPECT_GT(d.kept.size(), 1u);
  EXPECT_LT(d.best_chunk, d.kept.size());
  EXPECT_GT(d.tokens, d.document_tokens);
  // The best chunk alone has the document's score; the mean is below it.
  request.chunk_best = 0;
  EXPECT_LT(of(*reranker->rerank(request), 0).logit, d.logit);
  request.max_chunks = 1;
  const RankedDocument first = of(*reranker->rerank(request), 0);
  EXPECT_EQ(first.kept.size(), 1u);
  EXPECT_TRUE(first.truncated);
  // Chunks lose nothing, so that a client which wants nothing cut gets its answer.
  request.max_chunks = 0;
  request.truncate = false;
  EXPECT_TRUE(reranker->rerank(request).ok());
}

TEST(RerankTest, TheServersTruncationHoldsUnlessTheRequestSaysOtherwise) {
  auto reranker = open(bert(), [](Options& o) {
    o.model.texts.truncation = Truncation::kChunks;
    o.model.texts.max_chunks = 2;
    o.model.texts.max_length = 16;
  });
  std::string text;
  for (int i = 0; i < 40; ++i) text += "rain ";
  const RerankRequest request{.query = "rain", .documents = {text}, .explain_cuts = true};
  EXPECT_EQ(reranker->rerank(request)->results[0].kept.size(), 2u);
  auto changed = request;
  changed.truncation = Truncation::kHead;
  EXPECT_EQ(reranker->rerank(changed)->results[0].kept.size(), 1u);
  changed = request;
  changed.truncation_side = TruncationSide::kLeft;
  EXPECT_EQ(reranker->rerank(changed)->results[0].kept[0].end, reranker->rerank(changed)->results[0].document_tokens);
}

// The built-in model's config.json asks for 256 tokens and query-aware cutting; the operator's options go before.
TEST(RerankTest, AModelMaySayHowItIsServed) {
  std::string text = "The harbour opened in 1871.";
  for (int i = 0; i < 400; ++i) text += " fish";
  text += " The lighthouse keeper was called Brenda.";
  const RerankRequest request{
      .query = "What was the lighthouse keeper called?", .documents = {text}, .explain_cuts = true};
  const auto kept = [&](auto change) {
    Options options;
    change(options);
    auto reranker = Reranker::open(options);
    EXPECT_TRUE(reranker.ok()) << reranker.status();
    const RankedDocument document = (*reranker)->rerank(request)->results[0];
    return std::pair((*reranker)->info().max_length, document.kept.back().end == document.document_tokens);
  };
  EXPECT_EQ(kept([](Options&) {}), std::pair(size_t{256}, true));
  EXPECT_EQ(kept([](Options& o) { o.model.texts.truncation = Truncation::kHead; }), std::pair(size_t{256}, false));
  EXPECT_EQ(kept([](Options& o) { o.model.texts.max_length = 128; }), std::pair(size_t{128}, true));
  EXPECT_EQ(kept([](Options& o) { o.model.texts.max_length = 512; }).first, 512u);
}

TEST(ScoreTest, ChunksBecomeOneScore) {
  const std::vector<float> logits = {1, 5, 3};
  EXPECT_EQ(aggregate_chunks(logits, 1), 5);
  EXPECT_EQ(aggregate_chunks(logits, 2), 4);
  EXPECT_EQ(aggregate_chunks(logits, 0), 3);
  EXPECT_EQ(aggregate_chunks(logits, 99), 3);
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

TEST(RerankTest, KnownPairsComeFromTheCacheAndOptionsCount) {
  auto reranker = open(bert());
  const RerankRequest request = {.query = "rain today",
                                 .documents = {"sunny weather in Berlin today", "rain", "the cat"}};
  auto first = reranker->rerank(request), second = reranker->rerank(request);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->cached_documents, 0u);
  EXPECT_EQ(second->cached_documents, 3u);
  EXPECT_EQ(second->total_tokens, first->total_tokens);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(second->results[i].index, first->results[i].index);
    EXPECT_EQ(second->results[i].logit, first->results[i].logit);
  }
  auto changed = request;
  changed.documents[1] = "snow";
  EXPECT_EQ(reranker->rerank(changed)->cached_documents, 2u);
  changed = request;
  changed.max_length = 9;
  EXPECT_EQ(reranker->rerank(changed)->cached_documents, 0u);
  changed = request;
  changed.use_cache = false;
  EXPECT_EQ(reranker->rerank(changed)->cached_documents, 0u);
  changed = request;
  changed.query = "rain toda";
  EXPECT_EQ(reranker->rerank(changed)->cached_documents, 0u);
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

TEST(RerankTest, EqualDocumentsAreComputedOnceAndKnownOnesAreNotTokenizedAgain) {
  auto metrics = std::make_shared<Metrics>();
  Options options;
  options.model.source.model = bert();
  options.model.engine.precision = Precision::kFp32;
  options.host.caches.cache_bytes = 0;
  auto reranker = Reranker::open(options, metrics);
  ASSERT_TRUE(reranker.ok());
  const auto pairs = [&] { return metrics->counter("rerankd_batch_pairs_total", "").value(); };
  ASSERT_TRUE((*reranker)->rerank({.query = "rain", .documents = {"sun", "snow", "sun", "sun"}}).ok());
  EXPECT_EQ(pairs(), 2);
  EXPECT_EQ(metrics->counter("rerankd_joined_pairs_total", "").value(), 2);
  const double tokenized = metrics->counter("rerankd_token_cache_misses_total", "").value();
  ASSERT_TRUE((*reranker)->rerank({.query = "another question", .documents = {"snow", "sun"}}).ok());
  EXPECT_EQ(metrics->counter("rerankd_token_cache_misses_total", "").value(), tokenized);
  EXPECT_EQ(pairs(), 4);
  ASSERT_TRUE((*reranker)->rerank({.query = "rain", .documents = {"sun", "sun"}, .use_cache = false}).ok());
  EXPECT_EQ(pairs(), 6) << "who wants fresh scores gets one computation each";
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
  Options options;
  options.model.source.model = bert();
  options.host.threads = options.host.tokenizer_threads = 1;
  const auto metrics = std::make_shared<Metrics>();
  SharedHost shared;
  shared.host = *Host::make(options.host, metrics.get());
  auto reranker = Reranker::open(options, metrics, shared);
  ASSERT_TRUE(reranker.ok()) << reranker.status();
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
    (*reranker)->submit(each, [end](const Result<RerankResponse>& response) { end->set_value(response.status()); });
  }
  gone->cancellation->cancel();
  std::this_thread::sleep_until(deadline + std::chrono::milliseconds(1));
  go_on.set_value();
  EXPECT_EQ(ends[0].get().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ends[1].get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(count("token_cache_misses"), tokenized);
  EXPECT_EQ(count("batch_pairs"), computed);
  EXPECT_TRUE((*reranker)->rerank(*request(std::nullopt)).ok());
  EXPECT_EQ(count("token_cache_misses"), tokenized + 20);
  EXPECT_GT(count("batch_pairs"), computed);
}

TEST(WarmUpTest, LearnsTheEnginesSpeedAndTheCostOfAttention) {
  // Time is counted, not measured: 1 ms per batch, 1 us per token, 2 ns per squared token.
  struct Counted : engine::Backend {
    engine::BackendInfo info_{.max_length = 512};
    double seconds = 0;
    size_t batches = 0;
    const engine::BackendInfo& info() const override { return info_; }
    Status forward(const engine::Batch& batch, std::span<float>) override {
      ++batches;
      seconds += 1e-3;
      std::set<int32_t> first;
      for (size_t i = 0; i < batch.size(); ++i) {
        EXPECT_TRUE(first.insert(batch.ids[batch.offsets[i]]).second) << "two sequences begin alike";
        const auto n = static_cast<double>(batch.length(i));
        seconds += 1e-6 * n + 2e-9 * n * n;
      }
      return ok_status();
    }
  } backend;
  const std::vector<int32_t> ids = {5, 6, 7, 8, 9, 10, 11, 12, 13};
  auto learned = warm_up(backend, ids, {.square = 1e-3}, [&] { return backend.seconds; });
  ASSERT_TRUE(learned.ok());
  EXPECT_NEAR(learned->attention.square / 2e-3, 1, 0.5);
  schedule::Scheduler scheduler(backend, {.attention = learned->attention}, nullptr, learned->batches);
  for (uint32_t length : {50u, 100u, 200u}) {
    const std::vector<uint32_t> lengths(8, length);
    const double truth = 1e-3 + 8 * (1e-6 * length + 2e-9 * length * length);
    EXPECT_NEAR(scheduler.predicted_seconds(lengths) / truth, 1, 0.1) << length;
  }
}

TEST(ScoreTest, SortsByLogitTiesInInputOrderAndCuts) {
  const std::vector<ScoredDocument> documents = {{1}, {40}, {3}, {3}, {41}};
  auto ranked = rank_documents(documents, ScoreScale::kSigmoid, 0);
  std::vector<size_t> order;
  for (const auto& r : *ranked) order.push_back(r.index);
  EXPECT_THAT(order, ::testing::ElementsAre(4, 1, 2, 3, 0));  // 40 and 41 have the same sigmoid in fp32
  EXPECT_EQ(rank_documents(documents, ScoreScale::kLogit, 2)->size(), 2u);
  EXPECT_EQ(rank_documents(documents, ScoreScale::kLogit, 2)->front().score, 41.0f);
  const std::vector<ScoredDocument> broken = {{1}, {NAN}};
  EXPECT_THAT(std::string(message_of(rank_documents(broken, ScoreScale::kLogit, 0).status())),
              ::testing::HasSubstr("document 1"));
}

TEST(LocateTest, NamesAndErrors) {
  EXPECT_EQ(served_name("BAAI/bge-reranker-v2-m3"), "bge-reranker-v2-m3");
  EXPECT_EQ(served_name("/models/ms-marco-MiniLM-L-6-v2/"), "ms-marco-MiniLM-L-6-v2-reranker");
  Options options;
  options.model.source.model = "./nothing-here";
  EXPECT_EQ(locate_model(options).status().code(), absl::StatusCode::kNotFound);
  options.model.source.model = "org/model";
  options.model.source.hub_offline = true;
  options.model.source.hub_cache = ::testing::TempDir() + "/empty_cache";
  EXPECT_THAT(std::string(message_of(locate_model(options).status())), ::testing::HasSubstr("HF_HUB_OFFLINE"));
  options = {};
  auto built_in = locate_model(options);
  ASSERT_TRUE(built_in.ok()) << built_in.status();
  EXPECT_EQ(built_in->name, "rerankd-mini-en");
}

TEST(OpenTest, SaysWhatIsWrong) {
  Options options;
  options.model.source.model = bert();
  options.model.texts.max_length = 513;
  EXPECT_THAT(std::string(message_of(Reranker::open(options).status())), ::testing::HasSubstr("at most 512"));
}

// Exits that know nothing, with an error so small that they are believed: documents do leave, and those that stay have
// their exact scores.
TEST(RerankTest, AdaptiveDepthGivesExactScoresToTheBest) {
  const std::string folder = bert(), exits_folder = ::testing::TempDir() + "/rank_test_exits";
  auto model = model::load_model(folder);
  ASSERT_TRUE(model.ok());
  model::Exits exits{"golden", model::weights_digest(**model), {}, {{0.99, 1.0}}};
  for (size_t layer = 0; layer + 1 < (*model)->config.architecture.layers(); ++layer) {
    model::ExitHead head;
    head.weights.assign(model::exit_width((*model)->architecture()), 0.0f);
    head.weights[0] = 1;
    head.error = 1e-3f;
    exits.heads.push_back(head);
  }
  ASSERT_TRUE(model::write_exits(exits_folder, exits).ok());
  RerankRequest request{.query = "what is rain?"};
  for (const auto& pair : testing::read_golden_pairs(folder)) request.documents.push_back(pair.document);
  auto plain = open(folder);
  const auto all = plain->rerank(request);
  ASSERT_TRUE(all.ok()) << all.status();
  std::map<size_t, float> exact;
  for (const auto& r : all->results) exact[r.index] = r.logit;

  auto metrics = std::make_shared<Metrics>();
  Options options;
  options.model.source.model = folder;
  options.model.engine.precision = Precision::kFp32;
  options.model.engine.exits = exits_folder;
  options.model.engine.target_agreement = 0.95;
  auto adaptive = Reranker::open(options, metrics);
  ASSERT_TRUE(adaptive.ok()) << adaptive.status();
  request.top_n = 3;
  for (bool cached : {false, true}) {  // the second time some scores are known, and some documents were only guessed
    auto best = (*adaptive)->rerank(request);
    ASSERT_TRUE(best.ok()) << best.status();
    ASSERT_EQ(best->results.size(), 3u);
    for (const auto& r : best->results) EXPECT_EQ(r.logit, exact[r.index]) << cached;
    EXPECT_EQ(best->cached_documents > 0, cached);
  }
  const std::string text = metrics->to_text(), name = "rerankd_pair_layers_bucket{le=\"1\"} ";
  ASSERT_NE(text.find(name), std::string::npos);
  EXPECT_GT(std::stod(text.substr(text.find(name) + name.size())), 0) << "nobody left behind the first layer";
  request.top_n = 0;  // all are wanted: all are computed
  auto every = (*adaptive)->rerank(request);
  ASSERT_TRUE(every.ok());
  for (const auto& r : every->results) EXPECT_EQ(r.logit, exact[r.index]);

  options.model.engine.target_agreement = 0.999;
  EXPECT_EQ(Reranker::open(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.model.engine.exits.clear();
  EXPECT_THAT(std::string(Reranker::open(options).status().message()), ::testing::HasSubstr("rerankd calibrate"));
}

TEST(HostTest, PackedWeightsOfModelsAreHeldWhileTheModelsAreThere) {
  auto host = Host::make({}, nullptr);
  ASSERT_TRUE(host.ok()) << host.status();
  Options options;
  options.model.source.model = RERANKD_SOURCE_DIR "/tests/data/models/bert-a";
  options.model.engine.engine = EngineKind::kCpu;
  SharedHost shared;
  shared.host = *host;
  auto first = Reranker::open(options, nullptr, shared);
  ASSERT_TRUE(first.ok()) << first.status();
  const uint64_t one = (*host)->held_weights();
  EXPECT_GT(one, 0u);
  auto second = Reranker::open(options, nullptr, shared);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*host)->held_weights(), 2 * one);
  first->reset();
  EXPECT_EQ((*host)->held_weights(), one);
  const auto others = (*host)->hold_weights(uint64_t{1} << 60);  // more than any machine has
  const auto third = Reranker::open(options, nullptr, shared);
  EXPECT_TRUE(absl::IsResourceExhausted(third.status())) << third.status();
  EXPECT_NE(third.status().ToString().find("other models' weights have"), std::string::npos) << third.status();
}

TEST(HostTest, EnginesTakeTurnsWhereTheyCompute) {
  auto host = Host::make({}, nullptr);
  ASSERT_TRUE(host.ok()) << host.status();
  const auto threads = (*host)->turns_at("", 1), device = (*host)->turns_at("cuda 0", 2);
  EXPECT_NE(threads, device);
  EXPECT_EQ((*host)->turns_at("", 1), threads);
  EXPECT_EQ((*host)->turns_at("cuda 0", 2), device);
  EXPECT_NE((*host)->turns_at("cuda 1", 2), device);
}

}  // namespace
}  // namespace rerank::rank
