// Every dialect and every route, over a reranker without a model.
#include "api/api.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "api/routes.h"
#include "support/fixtures/api_fixture.h"
#include "support/process/memory.h"

namespace rerank::api {
namespace {

using ApiTest = ApiFixture;

bool sorted_down(const std::vector<double>& numbers) { return std::is_sorted(numbers.rbegin(), numbers.rend()); }

// ---- Dialect T

TEST_F(ApiTest, TeiAnswersABareSortedArray) {
  const transport::HttpResponse response =
      post(R"({"query":"q","texts":["a","b","c"],"raw_scores":false,"truncate":true})");
  ASSERT_EQ(response.status, 200);
  const Json json(response.body);
  ASSERT_EQ(json.size(""), 3u);
  EXPECT_TRUE(sorted_down(json.numbers("", "score")));
  for (int i = 0; i < 3; ++i) {
    const std::string at = "/" + std::to_string(i);
    const size_t index = static_cast<size_t>(json.number(at + "/index"));
    const float score = fake_sigmoid(fake_logit("q", std::string(1, static_cast<char>('a' + index))));
    EXPECT_EQ(static_cast<float>(json.number(at + "/score")), score) << "must read back exactly";
    EXPECT_FALSE(json.has(at + "/text"));
  }
}

TEST_F(ApiTest, TeiReturnsTextAndRawScoresWhenAsked) {
  const Json json(post(R"({"query":"q","texts":["a","b"],"return_text":true,"raw_scores":true})").body);
  for (const char* at : {"/0", "/1"}) {
    const std::string text = json.number(std::string(at) + "/index") == 0 ? "a" : "b";
    EXPECT_EQ(json.text(std::string(at) + "/text"), text);
    EXPECT_EQ(static_cast<float>(json.number(std::string(at) + "/score")), fake_logit("q", text));
  }
}

TEST_F(ApiTest, TeiReadsTruncation) {
  post(R"({"query":"q","texts":["a"]})");
  EXPECT_TRUE(fake_.last().truncate);
  EXPECT_EQ(fake_.last().truncation_side, TruncationSide::kRight);
  post(R"({"query":"q","texts":["a"],"truncate":null,"truncation_direction":null})");
  EXPECT_TRUE(fake_.last().truncate);
  post(R"({"query":"q","texts":["a"],"truncate":false,"truncation_direction":"Left"})");
  EXPECT_FALSE(fake_.last().truncate);
  EXPECT_EQ(fake_.last().truncation_side, TruncationSide::kLeft);
  post(R"({"query":"q","texts":["a"],"truncation_direction":"right"})");
  EXPECT_EQ(fake_.last().truncation_side, TruncationSide::kRight);
  EXPECT_EQ(post(R"({"query":"q","texts":["a"],"truncation_direction":"up"})").status, 422);
}

TEST_F(ApiTest, TeiIgnoresForeignFieldsAndHonoursTopN) {
  const Json json(post(R"({"model":"m","query":"q","texts":["a","b","c"],"top_n":2,"foo":{"bar":[1]}})").body);
  EXPECT_EQ(json.size(""), 2u);
}

TEST_F(ApiTest, TeiSendsTimingHeaders) {
  const transport::HttpResponse response = post(R"({"query":"qé","texts":["ab","c"]})");
  std::map<std::string, std::string> headers(response.headers.begin(), response.headers.end());
  EXPECT_EQ(headers["x-compute-type"], "cpu");
  EXPECT_EQ(headers["x-total-time"], "5");
  EXPECT_EQ(headers["x-compute-characters"], "7");
  for (const char* name :
       {"x-compute-time", "x-compute-tokens", "x-tokenization-time", "x-queue-time", "x-inference-time"}) {
    EXPECT_EQ(headers.count(name), 1u) << name;
  }
}

// ---- Dialect D

TEST_F(ApiTest, CommonAnswersEverythingThatClientsRead) {
  const transport::HttpResponse response =
      post(R"({"model":"bge","query":"q","documents":["a","b","c"],"top_n":2})", "/v1/rerank");
  ASSERT_EQ(response.status, 200);
  const Json json(response.body);
  EXPECT_EQ(json.text("/model"), "fake-reranker");
  EXPECT_EQ(json.text("/id").substr(0, 7), "rerank-");
  EXPECT_EQ(json.size("/results"), 2u);
  EXPECT_TRUE(sorted_down(json.numbers("/results", "relevance_score")));
  EXPECT_GT(json.number("/usage/total_tokens"), 0);
  EXPECT_EQ(json.number("/usage/prompt_tokens"), json.number("/usage/total_tokens"));
  EXPECT_EQ(json.text("/meta/api_version/version"), "2");
  EXPECT_EQ(json.number("/meta/billed_units/search_units"), 1);
  EXPECT_EQ(json.number("/meta/tokens/input_tokens"), json.number("/usage/total_tokens"));
  EXPECT_EQ(json.number("/meta/tokens/output_tokens"), 0);
  EXPECT_TRUE(json.has("/results/0/document/text"));
  EXPECT_FALSE(json.has("/object")) << "infinity_client accepts only \"rerank\" here";
}

TEST_F(ApiTest, WhatTheReaderShouldKnowIsInTheAnswersMeta) {
  EXPECT_EQ(post(R"({"query":"q","documents":["a"]})").body.find("warnings"), std::string::npos);
  fake_.warn("97 % of the tokens are unknown");
  EXPECT_EQ(Json(post(R"({"query":"q","documents":["a"]})").body).text("/meta/warnings/0"),
            "97 % of the tokens are unknown");
}

TEST_F(ApiTest, CommonSendsDocumentsAsAskedElseByDefault) {
  const std::string asked = R"({"query":"q","documents":["a"],"return_documents":)";
  EXPECT_TRUE(Json(post(asked + "true}").body).has("/results/0/document/text"));
  EXPECT_TRUE(Json(post(asked + "\"true\"}").body).has("/results/0/document/text"));
  EXPECT_TRUE(Json(post(asked + "null}").body).has("/results/0/document/text"));
  EXPECT_FALSE(Json(post(asked + "false}").body).has("/results/0/document"));
  EXPECT_FALSE(Json(post(asked + "\"False\"}").body).has("/results/0/document"));
  EXPECT_FALSE(Json(post(asked + "null}", "/api/rerank").body).has("/results/0/document"));
  EXPECT_TRUE(Json(post(asked + "true}", "/api/rerank").body).has("/results/0/document"));
  ApiOptions options;
  options.return_documents = false;
  restart(options);
  EXPECT_FALSE(Json(post(asked + "null}").body).has("/results/0/document"));
  EXPECT_TRUE(Json(post(asked + "true}").body).has("/results/0/document"));
}

TEST_F(ApiTest, CommonReadsTopNLeniently) {
  for (const char* top_n : {"null", "0", "-1", "3", "4", "18446744073709551615", "1e300", "-1e300", "3.0"}) {
    const Json json(post(std::string(R"({"query":"q","documents":["a","b","c"],"top_n":)") + top_n + "}").body);
    EXPECT_EQ(json.size("/results"), 3u) << top_n;
  }
  EXPECT_EQ(Json(post(R"({"query":"q","documents":["a","b","c"],"top_n":1})").body).size("/results"), 1u);
  for (const char* top_n : {"\"1\"", "\" 1 \""})
    EXPECT_EQ(
        Json(post(std::string(R"({"query":"q","documents":["a","b"],"top_n":)") + top_n + "}").body).size("/results"),
        1u)
        << top_n;
  EXPECT_EQ(Json(post(R"({"query":"q","documents":["a","b"],"top_n":""})").body).size("/results"), 2u);
  for (const char* top_n : {"\"two\"", "\"1.5\"", "1.5", "[1]", "true"}) {
    EXPECT_EQ(post(std::string(R"({"query":"q","documents":["a"],"top_n":)") + top_n + "}").status, 422) << top_n;
  }
}

TEST_F(ApiTest, CommonReadsDocumentsOfEveryShape) {
  const transport::HttpResponse response = post(R"({"query":{"text":"q"},"documents":["a",{"text":"b"},
      {"content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]},{"content":"e"},"",{"text":""}]})");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(fake_.last().query, "q");
  EXPECT_EQ(fake_.last().documents, (std::vector<std::string>{"a", "b", "c\nd", "e", "", ""}));
  post(R"({"query":"","documents":"alone"})");
  EXPECT_EQ(fake_.last().query, "");
  EXPECT_EQ(fake_.last().documents, std::vector<std::string>{"alone"});
}

TEST_F(ApiTest, CommonJoinsRankFields) {
  post(R"({"query":"q","documents":[{"title":"T","body":"B","year":1999,"x":"X"},"plain",{"body":"only"}],
          "rank_fields":["title","body","year","none"]})");
  EXPECT_EQ(fake_.last().documents, (std::vector<std::string>{"T\nB\n1999", "plain", "only"}));
  EXPECT_EQ(post(R"({"query":"q","documents":[{"title":"T","kind":"K"}]})").status, 422);
  EXPECT_EQ(post(R"({"query":"q","documents":[{"text":"T"}],"rank_fields":[1]})").status, 422);
}

TEST_F(ApiTest, WhatFieldsAreJoinedToIsBounded) {
  const auto body = [](size_t fields, size_t bytes, size_t documents) {
    std::string names, texts;
    for (size_t i = 0; i < fields; ++i) names += i ? ",\"a\"" : "\"a\"";
    for (size_t i = 0; i < documents; ++i)
      texts += (i ? "," : "") + std::string("{\"a\":\"") + std::string(bytes, 'x') + "\"}";
    return R"({"query":"q","documents":[)" + texts + R"(],"rank_fields":[)" + names + "]}";
  };
  ApiOptions options;
  options.max_text_bytes = 1u << 20;
  restart(options);
  EXPECT_EQ(post(body(2, 1000, 100)).status, 200) << "a field may be named twice";
  EXPECT_EQ(fake_.last().documents[99], std::string(1000, 'x') + "\n" + std::string(1000, 'x'));
  const transport::HttpResponse fields = post(body(33, 10, 1));
  EXPECT_EQ(fields.status, 422);
  EXPECT_NE(fields.body.find("33 fields"), std::string::npos) << fields.body;
  const MemoryGrowth growth;
  for (const std::string& large : {body(32, 40000, 1), body(32, 1000, 40), body(32, 4 << 20, 8)}) {
    const transport::HttpResponse refused = post(large);
    EXPECT_EQ(refused.status, 413);
    EXPECT_NE(refused.body.find("name fewer fields"), std::string::npos) << refused.body;
  }
  EXPECT_EQ(post(body(20000, 100000, 1)).status, 422) << "180 KB that asked for 2 GB";
  EXPECT_LT(growth.bytes(), size_t{500} << 20) << "unbounded it would be 2 GB; sanitizers add some";
}

TEST_F(ApiTest, CommonReadsLimitsAndScales) {
  post(
      R"({"query":"q","documents":["a"],"truncate_prompt_tokens":128,"truncation_side":"left","max_tokens_per_query":32,
          "max_tokens_per_doc":64,"truncation":false})");
  EXPECT_EQ(fake_.last().max_length, 128u);
  EXPECT_EQ(fake_.last().max_query_tokens, 32u);
  EXPECT_EQ(fake_.last().max_document_tokens, 64u);
  EXPECT_EQ(fake_.last().truncation_side, TruncationSide::kLeft);
  EXPECT_FALSE(fake_.last().truncate);
  EXPECT_EQ(fake_.last().scale, ScoreScale::kAuto) << "as the server is set";
  post(R"({"query":"q","documents":["a"],"truncate_prompt_tokens":-1,"max_tokens_per_doc":null})");
  EXPECT_EQ(fake_.last().max_length, 0u);
  EXPECT_EQ(fake_.last().max_document_tokens, 0u);
  EXPECT_TRUE(fake_.last().truncate);
  for (const char* wish : {"\"raw_scores\":true", "\"use_activation\":false"}) {
    post(std::string(R"({"query":"q","documents":["a"],)") + wish + "}");
    EXPECT_EQ(fake_.last().scale, ScoreScale::kLogit) << wish;
  }
  for (const char* wish : {"\"raw_scores\":false", "\"use_activation\":true"}) {
    post(std::string(R"({"query":"q","documents":["a"],)") + wish + "}");
    EXPECT_EQ(fake_.last().scale, ScoreScale::kSigmoid) << wish;
  }
}

TEST_F(ApiTest, InstructionsOfEveryDialect) {
  for (const char* body : {R"({"query":"q","documents":["a"],)", R"({"query":"q","texts":["a"],)",
                           R"({"query":{"text":"q"},"passages":[{"text":"a"}],)", R"({"query":"q","input":["a"],)"}) {
    for (const char* name : {"instruction", "instruct"}) {
      post(std::string(body) + '"' + name + R"(":"find bears"})");
      EXPECT_EQ(fake_.last().instruction, "find bears") << body;
    }
    post(std::string(body) + R"("instruction":""})");
    EXPECT_EQ(fake_.last().instruction, std::nullopt) << body;
    EXPECT_EQ(post(std::string(body) + R"("instruction":7})").status, 422) << body;
  }
}

TEST_F(ApiTest, LongDocumentsAreTreatedAsTheRequestSays) {
  post(R"({"query":"q","documents":["a"],"max_chunks_per_doc":1024,"overlap_tokens":80})");
  EXPECT_FALSE(fake_.last().truncation.has_value());  // sent by clients that nobody told to
  EXPECT_EQ(fake_.last().max_chunks, 1024u);
  EXPECT_EQ(fake_.last().chunk_overlap, 80u);
  for (const char* texts : {"texts", "documents"}) {
    const std::string start = std::string(R"({"query":"q",")") + texts + R"(":["a"],)";
    post(start + R"("truncation_strategy":"query_aware","chunk_score":"top2"})");
    EXPECT_EQ(fake_.last().truncation, Truncation::kQueryAware);
    EXPECT_EQ(fake_.last().chunk_best, 2u);
    EXPECT_EQ(post(start + R"("truncation_strategy":"middle"})").status, 422);
    EXPECT_EQ(post(start + R"("chunk_score":"min"})").status, 422);
  }
  const Json json(post(R"({"query":"q","documents":["a"],"return_truncation":true})").body);
  EXPECT_EQ(json.number("/results/0/truncation/document_tokens"), 0);
  EXPECT_EQ(
      post(R"({"query":"q","texts":["a"],"return_truncation":true})").body.find("\"kept\":[]") == std::string::npos,
      false);
}

TEST_F(ApiTest, TextsWinOverDocuments) {
  EXPECT_EQ(Json(post(R"({"query":"q","texts":["a","b"],"documents":["c"]})").body).size(""), 2u);
  EXPECT_EQ(Json(post(R"({"query":"q","texts":null,"documents":["c"]})").body).size("/results"), 1u);
}

// ---- The other dialects

TEST_F(ApiTest, NvidiaRanksPassageObjectsByLogit) {
  const transport::HttpResponse response =
      post(R"({"model":"m","query":{"text":"q"},"passages":[{"text":"a"},{"text":"b"}],"truncate":"END","top_n":2})",
           "/v1/ranking");
  ASSERT_EQ(response.status, 200);
  const Json json(response.body);
  EXPECT_TRUE(sorted_down(json.numbers("/rankings", "logit")));
  EXPECT_EQ(static_cast<float>(json.number("/rankings/0/logit")), std::max(fake_logit("q", "a"), fake_logit("q", "b")));
  EXPECT_GT(json.number("/usage/total_tokens"), 0);
  const std::string body = R"({"query":{"text":"q"},"passages":[{"text":"a"}],"truncate":")";
  post(body + "NONE\"}");
  EXPECT_FALSE(fake_.last().truncate);
  post(body + "START\"}");
  EXPECT_EQ(fake_.last().truncation_side, TruncationSide::kLeft);
  EXPECT_EQ(post(body + "MIDDLE\"}").status, 422);
}

TEST_F(ApiTest, QanythingAnswersScoresInInputOrder) {
  const Json json(post(R"({"query":"q","passages":["a","b","c"]})").body);
  ASSERT_EQ(json.size(""), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(static_cast<float>(json.number("/" + std::to_string(i))),
              fake_sigmoid(fake_logit("q", std::string(1, static_cast<char>('a' + i)))));
  }
}

TEST_F(ApiTest, VoyageIsRecognisedByTopK) {
  const Json json(
      post(R"({"query":"q","documents":["a","b"],"model":"m","top_k":1,"return_documents":true,"truncation":true})")
          .body);
  ASSERT_EQ(json.size("/data"), 1u);
  EXPECT_EQ(json.text("/data/0/document"), json.number("/data/0/index") == 0 ? "a" : "b");
  EXPECT_TRUE(json.has("/data/0/relevance_score"));
  EXPECT_GT(json.number("/usage/total_tokens"), 0);
  EXPECT_TRUE(Json(post(R"({"query":"q","documents":["a","b"],"top_k":null})").body).has("/data/1"));
  EXPECT_TRUE(Json(post(R"({"query":"q","documents":["a","b"],"top_k":1,"top_n":1})").body).has("/results/0"));
}

TEST_F(ApiTest, MixedbreadReadsInput) {
  const Json json(
      post(R"({"model":"m","query":"q","input":["a","b"],"top_k":1,"return_input":true})", "/v1/reranking").body);
  ASSERT_EQ(json.size("/data"), 1u);
  EXPECT_EQ(json.text("/data/0/input"), json.number("/data/0/index") == 0 ? "a" : "b");
  EXPECT_TRUE(json.has("/data/0/score"));
  EXPECT_EQ(json.number("/top_k"), 1);
  EXPECT_FALSE(Json(post(R"({"query":"q","input":["a"]})").body).has("/data/0/input"));
}

// ---- Routes

TEST_F(ApiTest, ReranksUnderEveryPrefix) {
  for (const char* target :
       {"/rerank", "//rerank", "/rerank/", "/v1/rerank", "/v2/rerank", "/v1/v1/rerank", "/v1/v2/rerank", "/api/rerank",
        "/api/v1/rerank", "/v1/rerank/v1/rerank", "/v1/retrieval/nvidia/some-model/reranking", "/v1/reranking",
        "/v1/ranking", "/invocations", "/", "/proxy/path/rerank?x=/y", "http://host:80/v1/rerank", "/v1//rerank//"}) {
    EXPECT_EQ(post(R"({"query":"q","texts":["a"]})", target).status, 200) << target;
    EXPECT_EQ(post(R"({"query":"q","documents":["a"]})", target).status, 200) << target;
  }
  for (const char* target : {"/v1", "/rerankx", "/xrerank", "/v1/embeddings", "/rerank/x", "", "*"}) {
    const transport::HttpResponse response = post(R"({"query":"q","texts":["a"]})", target);
    EXPECT_EQ(response.status, std::string(target).empty() ? 200 : 404) << target;
  }
}

TEST_F(ApiTest, UnknownPathsAndMethodsAreErrors) {
  const transport::HttpResponse unknown = call("GET", "/nope");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(Json(unknown.body).text("/detail").substr(0, 9), "Not Found");
  const transport::HttpResponse wrong = call("GET", "/rerank");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at(0), (std::pair<std::string, std::string>("Allow", "POST")));
  EXPECT_EQ(call("DELETE", "/v1/models").status, 405);
}

TEST_F(ApiTest, HealthFollowsReadiness) {
  for (const char* target : {"/health", "/", "/ping", "/v1/health/ready"}) {
    fake_.set_ready(true);
    EXPECT_EQ(call("GET", target).status, 200) << target;
    EXPECT_EQ(call("HEAD", target).status, 200) << target;
    fake_.set_ready(false);
    const transport::HttpResponse response = call("GET", target);
    EXPECT_EQ(response.status, 503) << target;
    EXPECT_EQ(Json(response.body).text("/error_type"), "Unhealthy");
  }
  EXPECT_EQ(call("GET", "/v1/health/live").status, 200);
}

TEST_F(ApiTest, InfoSpeaksTei) {
  const Json json(call("GET", "/info").body);
  EXPECT_EQ(json.text("/model_id"), "fake-reranker");
  EXPECT_EQ(json.text("/model_dtype"), "float32");
  ASSERT_TRUE(json.has("/model_type"));
  EXPECT_STREQ(json.find("/model_type")->MemberBegin()->name.GetString(), "reranker") << "Dify reads the first key";
  EXPECT_EQ(json.text("/model_type/reranker/id2label/0"), "LABEL_0");
  EXPECT_EQ(json.number("/model_type/reranker/label2id/LABEL_0"), 0);
  EXPECT_EQ(json.number("/max_input_length"), 512);
  EXPECT_EQ(json.number("/max_client_batch_size"), 10000);
  for (const char* key :
       {"/model_sha", "/max_concurrent_requests", "/max_batch_tokens", "/max_batch_requests", "/auto_truncate",
        "/tokenization_workers", "/version", "/engine", "/precision", "/kernel", "/fingerprint"}) {
    EXPECT_TRUE(json.has(key)) << key;
  }
}

TEST_F(ApiTest, ListsAndDescribesTheModel) {
  const Json list(call("GET", "/v1/models").body);
  EXPECT_EQ(list.text("/object"), "list");
  EXPECT_EQ(list.text("/data/0/id"), "fake-reranker");
  EXPECT_EQ(list.text("/data/0/model_type"), "rerank");
  EXPECT_EQ(list.number("/data/0/max_model_len"), 512);
  EXPECT_EQ(list.number("/data/0/context_length"), 512);
  EXPECT_EQ(call("GET", "/models").status, 200);
  for (const char* target : {"/v1/models/fake-reranker", "/v1/models/BAAI/bge-reranker-v2-m3", "/models/x"}) {
    const Json json(call("GET", target).body);
    EXPECT_EQ(json.text("/id"), "fake-reranker") << target;
    EXPECT_EQ(json.text("/model_type"), "rerank");
  }
}

TEST_F(ApiTest, TellsXinferenceClientsThatNoKeyIsNeeded) {
  EXPECT_EQ(call("GET", "/v1/cluster/auth").body, R"({"auth":false})");
}

TEST_F(ApiTest, ServesPathsAsClientsWriteThem) {
  const std::string body = R"({"query":"q","documents":["a"]})";
  for (const char* path :
       {"/v1/reranks", "/compatible-api/v1/reranks", "/v1/re-rank", "/V1/Rerank", "/v1/%72erank", "/v1/re%2Drank"})
    EXPECT_EQ(call("POST", path, body).status, 200) << path;
  for (const char* path : {"/v1%2Frerank", "/v1/%rerank", "/v1/rerank%", "/v1/xrerank"})
    EXPECT_EQ(call("POST", path, body).status, 404) << path;
}

TEST_F(ApiTest, ReadsFlagsAndDocumentsAsClientsWriteThem) {
  const auto documents = [&](const std::string& flag) {
    return Json(post(R"({"query":"q","documents":["a"],"return_documents":)" + flag + "}").body)
        .has("/results/0/document");
  };
  for (const char* yes : {"1", "\"1\"", "\"True\"", "true", "\"\""}) EXPECT_TRUE(documents(yes)) << yes;
  for (const char* no : {"0", "\"0\"", "\"false\""}) EXPECT_FALSE(documents(no)) << no;
  EXPECT_EQ(post(R"({"query":"q","documents":["a"],"return_documents":2})").status, 422);
  for (const char* key : {"text", "content", "page_content", "body", "value", "passage", "anything"}) {
    EXPECT_EQ(post(std::string(R"({"query":"q","documents":[{"id":7,")") + key + R"(":"a"}]})").status, 200) << key;
    EXPECT_EQ(fake_.last().documents.at(0), "a") << key;
  }
  for (const char* unclear : {R"({"x":"a","y":"b"})", R"({"image":"a"})", R"({"id":"a"})", R"({"x":1})"})
    EXPECT_EQ(post(std::string(R"({"query":"q","documents":[)") + unclear + "]}").status, 422) << unclear;
  EXPECT_EQ(Json(post(R"({"query":"q","documents":["a","b"],"texts":true})").body).size(""), 2u)
      << "as llama.cpp answers it";
}

TEST_F(ApiTest, CountsRequestsByDialectAndStatus) {
  post(R"({"query":"q","texts":["a"]})");
  post(R"({"query":"q","texts":[]})");
  post(R"({"query":"q","documents":["a"]})");
  call("GET", "/nope");
  const transport::HttpResponse response = call("GET", "/metrics");
  EXPECT_EQ(response.content_type.substr(0, 10), "text/plain");
  for (const char* line :
       {R"(rerankd_http_requests_total{dialect="tei",kind="rank",reason="ok",status="200"} 1)",
        R"(rerankd_http_requests_total{dialect="tei",kind="rank",reason="malformed",status="400"} 1)",
        R"(rerankd_http_requests_total{dialect="common",kind="rank",reason="ok",status="200"} 1)",
        R"(rerankd_http_requests_total{dialect="none",kind="other",reason="no_route",status="404"} 1)",
        R"(rerankd_http_request_duration_seconds_count{dialect="tei"} 2)"}) {
    EXPECT_NE(response.body.find(line), std::string::npos) << line << "\nin\n" << response.body;
  }
}

TEST_F(ApiTest, PassesTheCancellationOn) {
  transport::HttpRequest request;
  request.method = "POST";
  request.target = "/rerank";
  request.body = R"({"query":"q","texts":["a"]})";
  request.cancellation = std::make_shared<Cancellation>();
  const auto cancellation = request.cancellation;
  api_->handle(std::move(request), [](transport::HttpResponse) {});
  EXPECT_EQ(fake_.last().cancellation, cancellation);
}

TEST_F(ApiTest, MayGoBeforeItsAnswers) {
  fake_.hold();
  std::vector<int> statuses;
  transport::HttpRequest request;
  request.method = "POST";
  request.target = "/rerank";
  request.body = R"({"query":"q","documents":["a"]})";
  api_->handle(std::move(request), [&](transport::HttpResponse response) { statuses.push_back(response.status); });
  api_.reset();
  metrics_.reset();
  std::thread([&] { fake_.release(); }).join();
  EXPECT_EQ(statuses, std::vector<int>{200});
}

TEST_F(ApiTest, NumbersOfAnySizeAreNumbers) {
  for (const char* number : {"123456789012345678901234567890", "-123456789012345678901234567890", "1e400", "-1e400",
                             "1E+999", "18446744073709551616"}) {
    const std::string body =
        R"({"query":"a \"1e400\" 99999999999999999999","texts":["a"],"top_n":5,"other":[)" + std::string(number) + "]}";
    EXPECT_EQ(post(body).status, 200) << number;
    EXPECT_EQ(fake_.last().query, "a \"1e400\" 99999999999999999999") << "strings stay as they are";
  }
  EXPECT_EQ(post(R"({"query":"q","texts":["a"],"top_n":1e400})").status, 200);
  for (const char* wrong : {"1.2.3", "--1", "01", "1e", "-", "+1", "00000000000000000000001"})
    EXPECT_EQ(post(std::string(R"({"query":"q","texts":["a"],"other":)") + wrong + "}").status, 400) << wrong;
}

}  // namespace
}  // namespace rerank::api
