#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <thread>

#include "base/strings.h"
#include "load/drive.h"
#include "load/summary.h"
#include "support/fake_reranker.h"

namespace rerank::load {
namespace {

size_t words(const std::string& text) { return 1 + static_cast<size_t>(std::count(text.begin(), text.end(), ' ')); }
size_t one(std::string_view) { return 1; }

Workload make(const WorkloadOptions& options) { return *Workload::make(options, {}, one); }

TEST(WorkloadTest, SameSeedSameRequestsWithTheLengthsAskedFor) {
  WorkloadOptions options;
  options.document_tokens = "32-512";
  options.documents_per_request = 50;
  const Workload first = make(options), again = make(options);
  std::set<size_t> lengths;
  for (uint64_t i : {7, 3, 7}) {
    EXPECT_EQ(first.request(i)->query, again.request(i)->query);
    EXPECT_EQ(first.request(i)->documents, again.request(i)->documents);
    const auto request = first.request(i);
    for (const std::string& document : request->documents) lengths.insert(words(document));
  }
  EXPECT_GE(*lengths.begin(), 32u);
  EXPECT_LE(*lengths.rbegin(), 512u);
  EXPECT_GT(lengths.size(), 60u);  // 100 draws of 481 lengths
  EXPECT_NE(first.request(1)->query, first.request(2)->query);
  EXPECT_EQ(words(first.request(1)->query), options.query_tokens);
}

TEST(WorkloadTest, LogNormalLengthsHaveTheirMedian) {
  const auto lengths = LengthDistribution::parse("lognormal:200,0.6");
  ASSERT_TRUE(lengths.ok());
  EXPECT_NEAR(static_cast<double>(lengths->at(0.5)), 200, 2);
  EXPECT_NEAR(static_cast<double>(lengths->at(0.8413)), 200 * std::exp(0.6), 4);
  EXPECT_NEAR(static_cast<double>(lengths->at(0.1587)), 200 * std::exp(-0.6), 2);
}

TEST(WorkloadTest, BadLengthsAreErrors) {
  for (const char* text : {"", "x", "0", "12-", "500-100", "lognormal:200", "lognormal:0,1", "1e9", "nan"}) {
    EXPECT_FALSE(LengthDistribution::parse(text).ok()) << text;
  }
}

TEST(WorkloadTest, RepeatedRequestsFollowTheZipfLaw) {
  WorkloadOptions options;
  options.distinct = 100;
  options.document_tokens = "1";
  const Workload workload = make(options);
  std::map<std::string, size_t> seen;
  for (uint64_t i = 0; i < 5000; ++i) ++seen[workload.request(i)->query];
  EXPECT_LE(seen.size(), 100u);
  size_t most = 0;
  for (const auto& [query, count] : seen) most = std::max(most, count);
  EXPECT_NEAR(static_cast<double>(most) / 5000, 1 / 5.187, 0.03);  // the first of 100 has 1 / H(100) of all
}

TEST(RecordedTest, RequestsAreSentAsTheyWereWrittenAndOverAgain) {
  const std::string path = testing::TempDir() + "/requests.jsonl";
  std::ofstream(path)
      << "{\"query\": \"a\", \"documents\": [\"b c\", \"d\"]}\n\n{\"query\": \"e\", \"documents\": [\"f\"]}\n";
  auto read = read_requests(path);
  ASSERT_TRUE(read.ok()) << read.status();
  WorkloadOptions options;
  options.top_n = 1;
  const auto workload =
      Workload::of_requests(options, *read, [](std::string_view text) { return words(std::string(text)); });
  ASSERT_TRUE(workload.ok());
  EXPECT_EQ(workload->request(0)->query, "a");
  EXPECT_EQ(workload->request(3)->query, "e");
  EXPECT_EQ(workload->request(3)->top_n, 1u);
  EXPECT_EQ(workload->document_lengths(2), (std::vector<size_t>{2, 1, 1}));
  for (const char* wrong : {"{", "{\"query\": \"a\"}", "{\"query\": \"a\", \"documents\": []}",
                            "{\"query\": 1, \"documents\": [\"b\"]}", "{\"query\": \"a\", \"documents\": [2]}"}) {
    std::ofstream(path) << wrong << "\n";
    const auto refused = read_requests(path);
    EXPECT_FALSE(refused.ok()) << wrong;
    EXPECT_NE(message_of(refused.status()).find("requests.jsonl:1"), std::string_view::npos) << wrong;
  }
}

TEST(RecordedTest, ATraceIsReadFromSecondsAndFromTheLog) {
  const auto plain = read_trace({"100.5", "100", "", "103"});
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(*plain, (std::vector<double>{0, 0.5, 3}));
  const auto logged =
      read_trace({R"({"time":"2026-11-24T23:59:59.900Z","level":"info","message":"request","ms":400})",
                  R"({"time":"2026-11-25T00:00:00.100Z","level":"info","message":"warm"})",
                  R"({"time":"2026-11-25T00:00:01.000Z","level":"info","message":"request","ms":500})"});
  ASSERT_TRUE(logged.ok());
  EXPECT_NEAR(logged->at(1), 1.0, 1e-6);
  EXPECT_FALSE(read_trace({"1", "soon"}).ok());
  EXPECT_FALSE(read_trace({"1"}).ok());
}

TEST(RecordedTest, ATraceIsPlayedAtAnotherRate) {
  const std::vector<double> trace = {0, 1, 4};
  EXPECT_EQ(replay(trace, 0, 10), trace);
  EXPECT_EQ(replay(trace, 1, 10), (std::vector<double>{0, 0.5, 2}));
  EXPECT_EQ(replay(trace, 0, 2), (std::vector<double>{0, 1}));
}

TEST(RecordedTest, ALogNormalFitFindsItsOwnParameters) {
  const auto wanted = LengthDistribution::parse("lognormal:200,0.60");
  std::vector<size_t> lengths;
  for (int i = 0; i < 2000; ++i) lengths.push_back(wanted->at((i + 0.5) / 2000));
  EXPECT_EQ(fit_log_normal(lengths), "lognormal:199,0.60");
}

TEST(ArrivalsTest, HaveTheRateAskedFor) {
  for (const char* kind : {"poisson", "constant", "bursts:10"}) {
    const auto times = arrivals(kind, 100, 50, 3);
    ASSERT_TRUE(times.ok()) << kind;
    EXPECT_NEAR(static_cast<double>(times->size()), 5000, 700) << kind;
    EXPECT_TRUE(std::is_sorted(times->begin(), times->end())) << kind;
    EXPECT_LT(times->back(), 50) << kind;
  }
  EXPECT_FALSE(arrivals("often", 1, 1, 1).ok());
  EXPECT_FALSE(arrivals("poisson", 0, 1, 1).ok());
}

TEST(DriveTest, LatencyCountsFromWhenARequestWasDue) {
  // The target blocks its sender for 20 ms a request: requests due meanwhile must carry that wait.
  class Blocking : public Target {
    void submit(std::shared_ptr<const RerankRequest>, Done done) override {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      done({});
    }
  } target;
  const LoadRun run = drive_open(target, make({}), {std::vector<double>(10, 0.0), 5}, nullptr);
  ASSERT_EQ(run.samples.size(), 10u);
  EXPECT_GE(run.samples[9].done - run.samples[9].due, 0.2);
}

TEST(DriveTest, UnansweredAndRefusedRequestsAreCountedAsSuch) {
  class Strange : public Target {
   public:
    void submit(std::shared_ptr<const RerankRequest>, Done done) override {
      switch (count_++ % 4) {
        case 0:
          return done({});
        case 1:
          return done({absl::ResourceExhaustedError("full"), 0, {}, 0});
        case 2:
          return done({absl::UnknownError("HTTP 500"), 500, {}, 0});
        default:
          kept_.push_back(std::move(done));  // never answered
      }
    }

   private:
    size_t count_ = 0;
    std::vector<Done> kept_;
  } target;
  const Summary summary = summarize(drive_open(target, make({}), {{0, 0, 0, 0, 0}, 0.05}, nullptr));
  EXPECT_EQ(summary.sent, 5u);
  EXPECT_EQ(summary.answered, 2u);
  EXPECT_EQ(summary.refused, 1u);
  EXPECT_EQ(summary.failed, 1u);
  EXPECT_EQ(summary.unanswered, 1u);
  EXPECT_EQ(summary.first_error, "HTTP 500");
  EXPECT_EQ(summary.http_statuses.at(500), 1u);
}

TEST(DriveTest, ClosedLoopKeepsAsManyUnderWayAsThereAreClients) {
  class Counting : public Target {
   public:
    ~Counting() override {
      for (std::thread& thread : threads_) thread.join();
    }
    void submit(std::shared_ptr<const RerankRequest>, Done done) override {
      const size_t now = ++under_way;
      for (size_t seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      std::lock_guard lock(mutex_);
      threads_.emplace_back([this, done = std::move(done)] {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        --under_way;
        done({});
      });
    }
    std::atomic<size_t> under_way{0}, most{0};

   private:
    std::mutex mutex_;
    std::vector<std::thread> threads_;
  } target;
  const LoadRun run = drive_closed(target, make({}), {4, 0.3, 0}, nullptr);
  EXPECT_EQ(target.most, 4u);
  EXPECT_GE(run.samples.size(), 8u);
  EXPECT_EQ(summarize(run).answered, run.samples.size());
}

// A second load on one server would be answered from its caches otherwise.
TEST(DriveTest, NoRequestOfSeveralLoadsHasBeenAskedBefore) {
  class Remembering : public Target {
   public:
    void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
      {
        std::lock_guard lock(mutex_);
        for (const std::string& document : request->documents) {
          repeated += !pairs_.insert(request->query + "\n" + document).second;
          repeated += !documents_.insert(document).second;
        }
      }
      done({});
    }
    size_t repeated = 0;

   private:
    std::mutex mutex_;
    std::set<std::string> pairs_, documents_;
  } target;
  WorkloadOptions options;
  options.document_tokens = "16";  // words, of a list of some 180
  const Workload workload = make(options);
  uint64_t first = 3;
  for (int load = 0; load < 2; ++load) {
    first += drive_open(target, workload, {std::vector<double>(2000, 0.0), 5, first}, nullptr).samples.size();
    first += drive_closed(target, workload, {2, 0.05, first}, nullptr).samples.size();
  }
  EXPECT_GT(first, 4003u);
  EXPECT_EQ(target.repeated, 0u);
}

TEST(SummaryTest, PercentilesAreNearestRank) {
  std::vector<double> values(100);
  for (size_t i = 0; i < 100; ++i) values[i] = static_cast<double>(i + 1);
  EXPECT_EQ(percentile(values, 0.5), 50);
  EXPECT_EQ(percentile(values, 0.99), 99);
  EXPECT_EQ(percentile(values, 0.999), 100);
  EXPECT_EQ(percentile({}, 0.5), 0);
}

TEST(EngineTargetTest, AnswersWithTheServicesScores) {
  FakeReranker fake;
  auto target = engine_target(fake);
  auto request = make({}).request(5);
  Answer answer;
  target->submit(request, [&](Answer a) { answer = std::move(a); });
  ASSERT_TRUE(answer.status.ok());
  ASSERT_EQ(answer.results.size(), 8u);
  EXPECT_FLOAT_EQ(static_cast<float>(answer.results[0].score),
                  fake_sigmoid(fake_logit(request->query, request->documents[answer.results[0].index])));
}

TEST(HttpTargetTest, BadAddressesAreErrors) {
  for (const char* url : {"", "localhost:80", "https://x", "http://", "http://:80"}) {
    HttpTargetOptions options;
    options.url = url;
    EXPECT_FALSE(http_target(options).ok()) << url;
  }
}

TEST(HttpTargetTest, AServerThatIsNotThereIsAFailureOfTheRequest) {
  HttpTargetOptions options;
  options.url = "http://127.0.0.1:1";
  auto target = http_target(options);
  ASSERT_TRUE(target.ok());
  const LoadRun run = drive_closed(**target, make({}), {2, 0.05, 0}, nullptr);
  ASSERT_FALSE(run.samples.empty());
  for (const Sample& sample : run.samples) EXPECT_EQ(sample.outcome, RequestOutcome::kFailed);
  EXPECT_FALSE(run.first_error.ok());
}

TEST(Report, SaysHowMuchIsTaken) {
  BenchReport report;
  const auto run = [&](double rate, double p95, size_t refused) {
    Summary made;
    made.answered = 100, made.refused = refused, made.requests_per_second = rate, made.latency.p95 = p95;
    report.runs.push_back(made);
  };
  run(50, 3000, 0);
  EXPECT_EQ(capacity_sentence(report), "No load that was tried is answered within a second (95 %) without refusals.");
  run(12, 800, 0);
  run(5, 200, 0);
  run(20, 900, 1);
  EXPECT_EQ(capacity_sentence(report),
            "Up to 12 requests a second were answered, 95 % within 800 ms: as many as 720 users make who ask once a "
            "minute.");
}

}  // namespace
}  // namespace rerank::load
