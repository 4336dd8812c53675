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

#include "support/fixtures/http_server_parts.h"

namespace rerank::server {
namespace {

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

TEST(HttpServer, TakesAnAddressInBrackets) {
  ServerOptions options = ephemeral();
  options.host = "[::1]";
  const auto server = server::HttpServer::start(options, describe);
  if (!server.ok()) GTEST_SKIP() << "no IPv6 here: " << server.status();
  EXPECT_NE((*server)->port(), 0);
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
