// The server over real sockets, with handlers that need no model. No assertion depends on how fast something happens.
#include "server/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/raw_client.h"

namespace rerank::server {
namespace {

using Done = std::function<void(transport::HttpResponse)>;

// Answers with method, target and body size; /echo with the body.
void describe(transport::HttpRequest&& request, const Done& done) {
  transport::HttpResponse response;
  response.content_type = "text/plain";
  response.body = request.target == "/echo"
                      ? request.body
                      : request.method + " " + request.target + " " + std::to_string(request.body.size());
  done(std::move(response));
}

// Keeps requests until the test answers them.
class Held {
 public:
  void operator()(transport::HttpRequest&& request, Done done) {
    const std::lock_guard lock(mutex_);
    jobs_.emplace_back(std::move(request), std::move(done));
    changed_.notify_all();
  }
  void wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_.size() >= count; });
  }
  void answer(size_t i) {
    const auto [request, done] = job(i);
    describe(transport::HttpRequest(request), done);
  }
  bool cancelled(size_t i) { return job(i).first.cancellation->cancelled(); }

 private:
  std::pair<transport::HttpRequest, Done> job(size_t i) {
    const std::lock_guard lock(mutex_);
    return jobs_[i];
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<transport::HttpRequest, Done>> jobs_;
};

ServerOptions ephemeral() {
  ServerOptions options;
  options.port = 0;
  options.io_threads = 2;
  return options;
}

std::unique_ptr<HttpServer> start(const ServerOptions& options, HttpHandler handler = describe,
                                  std::shared_ptr<Metrics> metrics = nullptr,
                                  std::shared_ptr<transport::MemoryBudget> memory = nullptr) {
  auto server = HttpServer::start(options, std::move(handler), std::move(metrics), std::move(memory));
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  const auto server = start(ephemeral());
  RawClient client(server->port());
  EXPECT_EQ(client.request("GET", "/a?b").body, "GET /a?b 0");
  const RawResponse response = client.request("POST", "/echo", "hello");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "hello");
  EXPECT_EQ(response.headers.at("content-type"), "text/plain");
  EXPECT_EQ(response.headers.count("connection"), 0u);
  EXPECT_EQ(response.headers.count("date"), 1u);
}

TEST(HttpServer, ClosesWhenAsked) {
  const auto server = start(ephemeral());
  RawClient client(server->port());
  const RawResponse response = client.request("GET", "/a", "", "Connection: close\r\n");
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_TRUE(client.at_end());
}

TEST(HttpServer, SpeaksHttp10) {
  const auto server = start(ephemeral());
  RawClient once(server->port());
  once.send("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_EQ(once.read_response().headers.at("connection"), "close");
  EXPECT_TRUE(once.at_end());
  RawClient kept(server->port());
  for (int i = 0; i < 2; ++i) {
    kept.send("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi");
    const RawResponse response = kept.read_response();
    EXPECT_EQ(response.body, "hi");
    EXPECT_EQ(response.headers.at("connection"), "keep-alive");
  }
}

TEST(HttpServer, LeavesTheBodyOutForHead) {
  const auto server = start(ephemeral());
  RawClient client(server->port());
  EXPECT_EQ(client.request("HEAD", "/abc").headers.at("content-length"), "11");
  EXPECT_EQ(client.request("GET", "/next").body, "GET /next 0");
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  const auto server = start(ephemeral());
  RawClient client(server->port());
  std::string bytes;
  for (int i = 0; i < 50; ++i) {
    bytes += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc\r\n";
  }
  ASSERT_TRUE(client.send(bytes));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.read_response().body, "POST /" + std::to_string(i) + " 3");
}

TEST(HttpServer, KeepsOrderWhenAnswersComeLate) {
  Held held;
  const auto server = start(ephemeral(), std::ref(held));
  RawClient client(server->port());
  client.send("GET /1 HTTP/1.1\r\nHost: t\r\n\r\n");
  held.wait_for(1);
  client.send("GET /2 HTTP/1.1\r\nHost: t\r\n\r\nGET /3 HTTP/1.1\r\nHost: t\r\n\r\n");
  held.answer(0);
  held.wait_for(2);
  held.answer(1);
  held.wait_for(3);
  held.answer(2);
  for (const char* expected : {"GET /1 0", "GET /2 0", "GET /3 0"}) EXPECT_EQ(client.read_response().body, expected);
}

TEST(HttpServer, ReadsByteByByte) {
  const auto server = start(ephemeral());
  RawClient client(server->port());
  const std::string request =
      "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
  for (const char c : request) ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  EXPECT_EQ(client.read_response().body, "abcde");
}

TEST(HttpServer, SendsContinueBeforeTheBody) {
  const auto server = start(ephemeral());
  RawClient client(server->port());
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 100);
  client.send("hello");
  EXPECT_EQ(client.read_response().body, "hello");
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

TEST(HttpServer, RefusesWhatIsNotHttp) {
  const auto server = start(ephemeral());
  for (const std::string& bytes : std::vector<std::string>{
           std::string("nonsense\r\n\r\n"), std::string("\x16\x03\x01\x02\x00", 5),
           std::string("GET / HTTP/3.7\r\n\r\n"), std::string("GET / HTTP/1.1\r\nA\0B: c\r\n\r\n", 26),
           std::string("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1x\r\n\r\n"),
           std::string(
               "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
           std::string("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
           std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
           std::string("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999999\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: t\r\n")}) {
    RawClient client(server->port());
    client.send(bytes);
    client.half_close();
    const RawResponse response = client.read_response();
    EXPECT_EQ(response.status, 400) << bytes;
    EXPECT_EQ(response.headers.at("content-type"), "application/json");
    EXPECT_NE(response.body.find("\"detail\":"), std::string::npos);
    EXPECT_TRUE(client.at_end());
  }
}

TEST(HttpServer, RefusesAnotherExpectation) {
  const auto server = start(ephemeral());
  RawClient client(server->port());
  EXPECT_EQ(client.request("POST", "/a", "x", "Expect: a-pony\r\n").status, 417);
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

TEST(HttpServer, ClosesIdleConnectionsSilently) {
  ServerOptions options = ephemeral();
  options.idle_timeout_ms = 50;
  const auto server = start(options);
  RawClient fresh(server->port());
  EXPECT_TRUE(fresh.at_end());
  RawClient used(server->port());
  EXPECT_EQ(used.request("GET", "/a").status, 200);
  EXPECT_TRUE(used.at_end());
}

TEST(HttpServer, AnswersAHalfClosedClient) {
  Held held;
  const auto server = start(ephemeral(), std::ref(held));
  RawClient client(server->port());
  client.send("POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi");
  client.half_close();
  held.wait_for(1);
  held.answer(0);
  EXPECT_EQ(client.read_response().body, "POST /a 2");
}

TEST(HttpServer, AnswersAHalfClosedClientAfterALongWait) {
  Held held;
  const auto server = start(ephemeral(), std::ref(held));
  RawClient client(server->port());
  client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
  client.half_close();
  held.wait_for(1);
  EXPECT_EQ(client.read_response().status, 100);  // are you still there?
  EXPECT_FALSE(held.cancelled(0));
  held.answer(0);
  EXPECT_EQ(client.read_response().body, "GET /a 0");
}

TEST(HttpServer, CancelsWhenTheClientGoes) {
  for (const bool orderly : {true, false}) {
    Held held;
    const auto server = start(ephemeral(), std::ref(held));
    RawClient client(server->port());
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    held.wait_for(1);
    EXPECT_FALSE(held.cancelled(0));
    orderly ? client.close() : client.reset();
    while (!held.cancelled(0)) std::this_thread::yield();
    held.answer(0);  // nobody is there; harmless
    RawClient other(server->port());
    other.send("GET /b HTTP/1.1\r\nHost: t\r\n\r\n");
    held.wait_for(2);
    held.answer(1);
    EXPECT_EQ(other.read_response().body, "GET /b 0");
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

TEST(HttpServer, TakesAnAddressInBrackets) {
  ServerOptions options = ephemeral();
  options.host = "[::1]";
  const auto server = server::HttpServer::start(options, describe);
  if (!server.ok()) GTEST_SKIP() << "no IPv6 here: " << server.status();
  EXPECT_NE((*server)->port(), 0);
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

TEST(HttpServer, ServesManyClientsAtOnce) {
  const auto server = start(ephemeral());
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        RawClient client(server->port());
        const std::string body(static_cast<size_t>(t * 1000 + i), 'x');
        for (int k = 0; k < 3; ++k) right += client.request("POST", "/echo", body + "y").body == body + "y";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8 * 50 * 3);
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

TEST(HttpServer, CompressesLargeAnswersForThoseWhoAcceptIt) {
  const auto server = start(ephemeral());
  RawClient client(server->port());
  const std::string body(100000, 'x');
  const RawResponse packed = client.request("POST", "/echo", body, "Accept-Encoding: gzip, deflate\r\n");
  EXPECT_EQ(packed.headers.at("content-encoding"), "gzip");
  EXPECT_LT(packed.body.size(), 5000u);
  const RawResponse back = client.request("POST", "/echo", packed.body, "Content-Encoding: gzip\r\n");
  EXPECT_EQ(back.body, body);
  EXPECT_EQ(client.request("POST", "/echo", body).headers.count("content-encoding"), 0u);
  EXPECT_EQ(client.request("POST", "/echo", "small", "Accept-Encoding: gzip\r\n").body, "small");
  EXPECT_EQ(client.request("POST", "/echo", "x", "Content-Encoding: br\r\n").status, 415);
  EXPECT_EQ(client.request("POST", "/echo", "x", "Content-Encoding: gzip\r\n").status, 400);
  EXPECT_EQ(client.request("GET", "/still-open").status, 200);
}

TEST(HttpServer, PagesMayReadWhatTheTransportRefuses) {
  ServerOptions options = ephemeral();
  options.cors_origin = "https://page.example";
  options.max_body_bytes = 100;
  const auto server = start(options);
  const std::string origin = "Origin: https://page.example\r\n";
  for (const auto& [status, body, headers] : {std::tuple(413, std::string(200, 'x'), origin),
                                              std::tuple(413, std::string("x"), origin + "Content-Length: 200\r\n"),
                                              std::tuple(415, std::string("x"), origin + "Content-Encoding: br\r\n"),
                                              std::tuple(417, std::string("x"), origin + "Expect: magic\r\n")}) {
    RawClient client(server->port());
    const bool given = headers.find("Content-Length") != std::string::npos;
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\n" + headers +
                (given ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body);
    const RawResponse answer = client.read_response();
    EXPECT_EQ(answer.status, status);
    ASSERT_EQ(answer.headers.count("access-control-allow-origin"), 1u) << status;
    EXPECT_EQ(answer.headers.at("access-control-allow-origin"), "https://page.example");
    for (const char* name : {"date", "server"}) EXPECT_EQ(answer.headers.count(name), 1u) << name;
    EXPECT_EQ(answer.headers.count("accept-encoding"), status == 415 ? 1u : 0u) << status;
  }
}

TEST(HttpServer, AHandlerThatThrowsIsA500) {
  const auto server =
      start(ephemeral(), [](transport::HttpRequest&&, const Done&) { throw std::runtime_error("boom"); });
  RawClient client(server->port());
  EXPECT_EQ(client.request("GET", "/a").status, 500);
}

TEST(HttpServer, AnAnswerThatCannotBeWrittenIsA500) {
  const auto server = start(ephemeral(), [](transport::HttpRequest&&, const Done& done) {
    transport::HttpResponse response;
    response.complete = [](transport::HttpResponse&) { throw std::runtime_error("boom"); };
    done(std::move(response));
  });
  RawClient client(server->port());
  EXPECT_EQ(client.request("POST", "/a", "x").status, 500);
  EXPECT_EQ(client.request("GET", "/a").status, 500);
}

TEST(HttpServer, CountsBytes) {
  const auto metrics = std::make_shared<Metrics>();
  const auto server = start(ephemeral(), describe, metrics);
  RawClient client(server->port());
  client.request("POST", "/echo", std::string(1000, 'x'));
  server->drain_and_stop();
  const std::string text = metrics->to_text();
  EXPECT_NE(text.find("rerankd_http_received_bytes_total 1"), std::string::npos) << text;
  EXPECT_NE(text.find("rerankd_http_sent_bytes_total 1"), std::string::npos) << text;
}

TEST(HttpServer, FinishesWhatWasAcceptedWhenDraining) {
  Held held;
  const auto server = start(ephemeral(), std::ref(held));
  RawClient computing(server->port());
  computing.send("GET /computing HTTP/1.1\r\nHost: t\r\n\r\n");
  held.wait_for(1);
  RawClient idle(server->port());
  idle.send("GET /idle HTTP/1.1\r\nHost: t\r\n\r\n");
  held.wait_for(2);
  held.answer(1);
  EXPECT_EQ(idle.read_response().headers.count("connection"), 0u);
  RawClient sending(server->port());
  sending.send("POST /sending HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(sending.read_response().status, 100);

  auto stopped = std::async(std::launch::async, [&] { server->drain_and_stop(); });
  EXPECT_TRUE(idle.at_end());
  sending.send("abcd");
  held.wait_for(3);
  held.answer(2);
  held.answer(0);
  for (RawClient* client : {&computing, &sending}) {
    const RawResponse response = client->read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.at("connection"), "close");
  }
  stopped.get();
  EXPECT_THROW(RawClient late(server->port()), std::runtime_error);
}

TEST(HttpServer, DropsWhatTakesTooLongWhenDraining) {
  Held held;
  ServerOptions options = ephemeral();
  options.drain_timeout_ms = 50;
  auto server = start(options, std::ref(held));
  RawClient client(server->port());
  client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
  held.wait_for(1);
  server->drain_and_stop();
  EXPECT_TRUE(held.cancelled(0));
  EXPECT_TRUE(client.at_end());
  server.reset();
  held.answer(0);  // too late; harmless
}

TEST(HttpServer, SaysWhyItCannotListen) {
  const auto server = start(ephemeral());
  ServerOptions options = ephemeral();
  options.port = server->port();
  const auto second = HttpServer::start(options, describe);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find("in use"), absl::string_view::npos) << second.status();
  options.host = "no.such.host.invalid";
  EXPECT_FALSE(HttpServer::start(options, describe).ok());
}

}  // namespace
}  // namespace rerank::server
