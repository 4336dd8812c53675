// Time-outs and priorities, in every place where clients and proxies say them.
#include "transport/urgency.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/fixtures/api_fixture.h"

namespace rerank::api {
namespace {

class UrgencyTest : public ApiFixture {
 protected:
  // Seconds until the deadline of the request that the reranker saw; 0: none.
  double seconds_left(const std::string& fields, Headers headers = {}) {
    const TimePoint before = Clock::now();
    const transport::HttpResponse response =
        call("POST", "/rerank", R"({"query":"q","documents":["a"])" + fields + "}", std::move(headers));
    EXPECT_EQ(response.status, 200) << response.body;
    const auto deadline = fake_.last().deadline;
    return deadline ? std::chrono::duration<double>(*deadline - before).count() : 0;
  }
};

TEST_F(UrgencyTest, TheShortestTimeoutCounts) {
  EXPECT_EQ(seconds_left(""), 0);
  ApiOptions options;
  options.request_timeout = std::chrono::seconds(1000);
  restart(options);
  // The clock runs on between the two looks at it: up to a minute, however slow the machine.
  EXPECT_NEAR(seconds_left(""), 1030, 30);
  EXPECT_NEAR(seconds_left(R"(,"timeout_ms":500000)"), 530, 30);
  EXPECT_NEAR(seconds_left(R"(,"timeout":600.5)"), 630, 30);
  EXPECT_NEAR(seconds_left(R"(,"timeout":9000)"), 9030, 30) << "the default is no bound";
  EXPECT_NEAR(seconds_left("", {{"x-request-timeout-ms", "500000"}}), 530, 30);
  EXPECT_NEAR(seconds_left("", {{"x-envoy-expected-rq-timeout-ms", "400000"}}), 430, 30);
  EXPECT_NEAR(seconds_left("", {{"x-stainless-timeout", "300"}}), 330, 30);
  EXPECT_NEAR(seconds_left(R"(,"timeout":700)", {{"x-request-timeout-ms", "500000"}, {"x-stainless-timeout", "600"}}),
              530, 30);
}

TEST_F(UrgencyTest, WhatSaysNothingIsLeftAlone) {
  EXPECT_EQ(seconds_left(R"(,"timeout":0,"timeout_ms":null)"), 0);
  EXPECT_EQ(seconds_left(R"(,"timeout":"30s","priority":"high")"), 0) << "other servers' fields";
  EXPECT_EQ(seconds_left("", {{"x-envoy-expected-rq-timeout-ms", "soon"}, {"x-stainless-timeout", "-1"}}), 0);
  EXPECT_EQ(seconds_left(R"(,"timeout_ms":1e300)"), 0);
}

TEST_F(UrgencyTest, WrongValuesOfOurOwnFieldsAreErrors) {
  const std::string body = R"({"query":"q","texts":["a"])";
  EXPECT_EQ(post(body + R"(,"timeout_ms":-1})").status, 422);
  EXPECT_EQ(post(body + R"(,"timeout_ms":"1"})").status, 422);
  EXPECT_EQ(call("POST", "/rerank", body + "}", {{"x-request-timeout-ms", "1s"}}).status, 422);
  EXPECT_EQ(call("POST", "/rerank", body + "}", {{"x-request-timeout-ms", "nan"}}).status, 422);
  EXPECT_EQ(call("POST", "/rerank", body + "}", {{"x-request-priority", "high"}}).status, 422);
  EXPECT_EQ(fake_.submitted(), 0u);
}

TEST_F(UrgencyTest, PriorityOnlyStepsBack) {
  const std::string body = R"({"query":"q","documents":["a"],"priority":)";
  post(body + "7}");
  EXPECT_EQ(fake_.last().priority, -7);
  post(body + "-3}");
  EXPECT_EQ(fake_.last().priority, 0);
  post(body + "100000000000}");
  EXPECT_EQ(fake_.last().priority, -999);
  call("POST", "/rerank", body + "7}", {{"x-request-priority", "20"}});
  EXPECT_EQ(fake_.last().priority, -20);
}

TEST_F(UrgencyTest, ScoresAndPredictionsHaveDeadlinesToo) {
  call("POST", "/score", R"({"text_1":"q","text_2":["a"],"timeout":5})");
  EXPECT_TRUE(fake_.last().deadline.has_value());
  call("POST", "/predict", R"({"inputs":["q","a"]})",
       {{"x-request-timeout-ms", "5000"}, {"cache-control", "no-cache"}});
  EXPECT_TRUE(fake_.last().deadline.has_value());
  EXPECT_FALSE(fake_.last().use_cache);
}

TEST_F(UrgencyTest, WhatIsNotDoneInTimeIs504AndWhatIsRefusedForLoadIs429) {
  fake_.fail_with(absl::DeadlineExceededError("not done within the deadline"));
  EXPECT_EQ(post(R"({"query":"q","documents":["a"]})").status, 504);
  EXPECT_EQ(post(R"({"query":"q","texts":["a"]})").status, 504);
  fake_.fail_with(with_retry_after(absl::ResourceExhaustedError("too much is waiting"), 3));
  const transport::HttpResponse refused = post(R"({"query":"q","texts":["a"]})");
  EXPECT_EQ(refused.status, 429);
  const std::pair<std::string, std::string> retry{"Retry-After", "3"};
  EXPECT_EQ(std::count(refused.headers.begin(), refused.headers.end(), retry), 1);
}

}  // namespace
}  // namespace rerank::api
