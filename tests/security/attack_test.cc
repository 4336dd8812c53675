// What clients try that mean no good, against the whole program.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <zlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "support/json.h"
#include "support/process/memory.h"
#include "support/program.h"
#include "support/raw_client.h"
#include "tei/v1/tei.grpc.pb.h"

namespace rerank {
namespace {

constexpr char kBody[] = R"({"query":"q","texts":["a"]})";

class KeyFile {
 public:
  explicit KeyFile(const std::string& lines) {
    char name[] = "/tmp/rerankd-keys-XXXXXX";
    close(mkstemp(name));
    path_ = name;
    write(lines);
  }
  ~KeyFile() { std::filesystem::remove(path_); }
  void write(const std::string& lines) const { std::ofstream(path_) << lines; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

grpc::StatusCode rank_over_grpc(uint16_t port, const std::string& key, const std::string& value,
                                const std::string& query = "q") {
  const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials());
  ::tei::v1::RerankRequest request;
  request.set_query(query);
  request.add_texts("a");
  ::tei::v1::RerankResponse response;
  grpc::ClientContext context;
  context.AddMetadata(key, value);
  return ::tei::v1::Rerank::NewStub(channel)->Rerank(&context, request, &response).error_code();
}

TEST(Attack, AStolenKeyEndsWhenItLeavesTheFile) {
  KeyFile keys("ours correct-horse\nstolen battery-staple\n");
  const uint16_t grpc_port = free_port();
  Program program({"--api-key-file", keys.path(), "--grpc-port", std::to_string(grpc_port)});
  RawClient thief(program.port()), owner(program.port());
  const auto status = [](RawClient& client, const char* key) {
    return client.request("POST", "/rerank", kBody, std::string("Authorization: Bearer ") + key + "\r\n").status;
  };
  EXPECT_EQ(status(thief, "battery-staple"), 200);
  EXPECT_EQ(rank_over_grpc(grpc_port, "authorization", "Bearer battery-staple"), grpc::OK);
  keys.write("ours correct-horse\n");
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (status(thief, "battery-staple") == 200 && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(status(thief, "battery-staple"), 401) << "on the connection that is open, too";
  EXPECT_EQ(rank_over_grpc(grpc_port, "authorization", "Bearer battery-staple"), grpc::UNAUTHENTICATED);
  EXPECT_EQ(status(owner, "correct-horse"), 200);
  for (const char* guess : {"", "correct-hors", "correct-horse1", "CORRECT-HORSE", "*", "' or 1=1"})
    EXPECT_EQ(status(thief, guess), 401) << guess;
}

TEST(Attack, SlowlorisHoldsNobodyUp) {
  Program program({"--header-timeout-ms", "500", "--body-timeout-ms", "500", "--max-connections", "500"});
  std::vector<RawClient> slow;
  for (int i = 0; i < 200; ++i) {
    slow.emplace_back(program.port());
    const bool body = i % 2 == 0;  // half of them send their body slowly
    slow.back().send(body ? "POST /rerank HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n{"
                          : "POST /rerank HTTP/1.1\r\nX: ");
  }
  // The heads go on dripping: each byte comes in time, all of them never do.
  RawClient good(program.port());
  for (int round = 0; round < 15; ++round) {
    for (size_t i = 1; i < slow.size(); i += 2) slow[i].send("x");
    EXPECT_EQ(good.request("POST", "/rerank", kBody).status, 200);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  for (RawClient& client : slow) {
    EXPECT_EQ(client.read_response().status, 408);
    client.close();
  }
  EXPECT_EQ(good.request("POST", "/rerank", kBody).status, 200);
}

TEST(Attack, NoRequestHidesInTheBodyOfAnother) {
  Program program;
  for (const char* fields :
       {"Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: xyz\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 0\r\n", "Host: u\r\n"}) {
    RawClient client(program.port());
    client.send(std::string("POST /rerank HTTP/1.1\r\nHost: t\r\n") + fields +
                "\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: t\r\n\r\n");
    const RawResponse response = client.read_response();
    EXPECT_TRUE(response.status == 400 || response.status == 501) << fields << response.status;
    EXPECT_EQ(response.headers.at("connection"), "close") << fields;
    client.half_close();
    EXPECT_TRUE(client.at_end()) << fields << "was answered twice";
  }
  // Telnet, and probes that send line by line.
  RawClient slow(program.port());
  slow.send("GET /health HTTP/1.0\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  slow.send("\r\n");
  EXPECT_EQ(slow.read_response().status, 200);
}

TEST(Attack, HugeHeadersAreRefused) {
  const uint16_t grpc_port = free_port();
  Program program({"--grpc-port", std::to_string(grpc_port)});
  const std::string huge(64 << 10, 'x');
  const std::string many = [] {
    std::string lines;
    for (int i = 0; i < 5000; ++i) lines += "a" + std::to_string(i) + ": b\r\n";
    return lines;
  }();
  for (const std::string& head : {"GET /health HTTP/1.1\r\nX: " + huge, "GET /" + huge + " HTTP/1.1\r\n",
                                  "GET /health HTTP/1.1\r\n" + many, huge}) {
    RawClient client(program.port());
    client.send(head);
    const int status = client.read_response().status;
    EXPECT_TRUE(status == 431 || status == 400) << status;
  }
  // One that never ends is not read on for ever, either: this would be six gigabytes.
  RawClient endless(program.port());
  endless.send("GET /health HTTP/1.1\r\nX: ");
  int sent = 0;
  while (sent < 100000 && endless.send(huge)) ++sent;
  EXPECT_LT(sent, 100000);
  EXPECT_EQ(rank_over_grpc(grpc_port, "x", huge), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(rank_over_grpc(grpc_port, "x", "small"), grpc::OK);
  EXPECT_EQ(RawClient(program.port()).request("GET", "/health").status, 200);
}

TEST(Attack, ConnectionsToOnePortEndNeither) {
  const uint16_t grpc_port = free_port();
  Program program({"--grpc-port", std::to_string(grpc_port)}, [] {
    const rlimit few{128, 128};
    setrlimit(RLIMIT_NOFILE, &few);
  });
  RawClient kept(program.port());
  for (const uint16_t port : {grpc_port, program.port()}) {
    std::vector<RawClient> flood;
    for (int i = 0; i < 400; ++i) flood.emplace_back(port);
    EXPECT_EQ(kept.request("GET", "/health").status, 200);
    if (port == grpc_port) {
      EXPECT_EQ(RawClient(program.port()).request("POST", "/rerank", kBody).status, 200);
    } else {
      EXPECT_EQ(rank_over_grpc(grpc_port, "x", "y"), grpc::OK);
    }
  }
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (rank_over_grpc(grpc_port, "x", "y") != grpc::OK && std::chrono::steady_clock::now() < patience) continue;
  EXPECT_EQ(rank_over_grpc(grpc_port, "x", "y"), grpc::OK) << "when those connections have gone";
  EXPECT_EQ(RawClient(program.port()).request("GET", "/health").status, 200);
  program.terminate();
  EXPECT_EQ(program.wait(), 0);
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

TEST(Attack, OneAddressLeavesConnectionsToOthers) {
  const uint16_t grpc_port = free_port();
  Program program({"--grpc-port", std::to_string(grpc_port), "--max-connections", "40"});
  std::vector<RawClient> held;
  for (const uint16_t port : {program.port(), grpc_port}) {
    for (int i = 0; i < 100; ++i) held.emplace_back(port, /*from=*/3);
  }
  RawClient other(program.port(), /*from=*/2);
  EXPECT_EQ(other.request("POST", "/rerank", kBody).status, 200);
  EXPECT_EQ(rank_over_grpc(grpc_port, "x", "small"), grpc::OK);
  for (RawClient& client : held) client.close();
  RawClient again(program.port(), /*from=*/3);
  EXPECT_EQ(again.request("POST", "/rerank", kBody).status, 200) << "and has its share again";
}

TEST(Attack, SleepersOnTheMetricsPortHideNothing) {
  const uint16_t port = free_port();
  Program program({"--read-only-metrics-address", "127.0.0.1:" + std::to_string(port)});
  std::vector<RawClient> sleepers;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 64; ++i) {
      sleepers.emplace_back(port, /*from=*/static_cast<uint8_t>(3 + i % 2));
      if (i % 4 == 0) sleepers.back().send("GET /metrics HT");
      if (i % 4 == 1) sleepers.back().send("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");  // and sleeps then
    }
    RawClient scraper(port, /*from=*/2), probe(port, /*from=*/3);
    EXPECT_NE(scraper.request("GET", "/metrics").body.find("rerankd_http_requests_total"), std::string::npos);
    EXPECT_EQ(probe.request("GET", "/health").status, 200);
  }
}

TEST(Attack, BombsHoldABoundedMemoryAndProbesAreAnswered) {
  Program program({"--max-memory-bytes", std::to_string(256 << 20)});
  std::string text(6 << 20, 'x');
  for (size_t i = 0; i < text.size(); i += 7) text[i] = ' ';
  const std::string bomb = gzip(R"({"query":"q","return_documents":true,"documents":[")" + text + "\"]}");
  RawClient good(program.port(), /*from=*/2);
  EXPECT_EQ(good.request("POST", "/rerank", kBody).status, 200);
  [[maybe_unused]] const size_t before = memory_figure("VmRSS", program.pid());
  const MemoryGrowth growth(program.pid());
  std::vector<RawClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(program.port(), 1, 4096);
    clients.back().send_request("POST", "/rerank", bomb, "Content-Encoding: gzip\r\n");
    EXPECT_EQ(good.request("GET", "/health").status, 200);
    EXPECT_EQ(good.request("GET", "/metrics").status, 200);
  }
  EXPECT_EQ(good.request("POST", "/rerank", kBody).status, 200) << "another client is served";
  int served = 0, refused = 0;
  for (RawClient& client : clients) {
    const int status = client.read_response().status;
    served += status == 200;
    refused += status == 503 || status == 429;
    client.close();
  }
  EXPECT_EQ(served + refused, 40);
  EXPECT_GT(served, 0);
  EXPECT_GT(refused, 0);
  EXPECT_LT(growth.bytes(), size_t{400} << 20);
#ifndef __SANITIZE_THREAD__  // which keeps its shadow of what was freed
  // And it is given back.
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (memory_figure("VmRSS", program.pid()) > before + (size_t{60} << 20) &&
         std::chrono::steady_clock::now() < patience)
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LT(memory_figure("VmRSS", program.pid()), before + (size_t{60} << 20));
#endif
}

TEST(Attack, MessagesThatAreNoTextFillNoLog) {
  const uint16_t grpc_port = free_port();
  Program program({"--grpc-port", std::to_string(grpc_port)});
  for (int i = 0; i < 50; ++i) {
    const grpc::StatusCode code = rank_over_grpc(grpc_port, "x", "small", "\xff\xfe");
    EXPECT_TRUE(code == grpc::INTERNAL || code == grpc::INVALID_ARGUMENT) << code;
  }
  EXPECT_EQ(rank_over_grpc(grpc_port, "x", "small"), grpc::OK);
  program.terminate();
  EXPECT_EQ(program.wait(), 0);
  EXPECT_EQ(program.log().find("UTF-8"), std::string::npos) << program.log();
}

TEST(Attack, LogsHoldNeitherTextsNorKeys) {
  Program program({"--log-level", "debug", "--api-key", "very-secret-key"});
  RawClient client(program.port());
  const std::string key = "Authorization: Bearer very-secret-key\r\n";
  EXPECT_EQ(client.request("POST", "/rerank", R"({"query":"private-query","texts":["private-text"]})", key).status,
            200);
  EXPECT_EQ(client.request("POST", "/rerank", R"({"query":"private-query","texts":[{"private-text":1}]})", key).status,
            422);
  EXPECT_EQ(client.request("POST", "/rerank", R"({"query":"private-query)", key).status, 400);
  EXPECT_EQ(client.request("GET", "/info", "", "Authorization: Bearer wrong-secret-key\r\n").status, 401);
  program.terminate();
  EXPECT_EQ(program.wait(), 0);
  for (const char* secret : {"private-query", "private-text", "secret-key"})
    EXPECT_EQ(program.log().find(secret), std::string::npos) << secret;
}

}  // namespace
}  // namespace rerank
