// /openapi.json and the page, as a client gets them.
#include <gtest/gtest.h>

#include <simdjson.h>

#include "api/path.h"
#include "api/routes.h"
#include "support/fixtures/api_fixture.h"

namespace rerank::api {
namespace {

class PageTest : public ApiFixture {};

TEST_F(PageTest, BrowsersGetThePageAndProbesTheHealth) {
  const transport::HttpResponse page = call("GET", "/", "", {{"accept", "text/html,application/xhtml+xml,*/*;q=0.8"}});
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(page.body.find("http://"), std::string::npos) << "the page works without a network";
  EXPECT_EQ(call("GET", "/", "", {{"accept", "*/*"}}).body, R"({"status":"ok"})");
}

TEST_F(PageTest, TheDescriptionCanBeRead) {
  const transport::HttpResponse page = call("GET", "/docs", "", {{"accept", "text/html"}});
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(page.body.find("http://"), std::string::npos);
}

TEST_F(PageTest, RerankAnswersTellWhereTheTimeWent) {
  const transport::HttpResponse answer = post(R"({"query": "q", "documents": ["a"]})");
  bool told = false;
  for (const auto& [name, value] : answer.headers)
    told |= name == "Server-Timing" && value.find("compute;dur=") != value.npos;
  EXPECT_TRUE(told);
}

TEST(OpenapiTest, DescribesEveryRouteAndResolvesEveryReference) {
  const std::string text = openapi_json(/*needs_key=*/true);
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  ASSERT_FALSE(parser.parse(text).get(root));
  EXPECT_EQ(std::string_view(root["openapi"]), "3.1.0");
  for (const Route& route : routes()) {
    if (route.reach == Reach::kAdmin) continue;  // not served where clients read this
    bool described = false;
    for (const auto& [path, item] : simdjson::dom::object(root["paths"])) {
      simdjson::dom::element operation;
      if (item[route.method[0] == 'G' ? "get" : "post"].get(operation)) continue;
      described |= path_matches(path == "/" ? "" : path, route.pattern);
    }
    EXPECT_TRUE(described) << route.method << " " << route.pattern;
  }
  for (size_t at = text.find("#/components/schemas/"); at != std::string::npos;
       at = text.find("#/components", at + 1)) {
    const std::string name = text.substr(at + 21, text.find('"', at) - at - 21);
    simdjson::dom::element schema;
    EXPECT_FALSE(root["components"]["schemas"][name].get(schema)) << name;
  }
}

TEST(OpenapiTest, AsksForAKeyOnlyWhereOneIsNeeded) {
  EXPECT_EQ(openapi_json(false).find("securitySchemes"), std::string::npos);
  EXPECT_NE(openapi_json(true).find("securitySchemes"), std::string::npos);
}

}  // namespace
}  // namespace rerank::api
