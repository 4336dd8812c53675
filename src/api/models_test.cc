// Which of several models answers, and what is said of them.
#include <gmock/gmock.h>

#include "support/fakes/fake_catalog.h"
#include "support/fixtures/api_fixture.h"
#include "transport/errors.h"

namespace rerank::api {
namespace {

using testing::HasSubstr;

class ModelsTest : public ApiFixture {
 protected:
  ModelsTest() { api_ = std::make_unique<Api>(catalog_, metrics_, ApiOptions{}); }

  // The model that has answered, by its header.
  std::string answered(const std::string& target, const std::string& body) {
    const transport::HttpResponse response = post(body, target);
    EXPECT_EQ(response.status, 200) << response.body;
    for (const auto& [name, value] : response.headers) {
      if (name == "X-Rerankd-Model") return value;
    }
    return "";
  }

  std::shared_ptr<FakeCatalog> catalog_ =
      std::make_shared<FakeCatalog>(std::vector<std::string>{"fast", "good", "BAAI/bge-reranker"});
};

TEST_F(ModelsTest, TheBodyTheDialectOrThePathSaysWhichModelAnswers) {
  const std::string texts = R"("query":"q","documents":["a","b"])";
  EXPECT_EQ(answered("/v1/rerank", "{" + texts + "}"), "fast@00ff") << "the default";
  EXPECT_EQ(answered("/v1/rerank", R"({"model":"good",)" + texts + "}"), "good@00ff");
  EXPECT_EQ(catalog_->last_query, "q") << "what a split goes by";
  EXPECT_EQ(answered("/rerank", R"({"model":"good","query":"q","texts":["a"]})"), "good@00ff");
  EXPECT_EQ(answered("/v1/score", R"({"model":"good","text_1":"s","text_2":["a"]})"), "good@00ff");
  EXPECT_EQ(catalog_->last_query, "s");
  EXPECT_EQ(answered("/predict", R"({"model":"good","inputs":["p","a"]})"), "good@00ff");
  EXPECT_EQ(answered("/tokenize", R"({"model":"good","inputs":"a"})"), "good@00ff");
  EXPECT_FALSE(catalog_->last_wait);
  EXPECT_EQ(answered("/models/good/v1/rerank", "{" + texts + "}"), "good@00ff");
  EXPECT_EQ(answered("/models/good/v1/rerank", R"({"model":"fast",)" + texts + "}"), "good@00ff") << "the path decides";
  EXPECT_EQ(answered("/v1/models/BAAI/bge-reranker/rerank", "{" + texts + "}"), "BAAI/bge-reranker@00ff");
  EXPECT_EQ(answered("/models/nobody/rerank", "{" + texts + "}"), "fast@00ff");
  EXPECT_EQ(catalog_->last_name, "nobody") << "the catalog decides";
  for (const char* model : {"null", "7", "[\"good\"]", "\"\""})
    EXPECT_EQ(answered("/v1/rerank", std::string(R"({"model":)") + model + "," + texts + "}"), "fast@00ff") << model;
}

TEST_F(ModelsTest, ErrorsOfTheChoiceHaveTheDialectsForm) {
  catalog_->errors["gone"] = absl::NotFoundError("no model `gone`");
  catalog_->errors["slow"] = with_retry_after(absl::UnavailableError("model `slow` is loading"), 7);
  transport::HttpResponse response = post(R"({"model":"gone","query":"q","documents":["a"]})", "/v1/rerank");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(Json(response.body).text("/message"), "no model `gone`");
  response = post(R"({"model":"gone","query":"q","texts":["a"]})");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(Json(response.body).text("/error_type"), "NotFound");
  response = post(R"({"query":"q","documents":["a"]})", "/models/slow/v2/rerank");
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.headers, testing::Contains(std::pair<std::string, std::string>("Retry-After", "7")));
  EXPECT_EQ(post(R"({"model":"gone","inputs":"a"})", "/tokenize").status, 404);
  EXPECT_EQ(call("GET", "/models/gone").status, 404);
}

TEST_F(ModelsTest, ListsThem) {
  catalog_->reports[1].state = ModelState::kFailed;
  catalog_->reports[1].error = "no such folder";
  catalog_->reports[0].aliases = {"prod"};
  catalog_->alias_reports = {{"prod", {{"fast", 0.9}, {"good", 0.1}}}};
  const Json list(call("GET", "/v1/models").body);
  ASSERT_EQ(list.size("/data"), 4u);
  EXPECT_EQ(list.text("/data/0/id"), "fast");
  EXPECT_EQ(list.text("/data/0/status"), "ready");
  EXPECT_TRUE(list.find("/data/0/default")->IsTrue());
  EXPECT_EQ(list.text("/data/0/aliases/0"), "prod");
  EXPECT_EQ(list.text("/data/1/status"), "failed");
  EXPECT_EQ(list.text("/data/1/error"), "no such folder");
  EXPECT_EQ(list.text("/data/3/id"), "prod");
  EXPECT_EQ(list.number("/data/3/alias_of/0/share"), 0.9);
  EXPECT_EQ(Json(call("GET", "/models/good").body).text("/id"), "good");
  EXPECT_EQ(Json(call("GET", "/v1/models/BAAI/bge-reranker").body).text("/id"), "BAAI/bge-reranker");
  EXPECT_EQ(Json(call("GET", "/models/good/info").body).text("/model_id"), "good");
}

TEST_F(ModelsTest, HealthSaysWhatIsMissing) {
  EXPECT_EQ(call("GET", "/health").body, R"({"status":"ok"})");
  catalog_->reports[1].state = ModelState::kFailed;
  catalog_->reports[1].answers = false;
  catalog_->reports[1].error = "no such folder";
  transport::HttpResponse response = call("GET", "/health");
  EXPECT_EQ(response.status, 200) << "the others answer";
  EXPECT_EQ(Json(response.body).text("/status"), "degraded");
  EXPECT_EQ(Json(response.body).text("/models/1/error"), "no such folder");
  EXPECT_EQ(call("GET", "/models/good/health").status, 503);
  api_ = std::make_unique<Api>(catalog_, metrics_, ApiOptions{.api_keys = "the-key-of-clients"});
  response = call("GET", "/health");
  EXPECT_EQ(Json(response.body).text("/models/1/status"), "failed");
  EXPECT_EQ(response.body.find("folder"), std::string::npos) << "not everybody's to know where there are keys";
  api_ = std::make_unique<Api>(catalog_, metrics_, ApiOptions{});
  EXPECT_EQ(call("GET", "/models/fast/health").status, 200);

  catalog_->reports[2].state = ModelState::kStarting;
  catalog_->reports[2].answers = false;
  catalog_->reports[2].phase = "reading weights";
  catalog_->reports[2].percent = 40;
  for (const char* target : {"/health", "/health/startup", "/v1/health/ready", "/"}) {
    response = call("GET", target);
    EXPECT_EQ(response.status, 503) << target << ": the start is not over";
  }
  EXPECT_THAT(response.headers, testing::Contains(testing::Key("Retry-After")));
  EXPECT_EQ(Json(response.body).text("/status"), "loading");
  EXPECT_EQ(Json(response.body).number("/models/2/percent"), 40);
  EXPECT_EQ(call("GET", "/health/live").status, 200);
}

class AdminTest : public ModelsTest {
 protected:
  AdminTest() {
    ApiOptions options;
    options.metrics_apart = true;
    options.admin_key = "the-key-of-an-admin";
    options.make_spec = [](const auto& settings, const auto& aliases) -> Result<ModelSpec> {
      ModelSpec spec;
      spec.aliases = aliases;
      for (const auto& [name, text] : settings) {
        if (name == "model") spec.options.source.model = text;
        if (name == "name") spec.options.source.served_model_name = text;
        if (name == "weight" && text != "2.5") return absl::InvalidArgumentError("weight: " + text);
      }
      return spec;
    };
    api_ = std::make_unique<Api>(catalog_, metrics_, options);
  }

  transport::HttpResponse admin(const std::string& body, Api::Port port = Api::Port::kMetrics,
                                const std::string& key = "the-key-of-an-admin") {
    transport::HttpRequest request;
    request.method = "POST";
    request.target = "/admin/models";
    request.body = body;
    if (!key.empty()) request.headers = {{"authorization", "Bearer " + key}};
    transport::HttpResponse answer;
    api_->handle(
        std::move(request), [&](transport::HttpResponse response) { answer = std::move(response); }, port);
    return answer;
  }
};

TEST_F(AdminTest, AnswersOnThePrivateAddressAndForItsKeyAlone) {
  const std::string body = R"({"action":"default","name":"good"})";
  EXPECT_EQ(admin(body, Api::Port::kMain).status, 405) << "what every path that ends so is there";
  EXPECT_EQ(admin(body, Api::Port::kMetrics, "").status, 401);
  EXPECT_EQ(admin(body, Api::Port::kMetrics, "another-key-of-one").status, 401);
  EXPECT_TRUE(catalog_->asked.empty());
  EXPECT_EQ(admin(body).status, 200);
  EXPECT_THAT(catalog_->asked, testing::ElementsAre("default good"));
  api_ = std::make_unique<Api>(catalog_, metrics_, ApiOptions{.metrics_apart = true});
  EXPECT_EQ(admin(body).status, 404) << "without a key nobody is the admin";
}

TEST_F(AdminTest, SaysWhatToDo) {
  EXPECT_EQ(
      Json(admin(R"({"action":"load","model":"/m","name":"v2","weight":2.5,"aliases":["next"]})").body).size("/data"),
      3u);
  EXPECT_EQ(admin(R"({"action":"unload","name":"v1"})").status, 200);
  EXPECT_EQ(admin(R"({"action":"alias","alias":"prod","model":"v2"})").status, 200);
  EXPECT_EQ(admin(R"({"action":"alias","alias":"prod"})").status, 200);
  EXPECT_EQ(admin(R"({"action":"split","alias":"prod","shares":{"v1":90,"v2":10}})").status, 200);
  EXPECT_THAT(catalog_->asked, testing::ElementsAre("load /m as v2", "unload v1", "alias prod v2=1.00", "alias prod",
                                                    "alias prod v1=0.90 v2=0.10"));
}

TEST_F(AdminTest, SaysWhatIsWrong) {
  for (const char* body : {"", "{", "[]", "{}", R"({"action":"dance"})", R"({"action":"unload"})", R"({"action":7})",
                           R"({"action":"split","alias":"p","shares":{}})", R"({"action":"split","alias":"p"})",
                           R"({"action":"load","model":["m"]})", R"({"action":"load","model":"m","weight":3})"}) {
    EXPECT_EQ(admin(body).status, 422) << body;
  }
  catalog_->result = absl::FailedPreconditionError("the alias prod names it");
  EXPECT_EQ(admin(R"({"action":"unload","name":"v1"})").status, 422);
  catalog_->result = absl::NotFoundError("no model is called v1");
  EXPECT_EQ(admin(R"({"action":"unload","name":"v1"})").status, 404);
}

}  // namespace
}  // namespace rerank::api
