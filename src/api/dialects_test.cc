// Which dialect claims a body, and what the dialects of stores and clouds answer.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "api/dialect.h"
#include "rapidjson/document.h"
#include "rapidjson/stringbuffer.h"
#include "rapidjson/writer.h"
#include "support/fixtures/api_fixture.h"

namespace rerank::api {
namespace {

using DialectsTest = ApiFixture;

// A body of each dialect, as its clients send it.
const std::map<std::string, std::string> kBodies = {
    {"tei", R"({"query":"q","texts":["a","b"]})"},
    {"weaviate", R"({"query":"q","documents":["a","b"],"property":""})"},
    {"pinecone", R"({"model":"m","query":"q","documents":[{"text":"a"}],"rank_fields":["text"]})"},
    {"voyage", R"({"query":"q","documents":["a","b"],"top_k":null})"},
    {"common", R"({"query":"q","documents":["a","b"]})"},
    {"nvidia", R"({"query":{"text":"q"},"passages":[{"text":"a"}]})"},
    {"qanything", R"({"query":"q","passages":["a","b"]})"},
    {"bedrock", R"({"queries":[{"type":"TEXT","textQuery":{"text":"q"}}],"sources":[{"type":"INLINE",
        "inlineDocumentSource":{"type":"TEXT","textDocument":{"text":"a"}}}]})"},
    {"vertex", R"({"query":"q","records":[{"id":"1","content":"a"}]})"},
    {"dashscope", R"({"model":"m","input":{"query":"q","documents":["a"]},"parameters":{}})"},
    {"mixedbread", R"({"query":"q","input":["a","b"]})"},
    {"text_pairs", R"({"text_pairs":[["q","a"]]})"},
    {"kserve", R"({"inputs":[{"name":"query","datatype":"BYTES","shape":[1],"data":["q"]},
        {"name":"documents","datatype":"BYTES","shape":[1],"data":["a"]}]})"},
    {"huggingface", R"({"inputs":[{"text":"q","text_pair":"a"}]})"},
    {"predict", R"({"inputs":[["q","a"]]})"},
};

// Both bodies in one: fields that both have are the first one's.
std::string merged(const std::string& first, const std::string& second) {
  rapidjson::Document one, two;
  one.Parse(first.c_str());
  two.Parse(second.c_str());
  for (auto& field : two.GetObject()) {
    if (!one.HasMember(field.name)) {
      rapidjson::Value name(field.name, one.GetAllocator()), value(field.value, one.GetAllocator());
      one.AddMember(name, value, one.GetAllocator());
    }
  }
  rapidjson::StringBuffer text;
  rapidjson::Writer<rapidjson::StringBuffer> writer(text);
  one.Accept(writer);
  return text.GetString();
}

std::string claimed_by(std::string body, bool pinecone = false) {
  transport::HttpRequest request;
  if (pinecone) request.headers.emplace_back("x-pinecone-api-version", "2025-04");
  const auto parsed = transport::Body::parse(body);
  EXPECT_TRUE(parsed.ok()) << body;
  const Dialect* dialect = find_dialect(*parsed, request);
  return dialect ? dialect->name : "none";
}

TEST(DialectTable, EachBodyIsItsOwnDialects) {
  for (const Dialect* dialect : dialects()) {
    ASSERT_TRUE(kBodies.count(dialect->name)) << dialect->name << " has no body in this test";
    EXPECT_EQ(claimed_by(kBodies.at(dialect->name), dialect == &kPineconeDialect), dialect->name);
  }
  EXPECT_EQ(claimed_by(R"({"query":"q"})"), "none");
}

// A body that two dialects could claim belongs to the one that stands first in the table. Where two differ only in what
// one field holds, the body belongs to whichever that field is of.
TEST(DialectTable, TheFirstOfTwoClaimsABody) {
  const std::vector<std::pair<std::string, std::string>> same_field = {{"nvidia", "qanything"},
                                                                       {"dashscope", "mixedbread"},
                                                                       {"kserve", "huggingface"},
                                                                       {"kserve", "predict"},
                                                                       {"huggingface", "predict"}};
  for (size_t i = 0; i < dialects().size(); ++i) {
    for (size_t j = i + 1; j < dialects().size(); ++j) {
      const std::string first = dialects()[i]->name, second = dialects()[j]->name;
      SCOPED_TRACE(first + " and " + second);
      const bool pinecone = first == "pinecone" || second == "pinecone";
      EXPECT_EQ(claimed_by(merged(kBodies.at(first), kBodies.at(second)), pinecone), first);
      const bool same = std::count(same_field.begin(), same_field.end(), std::make_pair(first, second)) > 0;
      EXPECT_EQ(claimed_by(merged(kBodies.at(second), kBodies.at(first)), pinecone), same ? second : first);
    }
  }
  EXPECT_EQ(claimed_by(R"({"query":"q","documents":["a"],"top_k":2,"top_n":1})"), "common") << "Cohere's name counts";
}

TEST_F(DialectsTest, WeaviateStartsAndReadsScoresByPlace) {
  for (const char* path : {"/.well-known/ready", "/.well-known/live"}) EXPECT_EQ(call("GET", path).status, 200) << path;
  EXPECT_EQ(Json(call("GET", "/meta").body).text("/model_id"), "fake-reranker");
  const Json json(post(R"({"query":"q","documents":["a","b","c"],"property":""})").body);
  ASSERT_EQ(json.size("/scores"), 3u);
  for (int i = 0; i < 3; ++i) {
    const std::string at = "/scores/" + std::to_string(i), text(1, static_cast<char>('a' + i));
    EXPECT_EQ(json.text(at + "/document"), text);
    EXPECT_EQ(static_cast<float>(json.number(at + "/score")), fake_sigmoid(fake_logit("q", text)));
  }
  EXPECT_EQ(json.text("/query"), "q");
  const Json alone(post(R"({"query":"q","property":"a"})").body);
  EXPECT_EQ(static_cast<float>(alone.number("/score")), fake_sigmoid(fake_logit("q", "a")));
  EXPECT_EQ(alone.text("/property"), "a");
  const transport::HttpResponse refused = post(R"({"query":"q","documents":[1],"property":""})");
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(Json(refused.body).text("/error").find("`documents[0]`"), std::string::npos) << "a string, as Go reads it";
}

TEST_F(DialectsTest, WeaviatesParallelCallsAreAnsweredByPlace) {
  std::vector<std::thread> threads;
  std::vector<std::string> answers(4);
  for (size_t part = 0; part < answers.size(); ++part) {
    std::string texts;
    for (size_t i = part * 32; i < std::min<size_t>(100, part * 32 + 32); ++i)
      texts += (texts.empty() ? "\"" : ",\"") + std::to_string(i) + "\"";
    threads.emplace_back([this, &answer = answers[part], texts] {
      answer = post(R"({"query":"q","property":"","documents":[)" + texts + "]}").body;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < 100; ++i) {
    const Json json(answers[i / 32]);
    const std::string at = "/scores/" + std::to_string(i % 32);
    EXPECT_EQ(json.text(at + "/document"), std::to_string(i));
    EXPECT_EQ(static_cast<float>(json.number(at + "/score")), fake_sigmoid(fake_logit("q", std::to_string(i))));
  }
}

TEST_F(DialectsTest, HuggingFacePairsOnAnyPath) {
  const std::string many = R"({"inputs":[{"text":"q","text_pair":"a"},{"text":"r","text_pair":"b"}])";
  for (const char* path : {"/", "/invocations", "/predict", "/models/BAAI/bge-reranker-v2-m3", "/rerank",
                           "/models/org/name/pipeline/text-classification", "/hf-inference/models/m"}) {
    const Json json(post(many + "}", path).body);
    ASSERT_EQ(json.size(""), 2u) << path;
    EXPECT_EQ(static_cast<float>(json.number("/0/score")), fake_sigmoid(fake_logit("q", "a")));
    EXPECT_EQ(static_cast<float>(json.number("/1/score")), fake_sigmoid(fake_logit("r", "b")));
    EXPECT_TRUE(json.has("/0/label"));
  }
  const Json logits(post(many + R"(,"parameters":{"function_to_apply":"none","truncation":true}})", "/").body);
  EXPECT_EQ(static_cast<float>(logits.number("/1/score")), fake_logit("r", "b"));
  EXPECT_TRUE(Json(post(many + R"(,"parameters":{"top_k":null}})", "/").body).has("/1/0/score")) << "nested";
  for (const char* one : {R"({"inputs":{"text":"q","text_pair":"a"}})", R"({"text":"q","text_pair":"a"})"})
    EXPECT_EQ(static_cast<float>(Json(post(one, "/invocations").body).number("/score")),
              fake_sigmoid(fake_logit("q", "a")));
  EXPECT_TRUE(Json(post(R"({"inputs":[["q","a"]]})", "/invocations").body).has("/0/0/score")) << "arrays as TEI";
  const Json scores(post(R"({"text_pairs":[["q","a"],["q","b"]]})", "/invocations").body);
  EXPECT_EQ(static_cast<float>(scores.number("/scores/1")), fake_sigmoid(fake_logit("q", "b")));
}

TEST_F(DialectsTest, HuggingFaceErrorsSayWhere) {
  const auto error = [&](const std::string& body) {
    const transport::HttpResponse response = post(body, "/");
    EXPECT_EQ(response.status, 422) << body;
    return Json(response.body).text("/error");
  };
  EXPECT_NE(error(R"({"inputs":[{"text":"q","text_pair":"a"},{"text":"q"}]})").find("inputs[1].text_pair"),
            std::string::npos);
  EXPECT_NE(error(R"({"inputs":{"text":"q"}})").find("text_pair"), std::string::npos);
  EXPECT_NE(error(R"({"inputs":{"text":"q","text_pair":"a"},"parameters":{"function_to_apply":"softmax"}})")
                .find("function_to_apply"),
            std::string::npos);
  EXPECT_NE(error(R"({"inputs":{"source_sentence":"q","sentences":["a"]}})").find("inputs.text"), std::string::npos);
}

TEST_F(DialectsTest, UnderModelsOnlyPairsAreServed) {
  for (const char* body : {R"({"query":"q","documents":["a"]})", R"({"name":"m"})", R"({"query":"q","texts":["a"]})"}) {
    const transport::HttpResponse response = post(body, "/v1/models/m");
    EXPECT_EQ(response.status, 404) << body;
    EXPECT_NE(response.body.find("POST /v1/rerank"), std::string::npos);
  }
  EXPECT_EQ(post(R"({"query":"q","documents":["a"]})", "/models/m/v1/rerank").status, 200);
  EXPECT_EQ(call("GET", "/models/m").status, 200);
  EXPECT_EQ(call("DELETE", "/models/m").status, 405);
  EXPECT_EQ(post("{}", "/v2/repository/index").status, 404);
}

TEST_F(DialectsTest, KserveTensors) {
  const Json json(post(R"({"id":"7","inputs":[{"name":"query","datatype":"BYTES","shape":[1],"data":["q"]},
      {"name":"documents","datatype":"BYTES","shape":[2],"data":["a","b"]}]})",
                       "/v2/models/reranker/infer")
                      .body);
  EXPECT_EQ(json.text("/id"), "7");
  EXPECT_EQ(json.text("/outputs/0/name"), "scores");
  EXPECT_EQ(json.number("/outputs/0/shape/0"), 2);
  EXPECT_EQ(static_cast<float>(json.number("/outputs/0/data/1")), fake_sigmoid(fake_logit("q", "b")));
  const transport::HttpResponse refused =
      post(R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]})", "/v2/models/m/infer");
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(Json(refused.body).text("/error").find("tensor `query`"), std::string::npos);
}

TEST_F(DialectsTest, DashScope) {
  const char* path = "/api/v1/services/rerank/text-rerank/text-rerank";
  const Json json(post(R"({"model":"gte-rerank-v2","input":{"query":"q","documents":["a","b","c"]},
      "parameters":{"top_n":2,"return_documents":true,"instruct":"i"}})",
                       path)
                      .body);
  EXPECT_EQ(json.size("/output/results"), 2u);
  EXPECT_TRUE(json.has("/output/results/0/document/text"));
  EXPECT_GT(json.number("/usage/total_tokens"), 0);
  EXPECT_FALSE(json.text("/request_id").empty());
  EXPECT_EQ(fake_.last().instruction, "i");
  EXPECT_EQ(post(R"({"input":{"documents":["a"]}})", path).status, 422);
  EXPECT_EQ(
      Json(post(R"({"model":"m","query":"q","documents":["a"]})", "/compatible-api/v1/reranks").body).size("/results"),
      1u);
}

TEST_F(DialectsTest, PineconeByItsHeader) {
  const std::string body = kBodies.at("pinecone");
  const Json json(call("POST", "/rerank", body, {{"x-pinecone-api-version", "2025-10"}}).body);
  EXPECT_EQ(static_cast<float>(json.number("/data/0/score")), fake_sigmoid(fake_logit("q", "a")));
  EXPECT_EQ(json.text("/data/0/document/text"), "a");
  EXPECT_EQ(json.number("/usage/rerank_units"), 1);
  EXPECT_TRUE(Json(post(body).body).has("/results")) << "without it";
}

TEST_F(DialectsTest, Bedrock) {
  const Json json(post(R"({"queries":[{"type":"TEXT","textQuery":{"text":"q"}}],"sources":[
      {"type":"INLINE","inlineDocumentSource":{"type":"TEXT","textDocument":{"text":"a"}}},
      {"type":"INLINE","inlineDocumentSource":{"type":"JSON","jsonDocument":{"k":1}}}],
      "rerankingConfiguration":{"type":"BEDROCK_RERANKING_MODEL","bedrockRerankingConfiguration":
      {"modelConfiguration":{"modelArn":"arn"},"numberOfResults":1}}})")
                      .body);
  EXPECT_EQ(json.size("/results"), 1u);
  EXPECT_TRUE(json.has("/results/0/relevanceScore"));
  EXPECT_EQ(fake_.last().documents, (std::vector<std::string>{"a", R"({"k":1})"}));
  const transport::HttpResponse refused =
      post(R"({"queries":[{"textQuery":{"text":"q"}}],"sources":[{"inlineDocumentSource":{}}]})");
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.find("sources[0].inlineDocumentSource.textDocument.text"), std::string::npos) << refused.body;
  EXPECT_EQ(post(R"({"query":"q","documents":["a"],"api_version":2})", "/model/cohere.rerank-v3-5:0/invoke").status,
            200);
}

TEST_F(DialectsTest, Vertex) {
  const char* path = "/v1/projects/p/locations/global/rankingConfigs/default_ranking_config:rank";
  const Json json(post(R"({"model":"m","query":"q","topN":1,"records":[
      {"id":"x","title":"T","content":"C"},{"id":"y","content":"D"}]})",
                       path)
                      .body);
  EXPECT_EQ(fake_.last().documents, (std::vector<std::string>{"T\nC", "D"}));
  ASSERT_EQ(json.size("/records"), 1u);
  const bool first = json.text("/records/0/id") == "x";
  EXPECT_EQ(json.text("/records/0/content"), first ? "C" : "D");
  const Json plain(
      post(R"({"query":"q","records":[{"id":"x","content":"C"}],"ignoreRecordDetailsInResponse":true})", path).body);
  EXPECT_FALSE(plain.has("/records/0/content"));
  EXPECT_TRUE(plain.has("/records/0/score"));
  EXPECT_EQ(post(R"({"query":"q","records":["a"]})", path).status, 422);
}

TEST_F(DialectsTest, SglangWhereTheServerIsToldTo) {
  ApiOptions options;
  options.answer_as = AnswerForm::kSglang;
  restart(options);
  const Json json(post(R"({"query":"q","documents":["a","b"]})", "/v1/rerank").body);
  ASSERT_EQ(json.size(""), 2u);
  EXPECT_TRUE(json.has("/0/score"));
  EXPECT_TRUE(json.has("/1/index"));
  EXPECT_EQ(json.text("/0/document"), json.number("/0/index") == 0 ? "a" : "b");
  EXPECT_TRUE(Json(post(R"({"query":"q","texts":["a"]})").body).has("/0/score")) << "others as ever";
}

// A million small values where records are wanted must not become a million objects.
TEST_F(DialectsTest, NestedListsAreCountedBeforeTheyAreRead) {
  std::string many = "[1";
  for (int i = 0; i < 1000000; ++i) many += ",1";
  many += "]";
  for (const std::string& body : {R"({"query":"q","records":)" + many + "}", R"({"sources":)" + many + "}",
                                  R"({"inputs":[{"text":"q"},)" + many + "]}"}) {
    const transport::HttpResponse response = post(body, "/");
    EXPECT_EQ(response.status, 422) << body.substr(0, 40);
  }
}

}  // namespace
}  // namespace rerank::api
