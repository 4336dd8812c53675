// What a client may not do to the HTTP server: too much, too slowly, too often. No assertion depends on how fast
// something happens.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "support/fixtures/http_server_parts.h"

namespace rerank::server {
namespace {

TEST(HttpServer, LimitsTheHead) {
  ServerOptions options = ephemeral();
  options.max_header_bytes = 2000;
  const auto server = start(options);
  RawClient fits(server->port());
  EXPECT_EQ(fits.request("GET", "/", "", "X-Long: " + std::string(1900, 'x') + "\r\n").status, 200);
  RawClient too_large(server->port());
  const RawResponse response = too_large.request("GET", "/", "", "X-Long: " + std::string(20000, 'x') + "\r\n");
  EXPECT_EQ(response.status, 431);
  EXPECT_NE(response.body.find("2000 bytes"), std::string::npos);
}

TEST(HttpServer, RefusesALargeBodyBeforeItIsSent) {
  ServerOptions options = ephemeral();
  options.max_body_bytes = 1000;
  const auto server = start(options);
  RawClient client(server->port());
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
  const RawResponse response = client.read_response();
  EXPECT_EQ(response.status, 413);
  EXPECT_NE(response.body.find("\"detail\":\"the body is larger than 1000 bytes"), std::string::npos) << response.body;
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, TakesABodyOfTheLimitAndNotOneByteMore) {
  const auto server = start(ephemeral());
  const size_t limit = ServerOptions().max_body_bytes;
  RawClient fits(server->port());
  EXPECT_EQ(fits.request("POST", "/a", std::string(limit, 'x')).body, "POST /a " + std::to_string(limit));
  RawClient too_large(server->port());
  EXPECT_EQ(too_large.request("POST", "/a", std::string(limit + 1, 'x')).status, 413);
  EXPECT_TRUE(too_large.at_end());
}

TEST(HttpServer, TakesAChunkedBodyOfTheLimitAndNotOneByteMore) {
  ServerOptions options = ephemeral();
  options.max_body_bytes = 100000;
  const auto server = start(options);
  const std::string head = "POST /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string body;
  for (int i = 0; i < 100; ++i) body += "3e8\r\n" + std::string(1000, 'x') + "\r\n";
  RawClient fits(server->port());
  fits.send(head + body + "0\r\n\r\n");
  EXPECT_EQ(fits.read_response().body, "POST /a 100000");
  RawClient too_large(server->port());
  too_large.send(head + body + "1\r\nx\r\n0\r\n\r\n");
  EXPECT_EQ(too_large.read_response().status, 413);
}

TEST(HttpServer, GivesUpOnSlowClients) {
  ServerOptions options = ephemeral();
  options.header_timeout_ms = options.body_timeout_ms = 50;
  const auto server = start(options);
  for (const char* begun : {"GET / HT", "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc"}) {
    RawClient client(server->port());
    client.send(begun);
    EXPECT_EQ(client.read_response().status, 408);
    EXPECT_TRUE(client.at_end());
  }
}

TEST(HttpServer, RefusesConnectionsBeyondTheLimit) {
  ServerOptions options = ephemeral();
  options.max_connections = 3;
  const auto server = start(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back(server->port(), /*from=*/i < 2 ? 1 : 2);
    EXPECT_EQ(clients.back().request("GET", "/a").status, 200);
  }
  RawClient refused(server->port(), /*from=*/3);
  const RawResponse response = refused.read_response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.headers.count("retry-after"), 1u);
  EXPECT_TRUE(refused.at_end());
  EXPECT_EQ(clients[0].request("GET", "/a").status, 200);
}

TEST(HttpServer, SleepersMakeRoomWhereThatIsAskedFor) {
  ServerOptions options = ephemeral();
  options.max_connections = 4;
  Held held;
  const auto handler = [&](transport::HttpRequest&& request, const Done& done) {
    request.target == "/held" ? held(std::move(request), done) : describe(std::move(request), done);
  };
  const auto server = *HttpServer::start(options, handler, nullptr, {}, WhenFull::kMakeRoom);
  RawClient computing(server->port(), /*from=*/2);
  computing.send_request("GET", "/held", "");
  held.wait_for(1);
  std::vector<RawClient> sleepers;
  for (const char* sent : {"", "GET / HT", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nabc"}) {
    sleepers.emplace_back(server->port(), /*from=*/sleepers.empty() ? 2 : 3);
    ASSERT_TRUE(sleepers.back().send(sent));
  }
  std::vector<RawClient> scrapers;
  for (RawClient& oldest : sleepers) {
    scrapers.emplace_back(server->port(), /*from=*/static_cast<uint8_t>(4 + scrapers.size()));
    EXPECT_EQ(scrapers.back().request("GET", "/a").status, 200);
    EXPECT_TRUE(oldest.at_end());
  }
  for (int i = 0; i < 100; ++i) sleepers.emplace_back(server->port(), /*from=*/static_cast<uint8_t>(7 + i % 2));
  RawClient scraper(server->port(), /*from=*/7);
  EXPECT_EQ(scraper.request("GET", "/a").status, 200) << "also from an address that has its share";
  held.answer(0);
  EXPECT_EQ(computing.read_response().status, 200) << "what is computed is not given up";
}

TEST(HttpServer, OneAddressHasHalfOfTheConnections) {
  ServerOptions options = ephemeral();
  options.max_connections = 4;
  const auto server = start(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back(server->port(), /*from=*/1);
    EXPECT_EQ(clients.back().request("GET", "/a").status, 200);
  }
  RawClient refused(server->port(), /*from=*/1);
  EXPECT_EQ(refused.read_response().status, 503);
  EXPECT_TRUE(refused.at_end());
  RawClient other(server->port(), /*from=*/2);
  EXPECT_EQ(other.request("GET", "/a").status, 200);
  clients[0].close();
  while (server->open_connections() > 2) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  RawClient next(server->port(), /*from=*/1);
  EXPECT_EQ(next.request("GET", "/a").status, 200) << "what was given back is there again";
}

TEST(HttpServer, IsNotDisturbedByAThousandIdleConnections) {
  const auto metrics = std::make_shared<Metrics>();
  const auto server = start(ephemeral(), describe, metrics);
  std::vector<RawClient> idle;
  for (int i = 0; i < 1000; ++i) idle.emplace_back(server->port());
  RawClient client(server->port());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.request("GET", "/a").status, 200);
  const Gauge& open = metrics->gauge("rerankd_http_connections", "Open client connections.");
  EXPECT_EQ(open.value(), 1001);
  EXPECT_EQ(idle[500].request("GET", "/b").body, "GET /b 0");
  idle.clear();
  while (open.value() > 1) std::this_thread::yield();
  EXPECT_EQ(client.request("GET", "/a").status, 200);
}

TEST(HttpServer, BoundsTheMemoryOfBodiesOnTheirWay) {
  ServerOptions options = ephemeral();
  options.max_body_bytes = 1 << 20;
  const auto memory = std::make_shared<transport::MemoryBudget>(size_t{128} << 20);
  const auto server = start(options, describe, nullptr, memory);
  const std::string most(options.max_body_bytes - 1, 'x');
  const std::string head =
      "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(most.size() + 1) + "\r\n\r\n";
  std::vector<RawClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(server->port());
    ASSERT_TRUE(clients.back().send(head + most));
  }
  while (memory->held() < (size_t{60} << 20)) std::this_thread::yield();
  EXPECT_LE(memory->held(), size_t{64} << 20) << "half: they are one client";
  RawClient other(server->port(), /*from=*/2);
  EXPECT_EQ(other.request("POST", "/a", most).status, 200) << "another is not shut out";
  int served = 0, refused = 0;
  for (RawClient& client : clients) {
    client.send("x");
    const int status = client.read_response().status;
    served += status == 200;
    refused += status == 503;
  }
  EXPECT_EQ(served + refused, 40);
  EXPECT_GT(served, 0);
  EXPECT_GT(refused, 0);
  clients.clear();
  RawClient client(server->port());
  EXPECT_EQ(client.request("POST", "/a", most).status, 200);
  while (memory->held() > 0) std::this_thread::yield();
}

TEST(HttpServer, BoundsTheMemoryOfAnswersThatNobodyTakes) {
  ServerOptions options = ephemeral();
  options.compress_min_bytes = 0;
  const auto memory = std::make_shared<transport::MemoryBudget>(size_t{64} << 20);
  const auto large = [](transport::HttpRequest&&, const Done& done) {
    transport::HttpResponse response;
    response.complete = [](transport::HttpResponse& self) { self.body.assign(8u << 20, 'x'); };
    done(std::move(response));
  };
  const auto server = start(options, large, nullptr, memory);
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(server->port(), 1, 4096);
    clients.back().send_request("POST", "/a", "x");
  }
  int whole = 0, refused = 0;
  for (RawClient& client : clients) {
    const int status = client.read_response().status;
    EXPECT_LE(memory->held(), size_t{32} << 20);
    whole += status == 200;
    refused += status == 503;
  }
  EXPECT_EQ(whole + refused, 20);
  EXPECT_GT(whole, 0);
  EXPECT_GT(refused, 0);
  while (memory->held() > 0) std::this_thread::yield();
}

TEST(HttpServer, SaysWhatARequestWouldNeed) {
  const auto memory = std::make_shared<transport::MemoryBudget>(size_t{16} << 20);
  const auto server = start(ephemeral(), describe, nullptr, memory);
  RawClient client(server->port());
  const RawResponse refused = client.request("POST", "/a", std::string(1 << 20, 'x'));
  EXPECT_EQ(refused.status, 413);
  EXPECT_NE(refused.body.find("may need 16 MiB"), std::string::npos) << refused.body;
  EXPECT_EQ(client.request("POST", "/a", std::string(100 << 10, 'x')).status, 200) << "on the same connection";
}

TEST(HttpServer, ClientsThatAreSlowForLongAreClosed) {
  ServerOptions options = ephemeral();
  options.body_timeout_ms = 300;
  options.min_transfer_rate = 64u << 20;
  options.compress_min_bytes = 0;
  const auto large = [](transport::HttpRequest&&, const Done& done) {
    transport::HttpResponse response;
    response.body.assign(64u << 20, 'x');
    done(std::move(response));
  };
  const auto server = start(options, large);
  RawClient sender(server->port());
  sender.send("POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");
  int sent = 0;
  for (; sent < 1000 && !sender.has_input(); ++sent) {  // each byte comes in time
    sender.send("x");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_LT(sent, 1000);
  EXPECT_EQ(sender.read_response().status, 408);
  RawClient reader(server->port(), 1, 4096);
  reader.send_request("POST", "/a", "x");
  size_t taken = 0;
  for (int i = 0; i < 200; ++i) {
    taken += reader.take(1000);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  while (const size_t length = reader.take(4096)) taken += length;
  EXPECT_LT(taken, size_t{64} << 20);
}

TEST(HttpServer, ProbesDoNotWaitForBodiesThatAreRead) {
  ServerOptions options = ephemeral();
  options.io_threads = 1;
  std::promise<void> end;
  const std::shared_future<void> ended = end.get_future().share();
  const auto handler = [&](transport::HttpRequest&& request, const Done& done) {
    if (request.method == "POST") ended.wait();  // parses for as long as it takes
    describe(std::move(request), done);
  };
  const auto server = start(options, handler);
  std::vector<RawClient> posts;
  for (int i = 0; i < 10; ++i) {
    posts.emplace_back(server->port());
    posts.back().send_request("POST", "/a", "x");
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(RawClient(server->port()).request("GET", "/health").status, 200);
  end.set_value();
  for (RawClient& client : posts) EXPECT_EQ(client.read_response().status, 200);
}

TEST(HttpServer, HeadsThatAreNotCompleteAreCounted) {
  const auto memory = std::make_shared<transport::MemoryBudget>(size_t{64} << 20);
  const auto server = *HttpServer::start(ephemeral(), describe, nullptr, {memory});
  {
    std::vector<RawClient> clients;
    for (int i = 0; i < 20; ++i) {
      clients.emplace_back(server->port());
      clients.back().send("GET / HTTP/1.1\r\nHost: t\r\nX-Long: " + std::string(12000, 'x'));
    }
    while (memory->held() < size_t{20} * 12000) std::this_thread::yield();
  }
  while (memory->held() != 0) std::this_thread::yield();
}

// Who has no valid key is refused by the head alone.
TEST(HttpServer, ABodyOfACallerThatIsNoneIsNotRead) {
  RequestRules rules;
  rules.client_of = [](const transport::HttpRequest&) { return std::nullopt; };
  const auto handler = [](transport::HttpRequest&& request, const Done& done) {
    transport::HttpResponse response;
    response.status = request.unread && request.body.empty() ? 401 : 200;
    done(std::move(response));
  };
  const auto server = *HttpServer::start(ephemeral(), handler, nullptr, rules);
  RawClient client(server->port());
  EXPECT_EQ(client.request("POST", "/a", "this is not gzip", "Content-Encoding: gzip\r\n").status, 401);
  EXPECT_EQ(client.request("POST", "/a", "text").status, 401) << "the connection goes on";
}

TEST(HttpServer, ProbesDoNotWaitForPages) {
  RequestRules rules;
  rules.is_probe = [](const transport::HttpRequest& request) { return request.target == "/health"; };
  std::promise<void> end;
  const std::shared_future<void> ended = end.get_future().share();
  const auto handler = [ended](transport::HttpRequest&& request, const Done& done) {
    if (request.target == "/page") ended.wait();
    describe(std::move(request), done);
  };
  ServerOptions options = ephemeral();
  options.io_threads = 1;
  const auto server = *HttpServer::start(options, handler, nullptr, rules);
  std::vector<RawClient> pages;
  for (int i = 0; i < 8; ++i) {
    pages.emplace_back(server->port());
    pages.back().send_request("GET", "/page", "");
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(RawClient(server->port()).request("GET", "/health").status, 200);
  end.set_value();
  for (RawClient& client : pages) EXPECT_EQ(client.read_response().status, 200);
}

TEST(HttpServer, WhatTheTransportRefusesHasTheRequestsId) {
  ServerOptions options = ephemeral();
  options.max_body_bytes = 10;
  const auto server = start(options);
  const std::string id = "X-Request-Id: abc-1\r\n";
  EXPECT_EQ(RawClient(server->port()).request("POST", "/a", "more than ten", id).headers.at("x-request-id"), "abc-1");
  EXPECT_EQ(
      RawClient(server->port()).request("POST", "/a", "gz", id + "Content-Encoding: br\r\n").headers.at("x-request-id"),
      "abc-1");
}

TEST(HttpServer, ClientsOfOneAddressHaveAShareOfMemoryByKey) {
  const auto memory = std::make_shared<transport::MemoryBudget>(size_t{64} << 20);
  RequestRules counted{memory, [](const transport::HttpRequest& request) {
                         return std::optional(std::string(request.header("x-key")));
                       }};
  Held held;
  auto server = HttpServer::start(ephemeral(), std::ref(held), nullptr, counted);
  ASSERT_TRUE(server.ok());
  const std::string body(1200 << 10, 'x');  // 18.75 MiB, read; 10.5 while it is worked on
  std::vector<RawClient> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back((*server)->port());
    clients.back().send_request("POST", "/a", body, "X-Key: one\r\n");
    held.wait_for(static_cast<size_t>(i) + 1);
  }
  while (memory->held() > 2 * (9 * body.size() + 1000)) std::this_thread::yield();  // both are read; with their heads
  RawClient same((*server)->port()), other((*server)->port()), none((*server)->port());
  EXPECT_EQ(same.request("POST", "/a", body, "X-Key: one\r\n").status, 503) << "it would have more than half";
  other.send_request("POST", "/a", body, "X-Key: two\r\n");
  held.wait_for(3);
  held.answer(2);
  EXPECT_EQ(other.read_response().status, 200) << "another key of this address has a half of its own";
  none.send_request("POST", "/a", body);
  held.wait_for(4);
  for (const size_t i : {0, 1, 3}) held.answer(i);
  EXPECT_EQ(none.read_response().status, 200) << "and so has who has no key";
  for (RawClient& client : clients) EXPECT_EQ(client.read_response().status, 200);
}

}  // namespace
}  // namespace rerank::server
