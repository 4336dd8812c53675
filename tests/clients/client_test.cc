// Sends what real clients send (fixtures/*.json) to a whole server, and looks for what they read in the answers.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "api/api.h"
#include "server/http_server.h"
#include "support/fake_reranker.h"
#include "support/json.h"
#include "support/raw_client.h"

namespace rerank {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string text_or(const rapidjson::Value& object, const char* key, const char* fallback) {
  return object.HasMember(key) ? object[key].GetString() : fallback;
}

// The pointers that `pattern` stands for in this answer: "*" becomes every index. Empty if an array on the way is.
std::vector<std::string> expand(const Json& json, const std::string& pattern) {
  const size_t star = pattern.find('*');
  if (star == std::string::npos) return {pattern};
  std::vector<std::string> pointers;
  for (size_t i = 0; i < json.size(pattern.substr(0, star - 1)); ++i) {
    for (std::string& pointer : expand(json, pattern.substr(0, star) + std::to_string(i) + pattern.substr(star + 1))) {
      pointers.push_back(std::move(pointer));
    }
  }
  return pointers;
}

bool holds(const Json& json, const std::string& pointer, const std::string& wanted) {
  const rapidjson::Value* value = json.find(pointer);
  if (wanted == "absent") return !value;
  if (!value) return false;
  if (wanted == "present") return true;
  if (wanted == "string") return value->IsString();
  if (wanted == "number") return value->IsNumber();
  if (wanted == "integer") return value->IsUint();
  if (wanted == "object") return value->IsObject();
  if (wanted == "true") return value->IsTrue();
  if (wanted == "false") return value->IsFalse();
  if (wanted == "score") return value->IsNumber() && value->GetDouble() >= 0 && value->GetDouble() <= 1;
  if (wanted == "positive") return value->IsNumber() && value->GetDouble() > 0;
  if (wanted == "float") return value->IsDouble();  // never printed as an integer
  if (wanted.starts_with("keys ")) {                // these and no others: strict parsers refuse what they don't know
    std::string keys;
    for (const auto& member : value->GetObject())
      keys += std::string(keys.empty() ? "" : " ") + member.name.GetString();
    return value->IsObject() && keys == wanted.substr(5);
  }
  if (wanted.starts_with("items ")) return value->IsArray() && std::to_string(value->Size()) == wanted.substr(6);
  if (wanted.starts_with("first key ")) {
    return value->IsObject() && value->MemberCount() && value->MemberBegin()->name.GetString() == wanted.substr(10);
  }
  if (wanted.starts_with("= ")) return value->IsString() && value->GetString() == wanted.substr(2);
  ADD_FAILURE() << "the fixture asks for something unknown: " << wanted;
  return false;
}

void check(const Json& json, const std::string& pattern, const std::string& wanted) {
  const std::vector<std::string> pointers = expand(json, pattern);
  EXPECT_FALSE(pointers.empty()) << pattern << " stands for nothing";
  if (wanted == "sorted" || wanted == "complete") {
    std::vector<double> numbers;
    for (const std::string& pointer : pointers) numbers.push_back(json.number(pointer));
    if (wanted == "sorted") {
      EXPECT_TRUE(std::is_sorted(numbers.rbegin(), numbers.rend())) << pattern;
    } else {
      const std::set<double> unique(numbers.begin(), numbers.end());
      EXPECT_TRUE(unique.size() == numbers.size() && *unique.begin() == 0 && *unique.rbegin() == numbers.size() - 1.0)
          << pattern;
    }
    return;
  }
  for (const std::string& pointer : pointers)
    EXPECT_TRUE(holds(json, pointer, wanted)) << pointer << " should be " << wanted;
}

class ClientTest : public testing::TestWithParam<std::filesystem::path> {
 protected:
  void SetUp() override {
    ServerOptions options;
    options.port = 0;
    auto server = server::HttpServer::start(
        options, [this](transport::HttpRequest&& request, auto done) { api_.handle(std::move(request), done); });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  void exchange(RawClient& client, const rapidjson::Value& fixture) {
    std::string headers;
    if (fixture.HasMember("headers")) {
      for (const auto& line : fixture["headers"].GetArray()) headers.append(line.GetString()).append("\r\n");
    }
    std::string body = text_or(fixture, "raw", "");
    if (fixture.HasMember("body")) body = to_text(fixture["body"]);
    const RawResponse response =
        client.request(text_or(fixture, "method", "POST"), text_or(fixture, "target", "/rerank"), body, headers);
    EXPECT_EQ(response.status, fixture.HasMember("status") ? fixture["status"].GetInt() : 200) << response.body;
    EXPECT_EQ(response.headers.at("content-type"), "application/json");
    const Json json(response.body);
    for (const auto& wanted : fixture["reads"].GetObject())
      check(json, wanted.name.GetString(), wanted.value.GetString());
    if (HasFailure()) ADD_FAILURE() << "the answer was: " << response.body;
  }

  FakeReranker fake_;
  api::Api api_{fake_, nullptr, api::ApiOptions{}};
  std::unique_ptr<server::HttpServer> server_;
};

TEST_P(ClientTest, GetsWhatItReads) {
  const Json fixtures(read_file(GetParam()));
  ASSERT_TRUE(fixtures.document().IsArray() && fixtures.document().Size() > 0);
  RawClient kept(server_->port());
  for (const auto& fixture : fixtures.document().GetArray()) {
    SCOPED_TRACE(fixture["client"].GetString());
    RawClient fresh(server_->port());
    exchange(fresh, fixture);
    exchange(kept, fixture);
  }
}

std::vector<std::filesystem::path> fixture_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(RERANKD_SOURCE_DIR "/tests/clients/fixtures")) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  return files;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ClientTest, testing::ValuesIn(fixture_files()),
                         [](const auto& info) { return info.param.stem().string(); });

}  // namespace
}  // namespace rerank
