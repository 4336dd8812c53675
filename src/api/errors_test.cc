// What clients see when something is wrong: statuses, shapes, and bodies made to do harm.
#include "transport/errors.h"

#include <gtest/gtest.h>

#include <iterator>
#include <random>
#include <string>

#include "support/fixtures/api_fixture.h"
#include "transport/body.h"

namespace rerank::api {
namespace {

using ApiErrorTest = ApiFixture;

TEST_F(ApiErrorTest, BackendErrorsHaveTheStatusOfTheTable) {
  struct Row {
    Status status;
    int tei;
    int common;
    const char* tei_type;
  };
  const Row rows[] = {
      {absl::InvalidArgumentError("m"), 422, 422, "Validation"},
      {absl::OutOfRangeError("m"), 422, 422, "Validation"},
      {absl::NotFoundError("m"), 404, 404, "NotFound"},
      {absl::ResourceExhaustedError("m"), 429, 429, "Overloaded"},
      {absl::UnavailableError("m"), 503, 503, "Unhealthy"},
      {absl::DeadlineExceededError("m"), 504, 504, "Overloaded"},
      {absl::InternalError("m"), 424, 500, "Backend"},
      {absl::UnknownError("m"), 424, 500, "Backend"},
      {absl::UnimplementedError("m"), 501, 501, "Backend"},
      {absl::CancelledError("m"), 499, 499, "Backend"},
  };
  for (const Row& row : rows) {
    fake_.fail_with(row.status);
    const transport::HttpResponse tei = post(R"({"query":"q","texts":["a"]})");
    EXPECT_EQ(tei.status, row.tei) << row.status;
    EXPECT_EQ(Json(tei.body).text("/error"), "m");
    EXPECT_EQ(Json(tei.body).text("/error_type"), row.tei_type);
    const transport::HttpResponse common = post(R"({"query":"q","documents":["a"]})");
    EXPECT_EQ(common.status, row.common) << row.status;
    const Json json(common.body);
    EXPECT_EQ(json.text("/error/message"), "m");
    EXPECT_EQ(json.number("/error/code"), row.common);
    EXPECT_TRUE(json.has("/error/type"));
    EXPECT_EQ(json.text("/message"), "m");
    EXPECT_EQ(json.text("/detail"), "m");
  }
}

TEST_F(ApiErrorTest, SheddingTellsWhenToComeBack) {
  const auto retry_after = [](const transport::HttpResponse& response) {
    for (const auto& [name, value] : response.headers) {
      if (name == "Retry-After") return value;
    }
    return std::string();
  };
  EXPECT_EQ(retry_after(transport::error_response(absl::ResourceExhaustedError("m"))), "1");
  EXPECT_EQ(retry_after(transport::error_response(with_retry_after(absl::ResourceExhaustedError("m"), 7))), "7");
  EXPECT_EQ(retry_after(transport::error_response(with_retry_after(absl::UnavailableError("m"), 3))), "3");
  EXPECT_EQ(retry_after(transport::error_response(absl::InternalError("m"))), "");
}

TEST_F(ApiErrorTest, BadBodiesAreExplained) {
  struct Row {
    const char* body;
    int status;
    const char* says;
  };
  const Row rows[] = {
      {"", 400, "empty"},
      {" \n", 400, "empty"},
      {"{", 400, "not valid JSON"},
      {"nonsense", 400, "not valid JSON"},
      {R"({"query":"q","documents":["a"]} x)", 400, "not valid JSON"},
      {R"({"query":"q","documents":["a"],})", 400, "not valid JSON"},
      {R"({"query":"q","documents":["a)", 400, "not closed"},
      {"{\"query\":\"a\nb\",\"documents\":[\"a\"]}", 400, "control character"},
      {R"({"query":"q","documents":["a"],"x":01})", 400, "number"},
      {R"({"query":"q","documents":["a"],"x":-})", 400, "number"},
      {R"({"query":"\q","documents":["a"]})", 400, "escape"},
      {"[]", 422, "JSON object"},
      {"\"text\"", 422, "JSON object"},
      {"null", 422, "JSON object"},
      {"{}", 422, "`texts`"},
      {R"({"query":"q"})", 422, "`documents`"},
      {R"({"documents":["a"]})", 422, "`query` is missing"},
      {R"({"query":null,"documents":["a"]})", 422, "`query` is missing"},
      {R"({"query":1,"documents":["a"]})", 422, "`query` must be a string"},
      {R"({"query":["q"],"documents":["a"]})", 422, "`query` must be a string"},
      {R"({"query":"q","documents":[]})", 400, "`documents` cannot be empty"},
      {R"({"query":"q","documents":{}})", 422, "`documents` must be an array"},
      {R"({"query":"q","documents":7})", 422, "`documents` must be an array"},
      {R"({"query":"q","documents":["a",1]})", 422, "`documents[1]` must be a string"},
      {R"({"query":"q","documents":[null]})", 422, "`documents[0]` must be a string"},
      {R"({"query":"q","documents":[["a"]]})", 422, "`documents[0]` must be a string"},
      {R"({"query":"q","documents":[{"image":"a"}]})", 422, "`documents[0]` must be a string"},
      {R"({"query":"q","documents":[{"content":[{"type":"image_url"}]}]})", 422, "`documents[0]` must be a string"},
      {R"({"query":"q","documents":["a"],"return_documents":"maybe"})", 422,
       "`return_documents` must be true or false"},
      {R"({"query":"q","documents":["a"],"top_n":"many"})", 422, "`top_n` must be a whole number"},
      {R"({"query":"q","passages":[]})", 400, "`passages` cannot be empty"},
      {R"({"query":"q","passages":[{"text":1}]})", 422, "`passages[0]`"},
      {R"({"query":"q","input":[]})", 400, "`input` cannot be empty"},
  };
  for (const Row& row : rows) {
    const transport::HttpResponse response = post(row.body);
    EXPECT_EQ(response.status, row.status) << row.body;
    const Json json(response.body);
    EXPECT_NE(json.text("/detail").find(row.says), std::string::npos) << row.body << " -> " << response.body;
    EXPECT_EQ(json.text("/message"), json.text("/detail"));
    EXPECT_EQ(json.text("/error/message"), json.text("/detail"));
  }
  EXPECT_EQ(fake_.submitted(), 0u);
}

TEST_F(ApiErrorTest, TeiBodiesGetTeiErrors) {
  struct Row {
    const char* body;
    int status;
    const char* type;
  };
  const Row rows[] = {
      {R"({"query":"q","texts":[]})", 400, "Empty"},
      {R"({"query":"q","texts":[1]})", 422, "Validation"},
      {R"({"query":"q","texts":5})", 422, "Validation"},
      {R"({"texts":["a"]})", 422, "Validation"},
      {R"({"query":"q","texts":["a"],"truncate":"maybe"})", 422, "Validation"},
      {R"({"query":"q","texts":["a"])", 400, "Validation"},
  };
  for (const Row& row : rows) {
    const transport::HttpResponse response = post(row.body);
    EXPECT_EQ(response.status, row.status) << row.body;
    EXPECT_EQ(Json(response.body).text("/error_type"), row.type) << row.body;
    EXPECT_FALSE(Json(response.body).text("/error").empty());
  }
}

TEST_F(ApiErrorTest, TenThousandDocumentsAreFineAndMoreAreNot) {
  const auto body = [](size_t count) {
    std::string documents;
    for (size_t i = 0; i < count; ++i) documents += (i ? ",\"" : "\"") + std::to_string(i) + "\"";
    return R"({"query":"q","documents":[)" + documents + "]}";
  };
  const transport::HttpResponse fits = post(body(10000));
  EXPECT_EQ(fits.status, 200);
  EXPECT_EQ(Json(fits.body).size("/results"), 10000u);
  const transport::HttpResponse too_many = post(body(10001));
  EXPECT_EQ(too_many.status, 422);
  EXPECT_NE(too_many.body.find("10001 texts, more than the 10000"), std::string::npos) << too_many.body;
}

TEST_F(ApiErrorTest, BrokenTextIsRepairedNotRefused) {
  const std::string replacement = "\xEF\xBF\xBD";
  ASSERT_EQ(post(R"({"query":"a\ud800b","texts":["\udc00","\ud83d\ude00","\ud83d\ud83d\ude00","x\\ud800"]})").status,
            200);
  EXPECT_EQ(fake_.last().query, "a" + replacement + "b");
  EXPECT_EQ(fake_.last().documents,
            (std::vector<std::string>{replacement, "\xF0\x9F\x98\x80", replacement + "\xF0\x9F\x98\x80", "x\\ud800"}));
  const transport::HttpResponse response =
      post("{\"query\":\"a\xFF\xC3(b\",\"documents\":[\"\xE4\xBD\",\"\xED\xA0\x80\",\"\xC0\x80\",\"ok\"]}");
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(fake_.last().query, "a" + replacement + replacement + "(b");
  EXPECT_EQ(fake_.last().documents[0], replacement);
  EXPECT_EQ(fake_.last().documents[1], replacement + replacement + replacement);
  EXPECT_EQ(fake_.last().documents[3], "ok");
  Json json(response.body);  // checks that the echoed documents are UTF-8
}

TEST_F(ApiErrorTest, NulAndOtherControlCharactersPassWhenEscaped) {
  const transport::HttpResponse response = post(R"({"query":"a\u0000b","documents":["\u0000","\u0001\t\n"]})");
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(fake_.last().query, std::string("a\0b", 3));
  EXPECT_EQ(fake_.last().documents[0], std::string("\0", 1));
  Json json(response.body);
  EXPECT_EQ(post(std::string("{\"query\":\"a\0b\",\"documents\":[\"a\"]}", 34)).status, 400);
  EXPECT_EQ(post(std::string(100, '\0')).status, 400);
}

TEST_F(ApiErrorTest, HostileShapesAreHarmless) {
  EXPECT_EQ(post(std::string(1000000, '[')).status, 400);
  EXPECT_EQ(post(R"({"query":"q","texts":["a"],"x":)" + std::string(1000000, '[') + "}").status, 400);
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  EXPECT_EQ(post(deep).status, 400);
  std::string fields = "{\"query\":\"q\",\"texts\":[\"a\"]";
  for (int i = 0; i < 100000; ++i) fields += ",\"k" + std::to_string(i) + "\":1";
  EXPECT_EQ(post(fields + "}").status, 422);
  EXPECT_EQ(post(R"({"query":"q","texts":["a"],"x":)" + std::string(100000, '9') + "}").status, 200);
  std::string numbers = "1";
  for (int i = 0; i < 1000000; ++i) numbers += ",1";
  EXPECT_EQ(post(R"({"query":"q","texts":[)" + numbers + "]}").status, 422);
  EXPECT_EQ(post(R"({"query":"q","texts":["a"]})").status, 200);
}

TEST_F(ApiErrorTest, TheLastOfRepeatedFieldsCounts) {
  post(R"({"query":"first","query":"second","texts":["a"]})");
  EXPECT_EQ(fake_.last().query, "second");
}

TEST_F(ApiErrorTest, AByteOrderMarkIsSkipped) {
  EXPECT_EQ(post("\xEF\xBB\xBF{\"query\":\"q\",\"texts\":[\"a\"]}").status, 200);
}

// Seeded, so that a failure can be repeated.
TEST_F(ApiErrorTest, MutatedBodiesAreAnsweredWithJson) {
  const std::string bodies[] = {
      R"({"query":"q\u00e9\ud83d\ude00","texts":["a","b\\",""],"truncate":true,"raw_scores":false,"top_n":2})",
      R"({"model":"m","query":{"text":"q"},"documents":["a",{"text":"b"},{"content":[{"type":"text","text":"c"}]}],"top_n":1e1})",
      R"({"query":"q","passages":[{"text":"a"},{"text":"b"}],"truncate":"END"})",
      R"({"query":"q","input":["a"],"top_k":-5,"rank_fields":["x"]})",
      R"({"inputs":[["a","b"],["c","d"]],"text_1":["a"],"text_2":["b","c"]})",
  };
  const char* targets[] = {"/rerank", "/score", "/predict", "/tokenize"};
  std::mt19937 random(20261122);
  for (int round = 0; round < 20000; ++round) {
    std::string body = bodies[random() % std::size(bodies)];
    for (unsigned edits = random() % 4; edits > 0; --edits) {
      const size_t at = random() % body.size();
      switch (random() % 4) {
        case 0:
          body[at] = static_cast<char>(random());
          break;
        case 1:
          body.erase(at, 1 + random() % 4);
          break;
        case 2:
          body.insert(at, 1, "{}[]\",:\\u0d8\xFF"[random() % 13]);
          break;
        default:
          body.insert(at, body.substr(random() % body.size(), random() % 12));
      }
      if (body.empty()) body = "{";
    }
    const transport::HttpResponse response = post(body, targets[random() % 4]);
    EXPECT_TRUE(response.status == 200 || response.status == 400 || response.status == 422)
        << response.status << " " << body;
    const Json json(response.body);
    if (HasFailure()) break;
  }
}

TEST(RepairText, HandlesEveryEndOfInput) {
  const std::string text = "\\ud83d\\ude00\xF0\x9F\x98\x80\\\\";
  for (size_t begin = 0; begin < text.size(); ++begin) {
    for (size_t length = 0; begin + length <= text.size(); ++length) {
      const std::string once = repair_text(text.substr(begin, length), true);
      EXPECT_EQ(repair_text(once, true), once);
    }
  }
  EXPECT_EQ(repair_text(text, true), text);
  EXPECT_EQ(repair_text("\\ud800\xFF", false), "\\ud800\xEF\xBF\xBD");
}

}  // namespace
}  // namespace rerank::api
