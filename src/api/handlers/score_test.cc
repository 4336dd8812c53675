// vLLM's /score, TEI's /predict and /tokenize.
#include <gtest/gtest.h>

#include <string>

#include "support/fixtures/api_fixture.h"
#include "support/process/memory.h"

namespace rerank::api {
namespace {

using ScoreTest = ApiFixture;

TEST_F(ScoreTest, ScoresOneAgainstMany) {
  for (const char* names : {R"("queries":"q","documents")", R"("queries":["q"],"items")", R"("data_1":"q","data_2")",
                            R"("text_1":"q","text_2")"}) {
    const transport::HttpResponse response = post(std::string("{") + names + R"(:["a","b","c"]})", "/v1/score");
    ASSERT_EQ(response.status, 200) << response.body;
    const Json json(response.body);
    ASSERT_EQ(json.size("/data"), 3u);
    for (int i = 0; i < 3; ++i) {
      const std::string at = "/data/" + std::to_string(i);
      EXPECT_EQ(json.number(at + "/index"), i) << "in input order";
      EXPECT_EQ(json.text(at + "/object"), "score");
      EXPECT_EQ(static_cast<float>(json.number(at + "/score")),
                fake_sigmoid(fake_logit("q", std::string(1, static_cast<char>('a' + i)))));
    }
    EXPECT_EQ(json.text("/object"), "list");
    EXPECT_GT(json.number("/usage/total_tokens"), 0);
  }
  EXPECT_EQ(fake_.submitted(), 4u) << "one request for all documents of a query";
}

TEST_F(ScoreTest, ScoresPairwise) {
  const Json json(post(R"({"text_1":["p","q"],"text_2":["a","b"],"use_activation":false})", "/score").body);
  EXPECT_EQ(static_cast<float>(json.number("/data/0/score")), fake_logit("p", "a"));
  EXPECT_EQ(static_cast<float>(json.number("/data/1/score")), fake_logit("q", "b"));
  EXPECT_EQ(post(R"({"text_1":["p","q"],"text_2":["a","b","c"]})", "/score").status, 422);
  EXPECT_EQ(post(R"({"text_1":["p","q"]})", "/score").status, 422);
  EXPECT_EQ(post(R"({"text_1":"p","text_2":[]})", "/score").status, 400);
  EXPECT_EQ(post("{", "/score").status, 400);
}

TEST_F(ScoreTest, OneQueryIsNotCopiedForEachText) {
  std::string texts = "\"a\"";
  for (int i = 1; i < 10000; ++i) texts += ",\"a\"";
  const MemoryGrowth growth;
  EXPECT_EQ(post(R"({"text_1":")" + std::string(100000, 'q') + R"(","text_2":[)" + texts + "]}", "/score").status, 200);
  EXPECT_EQ(fake_.last().documents.size(), 10000u);
  EXPECT_LT(growth.bytes(), size_t{100} << 20) << "copies would be a gigabyte";
}

// Each query of its own makes a request of its own, with all settings.
TEST_F(ScoreTest, AnInstructionIsNotCopiedWithoutBound) {
  std::string queries, texts;
  for (int i = 0; i < 10000; ++i) {
    queries += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\"";
    texts += i == 0 ? "\"a\"" : ",\"a\"";
  }
  const auto body = [&](size_t bytes) {
    return R"({"instruction":")" + std::string(bytes, 'i') + R"(","text_1":[)" + queries + R"(],"text_2":[)" + texts +
           "]}";
  };
  const MemoryGrowth growth;
  const transport::HttpResponse refused = post(body(300000), "/score");
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.find("`instruction` has 300000 bytes"), std::string::npos) << refused.body;
  EXPECT_LT(growth.bytes(), size_t{100} << 20) << "copies would be 3 gigabytes";

  const auto budget = std::make_shared<transport::MemoryBudget>(size_t{64} << 20);
  transport::HttpRequest request{.method = "POST", .target = "/score", .body = body(8000)};
  request.memory = std::make_shared<transport::MemoryHold>(budget, "a client");
  EXPECT_EQ(handle(std::move(request)).status, 413)
      << "copies would be 80 megabytes, of which half may be this client's";
  EXPECT_EQ(budget->held(), 0u);
}

TEST_F(ScoreTest, PairsThatFollowAFailureAreNotComputed) {
  fake_.fail_with(absl::InvalidArgumentError("broken"));
  EXPECT_EQ(post(R"({"text_1":["p","q","r"],"text_2":["a","b","c"]})", "/score").status, 422);
  EXPECT_EQ(fake_.submitted(), 1u);
}

TEST_F(ScoreTest, OneFailureFailsAll) {
  fake_.fail_with(absl::InternalError("broken"));
  const transport::HttpResponse response = post(R"({"text_1":["p","q"],"text_2":["a","b"]})", "/score");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(Json(response.body).text("/detail"), "broken");
}

TEST_F(ScoreTest, PredictsPairs) {
  const Json one(post(R"({"inputs":["q","a"]})", "/predict").body);
  EXPECT_EQ(static_cast<float>(one.number("/0/score")), fake_sigmoid(fake_logit("q", "a")));
  EXPECT_EQ(one.text("/0/label"), "LABEL_0");
  const Json many(post(R"({"inputs":[["q","a"],["p","b"]],"raw_scores":true,"truncate":true})", "/predict").body);
  EXPECT_EQ(static_cast<float>(many.number("/0/0/score")), fake_logit("q", "a"));
  EXPECT_EQ(static_cast<float>(many.number("/1/0/score")), fake_logit("p", "b"));
  for (const char* inputs :
       {"\"alone\"", "[]", "[[\"a\"]]", "[[\"a\",\"b\",\"c\"]]", "[\"a\",1]", "[[\"a\",\"b\"],\"c\"]", "null"}) {
    const transport::HttpResponse response = post(std::string(R"({"inputs":)") + inputs + "}", "/predict");
    EXPECT_EQ(response.status, 422) << inputs;
    EXPECT_EQ(Json(response.body).text("/error_type"), "Validation");
  }
}

TEST_F(ScoreTest, Tokenizes) {
  const Json json(post(R"({"inputs":["ab","é"]})", "/tokenize").body);
  ASSERT_EQ(json.size(""), 2u);
  EXPECT_EQ(json.size("/0"), 4u);
  EXPECT_EQ(json.text("/0/0/text"), "[CLS]");
  EXPECT_TRUE(json.find("/0/0/special")->IsTrue());
  EXPECT_EQ(json.number("/0/1/id"), 'a' + 10);
  EXPECT_EQ(json.text("/1/1/text"), "\xEF\xBF\xBD") << "half a character";
  EXPECT_TRUE(json.is_null("/0/0/start"));
  EXPECT_EQ(json.number("/1/2/start"), 1);
  EXPECT_EQ(json.number("/1/2/stop"), 2);
  EXPECT_EQ(Json(post(R"({"inputs":"ab","add_special_tokens":false})", "/tokenize").body).size("/0"), 2u);
  EXPECT_EQ(post(R"({"inputs":[1]})", "/tokenize").status, 422);
  EXPECT_EQ(post(R"({"inputs":")" + std::string(2 << 20, 'x') + "\"}", "/tokenize").status, 422);
}

// A byte is a token, which takes 70 bytes: one text, or many, ask for more than an answer may be.
TEST_F(ScoreTest, TokensBeyondTheAnswersLimitAreRefused) {
  ApiOptions options;
  options.max_text_bytes = 1u << 20;
  restart(options);
  const auto tokens_of = [&](size_t texts, size_t bytes) {
    std::string inputs;
    for (size_t i = 0; i < texts; ++i) inputs += (i ? ",\"" : "\"") + std::string(bytes, '\xDD') + "\"";
    return post(R"({"inputs":[)" + inputs + "]}", "/tokenize");
  };
  EXPECT_EQ(tokens_of(1, 2000).status, 200);
  for (const auto& refused : {tokens_of(1, 200000), tokens_of(100, 2000)}) {
    EXPECT_EQ(refused.status, 413);
    EXPECT_NE(refused.body.find("send fewer texts"), std::string::npos) << refused.body;
  }
}

TEST_F(ScoreTest, Decodes) {
  EXPECT_EQ(post(R"({"ids":[1,107,108,2]})", "/decode").body, R"(["ab"])");
  EXPECT_EQ(post(R"({"ids":[[1,107],[108]],"skip_special_tokens":false})", "/decode").body, R"(["[CLS]a","b"])");
  EXPECT_EQ(post(R"({"ids":[4294967295,99999999999999999999,107.0]})", "/decode").body, R"(["a"])") << "no such tokens";
  for (const char* ids : {"[]", "[[]]", "[[1],2]", "[1,[2]]", "[-1]", "[1.5]", "\"1\"", "null", "[null]"}) {
    const transport::HttpResponse response = post(std::string(R"({"ids":)") + ids + "}", "/decode");
    EXPECT_EQ(response.status, 422) << ids;
    EXPECT_EQ(Json(response.body).text("/error_type"), "Validation");
  }
}

TEST_F(ScoreTest, SaysWhereTheTimeWent) {
  const auto names = [](const transport::HttpResponse& response) {
    std::string all;
    for (const auto& [name, value] : response.headers) all += name + " ";
    return all;
  };
  EXPECT_NE(names(post(R"({"inputs":["q","a"]})", "/predict")).find("x-inference-time"), std::string::npos);
  EXPECT_NE(names(post(R"({"text_1":"q","text_2":"a"})", "/score")).find("Server-Timing"), std::string::npos);
}

}  // namespace
}  // namespace rerank::api
