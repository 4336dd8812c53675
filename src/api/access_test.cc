// Who may call the Api, from where, and how much of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "api/routes.h"
#include "support/fixtures/api_fixture.h"
#include "transport/memory_budget.h"

namespace rerank::api {
namespace {

using ApiTest = ApiFixture;

TEST_F(ApiTest, AsksForAKeyWhereOneIsSet) {
  ApiOptions options;
  options.api_keys = "secret-1, other-key";
  restart(options);
  const std::string body = R"({"query":"q","texts":["a"]})";
  for (const char* right : {"Bearer secret-1", "bearer other-key", "secret-1", "Bearer  secret-1 "}) {
    EXPECT_EQ(call("POST", "/rerank", body, {{"authorization", right}}).status, 200) << right;
  }
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer None", "Bearer secret-", "Bearer secret-12",
                            "Basic secret-1", "secret-1, other-key"}) {
    const transport::HttpResponse response = call("POST", "/rerank", body, {{"authorization", wrong}});
    EXPECT_EQ(response.status, 401) << wrong;
    EXPECT_FALSE(Json(response.body).text("/detail").empty());
  }
  EXPECT_EQ(call("GET", "/info").status, 401);
  EXPECT_EQ(call("GET", "/v1/models").status, 401);
  for (const char* open : {"/health", "/ping", "/", "/metrics", "/v1/health/ready", "/v1/cluster/auth"}) {
    EXPECT_EQ(call("GET", open).status, 200) << open;
  }
  EXPECT_EQ(call("GET", "/v1/cluster/auth").body, R"({"auth":true})");
}

TEST_F(ApiTest, GuessesAreSlowedByAddress) {
  ApiOptions options;
  options.api_keys = "secret-1";
  restart(options);
  const auto ask = [&](const std::string& peer, const std::string& key) {
    transport::HttpRequest request;
    request.method = "GET";
    request.target = "/info";
    request.headers = {{"authorization", key}};
    request.peer = peer;
    int status = 0;
    api_->handle(std::move(request), [&](transport::HttpResponse response) { status = response.status; });
    return status;
  };
  EXPECT_EQ(ask("proxy", "secret-1"), 200);
  int looked_at = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string guess = "guess-" + std::to_string(i);
    looked_at += ask("10.0.0.1", guess) == 401;
    ask("proxy", guess);
  }
  EXPECT_GE(looked_at, 20);
  EXPECT_LT(looked_at, 500);
  EXPECT_EQ(ask("10.0.0.1", "secret-1"), 429) << "a right guess does not show";
  EXPECT_EQ(ask("10.0.0.2", "secret-1"), 200) << "others are not slowed";
  EXPECT_EQ(ask("proxy", "secret-1"), 200) << "nor who was right before, at the same address";
}

TEST_F(ApiTest, PagesOfOtherSitesMayNotCall) {
  const std::string body = R"({"query":"q","texts":["a"]})";
  const auto ask = [&](const std::string& host, Headers headers) {
    headers.emplace_back("host", host);
    return call("POST", "/rerank", body, std::move(headers)).status;
  };
  ApiOptions local;
  local.local = true;
  for (const bool is_local : {false, true}) {
    restart(is_local ? local : ApiOptions());
    EXPECT_EQ(ask("127.0.0.1:8080", {}), 200) << "no browser";
    EXPECT_EQ(ask("anything", {{"origin", "chrome-extension://abc"}}), 200);
    EXPECT_EQ(ask("127.0.0.1:8080", {{"origin", "http://127.0.0.1:8080"}, {"sec-fetch-site", "same-origin"}}), 200);
    EXPECT_EQ(ask("localhost:8080", {{"origin", "http://localhost:8080"}}), 200);
    EXPECT_EQ(ask("[::1]:8080", {{"sec-fetch-site", "same-origin"}}), 200);
    for (const char* origin : {"http://evil.example", "https://127.0.0.1", "null", "http://127.0.0.1:80800"})
      EXPECT_EQ(ask("127.0.0.1:8080", {{"origin", origin}}), 403) << origin;
    EXPECT_EQ(ask("127.0.0.1:8080", {{"sec-fetch-site", "cross-site"}}), 403) << "a form, which sends no Origin";
    EXPECT_EQ(ask("rerank.corp", {{"origin", "https://rerank.corp"}}), is_local ? 403 : 200)
        << "a name that may have been made to mean this machine";
  }
  local.cors_origins = "https://page";
  restart(local);
  EXPECT_EQ(ask("127.0.0.1", {{"origin", "https://page"}, {"sec-fetch-site", "cross-site"}}), 200);
  EXPECT_EQ(call("GET", "/health", "", {{"origin", "http://evil.example"}}).status, 200) << "tells nothing";
}

TEST_F(ApiTest, TakesAKeyUnderTheNamesThatClientsSendItBy) {
  restart({.api_keys = "secret-1"});
  const std::string body = R"({"query":"q","texts":["a"]})";
  EXPECT_EQ(call("POST", "/rerank", body, {{"x-api-key", "secret-1"}}).status, 200);
  EXPECT_EQ(call("POST", "/rerank", body, {{"api-key", "secret-1"}}).status, 200);
  EXPECT_EQ(call("POST", "/rerank", body, {{"authorization", "Bearer\tsecret-1"}}).status, 200);
  EXPECT_EQ(call("POST", "/rerank", body, {{"x-api-key", "secret-2"}}).status, 401);
  EXPECT_EQ(call("POST", "/rerank", body, {{"authorization", "Bearer wrong"}, {"x-api-key", "secret-1"}}).status, 401);
}

TEST_F(ApiTest, IgnoresKeysWhereNoneIsSet) {
  for (const char* any : {"Bearer ", "Bearer None", "raw", "Basic x"}) {
    EXPECT_EQ(call("POST", "/rerank", R"({"query":"q","texts":["a"]})", {{"authorization", any}}).status, 200);
  }
}

TEST_F(ApiTest, AnswersOptions) {
  const auto headers_of = [](const transport::HttpResponse& response) {
    return std::map<std::string, std::string>(response.headers.begin(), response.headers.end());
  };
  const Headers preflight = {{"origin", "http://page"}, {"access-control-request-headers", "authorization"}};
  transport::HttpResponse response = call("OPTIONS", "/rerank", "", preflight);
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(headers_of(response)["Allow"], "POST, OPTIONS");
  EXPECT_EQ(headers_of(response).count("Access-Control-Allow-Origin"), 0u);
  EXPECT_EQ(headers_of(call("OPTIONS", "/"))["Allow"], "POST, GET, HEAD, OPTIONS");
  EXPECT_EQ(call("OPTIONS", "/nope").status, 404);
  EXPECT_EQ(headers_of(call("OPTIONS", "*"))["Allow"], "GET, HEAD, POST, OPTIONS");
  for (const Route& route : routes()) {
    const std::string target = "/v1/" + std::string(route.pattern);
    EXPECT_EQ(call("OPTIONS", route.pattern == std::string_view("/") ? "/" : target).status, 204) << target;
  }

  ApiOptions options;
  options.cors_origins = "http://page,http://other";
  options.api_keys = "secret-1";
  restart(options);
  auto headers = headers_of(call("OPTIONS", "/rerank", "", preflight));
  EXPECT_EQ(headers["Access-Control-Allow-Origin"], "http://page");
  EXPECT_EQ(headers["Access-Control-Allow-Headers"], "authorization");
  EXPECT_EQ(headers["Access-Control-Allow-Methods"], "POST, OPTIONS");
  headers = headers_of(call("GET", "/info", "", {{"origin", "http://other"}}));
  EXPECT_EQ(headers["Access-Control-Allow-Origin"], "http://other") << "also on errors, so that a page can read them";
  EXPECT_EQ(headers_of(call("GET", "/health", "", {{"origin", "http://evil"}})).count("Access-Control-Allow-Origin"),
            0u);
}

TEST_F(ApiTest, MetricsMayHaveAnAddressOfTheirOwn) {
  const auto status = [&](const char* target, Api::Port port) {
    transport::HttpRequest request{"GET", target, {}, "", nullptr};
    int status = 0;
    api_->handle(
        std::move(request), [&](transport::HttpResponse response) { status = response.status; }, port);
    return status;
  };
  EXPECT_EQ(status("/metrics", Api::Port::kMain), 200);
  ApiOptions options;
  options.metrics_apart = true;
  restart(options);
  EXPECT_EQ(status("/metrics", Api::Port::kMain), 404);
  EXPECT_EQ(status("/health", Api::Port::kMain), 200);
  for (const char* target : {"/metrics", "/health", "/v1/health/live", "/ping"})
    EXPECT_EQ(status(target, Api::Port::kMetrics), 200) << target;
  for (const char* target : {"/", "/info", "/v1/models", "/openapi.json"})
    EXPECT_EQ(status(target, Api::Port::kMetrics), 404) << target;
  EXPECT_EQ(call("GET", "/openapi.json").body.find("\"/metrics\""), std::string::npos);
}

TEST_F(ApiTest, ARequestCountsForItsKey) {
  ApiOptions options;
  options.api_keys = "secret-1";
  restart(options);
  transport::HttpRequest request;
  EXPECT_EQ(api_->client_of(request), std::nullopt) << "refused unread";
  request.headers = {{"x-api-key", "wrong-key"}};
  EXPECT_EQ(api_->client_of(request), std::nullopt);
  request.headers = {{"x-api-key", "secret-1"}};
  EXPECT_EQ(api_->client_of(request), transport::client_of_key("key"));
}

TEST_F(ApiTest, TokensOfAKeyAreWhatItsRequestsCost) {
  const std::string path = testing::TempDir() + "tokens-" + std::to_string(::getpid()) + ".txt";
  std::ofstream(path) << "few secret-1 tokens=1\nmany secret-2\n";
  ApiOptions options;
  options.keys = *transport::KeyRing::open("", path);
  restart(options);
  const std::string body = R"({"query":"q","texts":["a","b","c"]})";
  EXPECT_EQ(call("POST", "/rerank", body, {{"authorization", "secret-1"}}).status, 200);
  const transport::HttpResponse refused = call("POST", "/rerank", body, {{"authorization", "secret-1"}});
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(refused.body.find("tokens"), std::string::npos) << refused.body;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(call("POST", "/rerank", body, {{"authorization", "secret-2"}}).status, 200);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace rerank::api
