// What a gRPC call holds while its messages arrive, and what they become: HTTP/2 byte by byte, for what gRPC's own
// clients never do; and messages that grow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "grpc/health/v1/health.grpc.pb.h"
#include "rpc/messages.h"
#include "support/fixtures/rpc_fixture.h"
#include "support/raw_client.h"
#include "transport/errors.h"
#include "transport/memory_budget.h"

namespace rerank::rpc {
namespace {

using transport::ErrorKind, transport::MemoryBudget, transport::MemoryHold;

using namespace std::string_literals;

constexpr size_t kMiB = size_t{1} << 20;

std::string big_endian(size_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

// RFC 9113, 4.1.
std::string frame(int type, int flags, size_t stream, const std::string& payload) {
  return big_endian(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + big_endian(stream, 4) +
         payload;
}

// A client that has begun a call of `path` (RFC 7541, 6.2.2: literal fields without indexing) and may send its message.
class HalfCall {
 public:
  HalfCall(uint16_t port, const std::string& path, const std::string& key = "", uint8_t from = 1)
      : client_(port, from) {
    std::string head;
    const auto add = [&](const std::string& name, const std::string& value) {
      head += std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
    };
    add(":method", "POST");
    add(":scheme", "http");
    add(":path", path);
    add(":authority", "h");
    add("content-type", "application/grpc");
    add("te", "trailers");
    if (!key.empty()) add("authorization", key);
    client_.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "") + frame(1, 4, 1, head));
  }
  // The head of a message of so many bytes, and the first of these.
  void begin_message(size_t size, size_t first) {
    std::string data = std::string(1, '\0') + big_endian(size, 4) + std::string(first, 'x');
    for (size_t at = 0; at < data.size(); at += 16384) client_.send(frame(0, 0, 1, data.substr(at, 16384)));
  }
  // Waits until the server ends the call.
  bool ends() { return client_.receives("grpc-status"); }

 private:
  RawClient client_;
};

class ArrivalTest : public RpcTest {
 protected:
  void start(size_t memory, size_t body_timeout_ms, const std::string& keys = "") {
    ServerOptions options;
    options.body_timeout_ms = body_timeout_ms;
    options.max_body_bytes = kMessage;
    api::ApiOptions api;
    api.api_keys = keys;
    api.memory = memory_ = std::make_shared<MemoryBudget>(memory);
    restart(options, api);
  }
  void wait_until_held(size_t least) {
    while (memory_->held() < least) std::this_thread::yield();
  }
  void wait_until_nothing_is_held() {
    while (memory_->held() > 0) std::this_thread::yield();
  }

  static constexpr size_t kMessage = 4 * kMiB;
  std::shared_ptr<MemoryBudget> memory_;
};

TEST_F(ArrivalTest, AMessageThatIsLongInComingIsCountedAndEnds) {
  start(64 * kMiB, 400);
  HalfCall call(server_->port(), "/rerank.v1.Reranker/Rerank");
  call.begin_message(3 * kMiB, 30000);
  wait_until_held(kMessage);
  EXPECT_TRUE(call.ends());
  wait_until_nothing_is_held();
}

TEST_F(ArrivalTest, OneClientCannotHoldMoreThanItsShareOfWhatArrives) {
  start(32 * kMiB, 60000);  // half of it: three messages of the largest size
  std::vector<std::unique_ptr<HalfCall>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::make_unique<HalfCall>(server_->port(), "/rerank.v1.Reranker/Rerank", "", 2));
    calls.back()->begin_message(3 * kMiB, 30000);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // in this order
  }
  wait_until_held(3 * kMessage);
  EXPECT_TRUE(calls.back()->ends()) << "the first have what there is";
  EXPECT_LE(memory_->held(), 16 * kMiB);
  grpc::ClientContext context;
  tei::RerankResponse response;
  EXPECT_TRUE(tei::Rerank::NewStub(channel_)->Rerank(&context, tei_request(), &response).ok()) << "of another address";
  EXPECT_EQ(response.ranks_size(), 3);
}

TEST_F(ArrivalTest, WithoutAKeyNothingOfAMessageIsRead) {
  start(64 * kMiB, 60000, "a-long-secret");
  HalfCall call(server_->port(), "/rerank.v1.Reranker/Rerank");
  call.begin_message(3 * kMiB, 30000);
  EXPECT_TRUE(call.ends()) << "at once, though the message is not there";
  EXPECT_EQ(memory_->held(), 0u);
  HalfCall known(server_->port(), "/rerank.v1.Reranker/Rerank", "Bearer a-long-secret");
  known.begin_message(3 * kMiB, 30000);
  wait_until_held(kMessage);
}

TEST_F(ArrivalTest, HealthAndReflectionAreCountedToo) {
  start(64 * kMiB, 400);
  for (const char* path :
       {"/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    HalfCall call(server_->port(), path);
    call.begin_message(3 * kMiB, 30000);
    wait_until_held(kMessage);
    EXPECT_TRUE(call.ends());
    wait_until_nothing_is_held();
  }
}

TEST_F(ArrivalTest, CompressedMessagesAreReadAsFarAsTheLimit) {
  start(256 * kMiB, 60000);
  const auto stub = tei::Rerank::NewStub(channel_);
  const auto ask = [&](size_t bytes, grpc_compression_algorithm how) {
    grpc::ClientContext context;
    context.set_compression_algorithm(how);
    tei::RerankRequest request = tei_request();
    request.add_texts(std::string(bytes, 'x'));
    tei::RerankResponse response;
    const grpc::Status status = stub->Rerank(&context, request, &response);
    EXPECT_EQ(response.ranks_size(), status.ok() ? 4 : 0);
    return status.error_code();
  };
  EXPECT_EQ(ask(1000, GRPC_COMPRESS_GZIP), grpc::OK);
  EXPECT_EQ(ask(3 * kMiB, GRPC_COMPRESS_GZIP), grpc::OK);
  EXPECT_EQ(ask(100 * kMiB, GRPC_COMPRESS_GZIP), grpc::OUT_OF_RANGE) << "100 KB that would become 100 MiB";
  EXPECT_EQ(ask(1000, GRPC_COMPRESS_DEFLATE), grpc::UNIMPLEMENTED);
}

using grpc::health::v1::Health, grpc::health::v1::HealthCheckRequest, grpc::health::v1::HealthCheckResponse;

class HealthWatcher {
 public:
  explicit HealthWatcher(const std::shared_ptr<grpc::Channel>& channel, const std::string& service = "")
      : stub_(Health::NewStub(channel)) {
    HealthCheckRequest request;
    request.set_service(service);
    reader_ = stub_->Watch(&context_, request);
  }
  ~HealthWatcher() { context_.TryCancel(); }
  int next() {
    HealthCheckResponse response;
    return reader_->Read(&response) ? static_cast<int>(response.status()) : -1;
  }
  grpc::StatusCode finish() {
    while (next() >= 0) continue;
    return reader_->Finish().error_code();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<Health::Stub> stub_;
  std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
};

TEST_F(ArrivalTest, HealthIsWatched) {
  start(64 * kMiB, 200);
  HealthWatcher watcher(channel_);
  EXPECT_EQ(watcher.next(), HealthCheckResponse::SERVING);
  server_->set_serving(false);
  EXPECT_EQ(watcher.next(), HealthCheckResponse::NOT_SERVING);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // longer than the silence that other calls are allowed
  server_->set_serving(true);
  EXPECT_EQ(watcher.next(), HealthCheckResponse::SERVING);
  HealthWatcher unknown(channel_, "no.Such");
  EXPECT_EQ(unknown.next(), HealthCheckResponse::SERVICE_UNKNOWN);
  auto gone = std::make_unique<HealthWatcher>(channel_);
  EXPECT_EQ(gone->next(), HealthCheckResponse::SERVING);
  gone.reset();
  server_->drain_and_stop();  // does not wait for who watches
  EXPECT_EQ(watcher.finish(), grpc::UNAVAILABLE);
}

Status read(const std::string& bytes, const std::shared_ptr<MemoryBudget>& memory, google::protobuf::Message& message) {
  const grpc::Slice slice(bytes);
  grpc::ByteBuffer raw(&slice, 1);
  MemoryHold hold(memory, "somebody");
  return read_message(raw, 64 * kMiB, hold, message);
}

TEST(Messages, ManySmallFieldsAreCountedBeforeTheyAreMade) {
  const auto memory = std::make_shared<MemoryBudget>(256 * kMiB);
  std::string texts;  // empty ones: two bytes each, and 40 as they are read
  for (size_t i = 0; i < 2 * kMiB; ++i) texts += "\x12\x00"s;
  v1::RerankRequest request;
  const Status status = read(texts, memory, request);
  EXPECT_EQ(transport::kind_of(status), ErrorKind::kBodyTooLarge) << status;
  EXPECT_EQ(request.documents_size(), 0);
  EXPECT_TRUE(read(texts.substr(0, 20000), memory, request).ok());
  EXPECT_EQ(request.documents_size(), 10000);
  std::string parts;  // in a message in the message
  for (size_t i = 0; i < kMiB * 3 / 2; ++i) parts += "\x0a\x00"s;
  const std::string size = {'\x80', '\x80', '\xc0', '\x01'};  // 3 MiB
  v1::RerankStreamRequest stream;
  EXPECT_EQ(transport::kind_of(read("\x12" + size + parts, memory, stream)), ErrorKind::kBodyTooLarge);
}

TEST(Messages, WhatIsNoMessageIsRefused) {
  v1::RerankRequest request;
  for (const std::string& bytes : {"\xff\xff\xff"s,
                                   "\x12\x05"
                                   "abc"s,
                                   "\x0a\x02\xc3\x28"s, "\x1f\x8b\x08"s, std::string(200, '\x0b'), "\x0c"s}) {
    const Status status = read(bytes, nullptr, request);
    EXPECT_TRUE(transport::kind_of(status) == ErrorKind::kInvalid ||
                transport::kind_of(status) == ErrorKind::kMalformed)
        << status;
  }
  EXPECT_TRUE(read("", nullptr, request).ok());
  EXPECT_TRUE(read("\x0a\x01q\xf8\x7f\x05"s, nullptr, request).ok()) << "a field of a later version";
  EXPECT_EQ(request.query(), "q");
}

}  // namespace
}  // namespace rerank::rpc
