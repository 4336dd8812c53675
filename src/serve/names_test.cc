#include "serve/names.h"

#include <gmock/gmock.h>

namespace rerank::serve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class NamesTest : public testing::Test {
 protected:
  NamesTest() {
    EXPECT_TRUE(names_.add_model("Fast-reranker", {"BAAI/bge-small"}).ok());
    EXPECT_TRUE(names_.add_model("v1", {"/models/a"}).ok());
    EXPECT_TRUE(names_.add_model("v2", {"/models/a"}).ok());
  }
  static std::string text(const Status& status) { return std::string(status.message()); }

  Names names_;
};

TEST_F(NamesTest, ForgivesCaseSuffixesAndBlanks) {
  for (const char* name :
       {"Fast-reranker", "fast-RERANKER", "fast-reranker___OpenAI-API", " fast-reranker ", "baai/BGE-small"})
    EXPECT_EQ(names_.find(name, ""), "Fast-reranker") << name;
  for (const char* name : {"", "fast", "___fast-reranker", "Fast-reranker-2"})
    EXPECT_EQ(names_.find(name, ""), "") << name;
  EXPECT_EQ(names_.find("/models/a", ""), "v1") << "the first of two that were made of it";
  names_.remove_model("v1");
  EXPECT_EQ(names_.find("/models/a", ""), "v2");
  EXPECT_EQ(names_.find("v1", ""), "");
}

TEST_F(NamesTest, RefusesNamesThatAreTakenOrNone) {
  EXPECT_THAT(text(names_.add_model("FAST-reranker", {})), HasSubstr("two models of one name"));
  EXPECT_THAT(text(names_.set_alias("v1", {{"v2", 1}})), HasSubstr("a model has this name"));
  ASSERT_TRUE(names_.set_alias("prod", {{"v1", 1}}).ok());
  EXPECT_THAT(text(names_.add_model("Prod", {})), HasSubstr("an alias has this name"));
  for (const std::string& name : {std::string(), std::string(201, 'x'), std::string("a\nb"), std::string("a\x7f")})
    EXPECT_FALSE(names_.add_model(name, {}).ok()) << name;
  EXPECT_TRUE(absl::IsNotFound(names_.set_alias("next", {{"v3", 1}}))) << "an alias to nothing";
  EXPECT_TRUE(absl::IsNotFound(names_.set_alias("next", {}))) << "there is none to remove";
}

TEST_F(NamesTest, SharesHaveToAddUp) {
  EXPECT_THAT(text(names_.set_alias("prod", {{"v1", 0.9}, {"v2", 0.2}})), HasSubstr("add up to 1.1"));
  EXPECT_FALSE(names_.set_alias("prod", {{"v1", 1.5}, {"v2", -0.5}}).ok());
  EXPECT_FALSE(names_.set_alias("prod", {{"v1", 1}, {"v2", 0}}).ok());
  EXPECT_EQ(names_.find("prod", ""), "") << "nothing was changed";
  EXPECT_TRUE(names_.set_alias("prod", normal_shares({{"v1", 90}, {"v2", 10}})).ok());
  EXPECT_THAT(names_.aliases_of("v1"), ElementsAre("prod"));
  EXPECT_DOUBLE_EQ(names_.aliases().at(0).parts.at(1).share, 0.1);
}

TEST_F(NamesTest, ASplitIsWithinAPointAndAQueryStaysWithItsModel) {
  ASSERT_TRUE(names_.set_alias("prod", {{"v1", 0.9}, {"v2", 0.1}}).ok());
  constexpr int kQueries = 10000;
  int second = 0, moved = 0;
  std::vector<std::string> before;
  for (int i = 0; i < kQueries; ++i) {
    const std::string query = "what is the answer to question " + std::to_string(i) + "?";
    before.push_back(names_.find("prod", query));
    second += before.back() == "v2";
    EXPECT_EQ(names_.find("PROD", query), before.back());
  }
  EXPECT_NEAR(second, 0.1 * kQueries, 0.01 * kQueries);
  // A larger share takes queries from the other, and leaves the rest where they were.
  ASSERT_TRUE(names_.set_alias("prod", {{"v1", 0.7}, {"v2", 0.3}}).ok());
  for (int i = 0; i < kQueries; ++i) {
    const std::string now = names_.find("prod", "what is the answer to question " + std::to_string(i) + "?");
    moved += now != before[static_cast<size_t>(i)];
    EXPECT_FALSE(before[static_cast<size_t>(i)] == "v2" && now == "v1");
  }
  EXPECT_NEAR(moved, 0.2 * kQueries, 0.015 * kQueries);
}

}  // namespace
}  // namespace rerank::serve
