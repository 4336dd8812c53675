// What operators can see of a request: its id, who sent it, what was wrong with it.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "support/fixtures/api_fixture.h"

namespace rerank::api {
namespace {

class RecordsTest : public ApiFixture {
 protected:
  struct Kept : observe::RequestObserver {
    void finished(const observe::RequestRecord& record) override { records.push_back(record); }
    std::vector<observe::RequestRecord> records;
  };

  void SetUp() override {
    ApiOptions options;
    options.observers = {kept_};
    restart(options);
  }
  const observe::RequestRecord& last() const { return kept_->records.back(); }

  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};

std::string header(const transport::HttpResponse& response, const char* name) {
  for (const auto& [key, value] : response.headers)
    if (key == name) return value;
  return "";
}

TEST_F(RecordsTest, ARequestHasAnIdThatIsSentBack) {
  const std::string body = R"({"query":"q","texts":["a"]})";
  EXPECT_EQ(header(call("POST", "/rerank", body, {{"x-request-id", "abc-1"}}), "X-Request-Id"), "abc-1");
  EXPECT_EQ(last().id, "abc-1");
  const std::string made = header(post(body), "X-Request-Id");
  EXPECT_EQ(made.size(), 32u);
  EXPECT_NE(made, header(post(body), "X-Request-Id"));
  for (const std::string& bad : {std::string("a b"), std::string(129, 'x'), std::string("a\nb"), std::string("\xff")})
    EXPECT_EQ(header(call("POST", "/rerank", body, {{"x-request-id", bad}}), "X-Request-Id").size(), 32u);
  EXPECT_EQ(header(call("GET", "/nothing", "", {{"x-request-id", "r"}}), "X-Request-Id"), "r") << "also of errors";
}

TEST_F(RecordsTest, SaysWhoSentWhatAndWhichFieldWasWrong) {
  call("POST", "/v1/rerank?key=secret", R"({"query":"q","documents":["a",1]})", {{"user-agent", "RAGFlow/0.26"}});
  EXPECT_EQ(last().field, "documents[1]");
  EXPECT_EQ(last().method, "POST");
  EXPECT_EQ(last().path, "/v1/rerank");
  EXPECT_EQ(last().agent, "RAGFlow/0.26");
  EXPECT_STREQ(last().label, "common");
  EXPECT_TRUE(last().is_dialect);
  post(R"({"queries":[{"textQuery":{"text":1}}],"sources":["a"]})");
  EXPECT_EQ(last().field, "queries[0].textQuery.text");
  post(R"({"query":"secret text"})");
  EXPECT_EQ(last().field, "");
  EXPECT_FALSE(last().is_dialect) << "a route's name";
  post("{broken");
  EXPECT_EQ(last().field, "");
  call("POST", "/" + std::string(10000, 'x'), "{}", {{"user-agent", std::string(10000, 'y')}});
  EXPECT_EQ(last().path.size(), 200u);
  EXPECT_EQ(last().agent.size(), 200u);
}

TEST_F(RecordsTest, OverloadIs503WhereABalancerWantsThat) {
  ApiOptions options;
  options.observers = {kept_};
  options.overload_status = OverloadStatus::k503;
  restart(options);
  fake_.fail_with(with_retry_after(absl::ResourceExhaustedError("too much is waiting"), 3));
  const transport::HttpResponse refused = post(R"({"query":"q","texts":["a"]})");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(header(refused, "Retry-After"), "3");
  EXPECT_EQ(observe::reason_of(last()), "overloaded");
}

TEST_F(RecordsTest, AnswersTellTheQuerysHash) {
  const auto hash = [&](const std::string& body) { return header(post(body), "X-Rerankd-Query-Hash"); };
  const std::string first = hash(R"({"query":"what do pandas eat?","texts":["a"]})");
  EXPECT_EQ(first, "580c3194f3619ce0") << "the same in every version: gateways remember it";
  EXPECT_EQ(first, hash(R"({"query":"what do pandas eat?","documents":["b","c"]})"));
  EXPECT_NE(first, hash(R"({"query":"q","texts":["a"]})"));
}

TEST_F(RecordsTest, AKeyOverItsRateIsNotOverload) {
  const std::string path = testing::TempDir() + "records_keys." + std::to_string(::getpid());
  { std::ofstream(path) << "slow long-enough-1 rate=1\n"; }
  auto ring = transport::KeyRing::open("", path);
  ASSERT_TRUE(ring.ok()) << ring.status();
  ApiOptions options;
  options.observers = {kept_};
  options.keys = *std::move(ring);
  restart(options);
  const std::string body = R"({"query":"q","texts":["a"]})";
  const Headers key = {{"authorization", "Bearer long-enough-1"}};
  EXPECT_EQ(call("POST", "/rerank", body, key).status, 200);
  const transport::HttpResponse refused = call("POST", "/rerank", body, key);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(Json(refused.body).text("/error/type"), "rate_limit_error");
  EXPECT_FALSE(header(refused, "Retry-After").empty());
  EXPECT_EQ(observe::reason_of(last()), "rate_limited");
  const std::string text = metrics_->to_text();
  EXPECT_NE(text.find("reason=\"rate_limited\""), std::string::npos);
  EXPECT_EQ(text.find("reason=\"overloaded\""), std::string::npos);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace rerank::api
