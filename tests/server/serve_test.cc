// The whole program: `rerankd serve` with the built-in model, real sockets, real signals.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/json.h"
#include "support/program.h"
#include "support/raw_client.h"

namespace rerank {
namespace {

std::string many_documents(int count) {
  std::string body = R"({"query":"What is the capital of France?","documents":[)";
  for (int i = 0; i < count; ++i) {
    body += (i ? ",\"" : "\"") + std::string("Document ") + std::to_string(i) + " is about the capital of a country.\"";
  }
  return body + "]}";
}

// The score of each document by index.
std::map<int, double> scores_of(const RawResponse& response) {
  std::map<int, double> scores;
  const Json json(response.body);
  for (size_t i = 0; i < json.size("/results"); ++i) {
    const std::string at = "/results/" + std::to_string(i);
    scores[static_cast<int>(json.number(at + "/index"))] = json.number(at + "/relevance_score");
  }
  return scores;
}

TEST(Serve, RanksSensiblyInBothDialects) {
  Program program;
  RawClient client(program.port());
  const std::string texts = R"(["Berlin is in Germany.","Paris is the capital of France.","Bread is baked."])";
  const std::string query = R"({"query":"What is the capital of France?",)";
  const Json tei(client.request("POST", "/rerank", query + R"("texts":)" + texts + "}").body);
  EXPECT_EQ(tei.number("/0/index"), 1);
  const Json common(client.request("POST", "/v2/rerank", query + R"("documents":)" + texts + R"(,"top_n":1})").body);
  EXPECT_EQ(common.text("/results/0/document/text"), "Paris is the capital of France.");
  EXPECT_NEAR(common.number("/results/0/relevance_score"), tei.number("/0/score"), 1e-5);
}

TEST(Serve, ManyClientsGetWhatOneClientGets) {
  Program program;
  RawClient first(program.port());
  const std::string body = many_documents(20);
  const auto alone = scores_of(first.request("POST", "/rerank", body));
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      RawClient client(program.port());
      for (int i = 0; i < 3; ++i) {
        const auto together = scores_of(client.request("POST", "/rerank", body));
        bool same = together.size() == alone.size();
        for (const auto& [index, score] : alone) same = same && std::abs(together.at(index) - score) < 1e-4;
        right += same;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 24);
}

TEST(Serve, FinishesWhatWasAcceptedOnSigterm) {
  Program program({"--max-queue-ms", "600000"});  // a slow build would refuse the second request
  const std::string body = many_documents(300);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(program.port());
    ASSERT_TRUE(clients.back().send_request("POST", "/rerank", body));
  }
  // Another client's answer, asked for later, tells that the requests before it have been read.
  RawClient probe(program.port());
  EXPECT_EQ(probe.request("GET", "/health").status, 200);
  program.terminate();
  for (RawClient& client : clients) {
    const RawResponse response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(scores_of(response).size(), 300u);
  }
  EXPECT_EQ(program.wait(), 0);
}

TEST(Serve, EndsAtOnceWhenIdle) {
  Program program;
  RawClient idle(program.port());
  EXPECT_EQ(idle.request("GET", "/health").status, 200);
  program.terminate();
  EXPECT_TRUE(idle.at_end());
  EXPECT_EQ(program.wait(), 0);
}

TEST(Serve, WhatCannotBeDoneInTimeIsRefusedOrGivenUp) {
  Program program({"--request-timeout-ms", "60000"});
  RawClient client(program.port());
  const RawResponse late = client.request("POST", "/rerank", many_documents(3000), "X-Request-Timeout-Ms: 1\r\n");
  EXPECT_EQ(late.status, 504);
  EXPECT_FALSE(Json(late.body).text("/detail").empty());
  EXPECT_EQ(client.request("POST", "/rerank", many_documents(3), "X-Request-Timeout-Ms: 50000\r\n").status, 200);
}

TEST(Serve, BadRequestsDoNotDisturbOthers) {
  Program program({"--max-body-bytes", "100000"});
  RawClient good(program.port());
  const std::string body = many_documents(5);
  const auto expected = scores_of(good.request("POST", "/rerank", body));
  for (const std::string& bad :
       {std::string("{"), std::string(100001, 'x'), std::string("\0\0", 2), std::string("[[[[[[")}) {
    RawClient client(program.port());
    const RawResponse response = client.request("POST", "/rerank", bad);
    EXPECT_TRUE(response.status == 400 || response.status == 413) << response.status;
    EXPECT_FALSE(Json(response.body).text("/detail").empty());
    RawClient gone(program.port());
    gone.send_request("POST", "/rerank", many_documents(100));
    gone.reset();
    EXPECT_EQ(scores_of(good.request("POST", "/rerank", body)).size(), expected.size());
  }
}

}  // namespace
}  // namespace rerank
