// What a gRPC client may not do: too much, too slowly, without a key; and what the end of one call means for others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <thread>

#include "support/fixtures/rpc_fixture.h"
#include "transport/memory_budget.h"

namespace rerank::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

TEST_F(RpcTest, PartsOfAStreamShareOneQueryWhichIsCounted) {
  const auto stub = v1::Reranker::NewStub(channel_);
  v1::RerankStreamResponse message;
  OwnStream call(*stub);
  std::set<SharedQuery*> queries;
  for (int part = 0; part < 3; ++part) {
    call.send(part);
    ASSERT_TRUE(call.stream->Read(&message));
    queries.insert(fake_.last().shared_query.get());
    EXPECT_EQ(fake_.last().query_text(), "q");
  }
  EXPECT_EQ(queries.size(), 1u) << "held and tokenized once, however many parts there are";
  EXPECT_FALSE(queries.contains(nullptr));
  call.stream->WritesDone();
  while (call.stream->Read(&message)) continue;
  EXPECT_TRUE(call.stream->Finish().ok());

  ServerOptions small;
  small.max_body_bytes = 1000;
  restart(small, {});
  const auto again = v1::Reranker::NewStub(channel_);
  grpc::ClientContext context;
  const auto stream = again->RerankStream(&context);
  v1::RerankStreamRequest start, part;
  start.mutable_start()->set_query(std::string(900, 'q'));
  part.mutable_documents()->add_documents(std::string(200, 'x'));
  stream->Write(start);
  stream->Write(part);
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::RESOURCE_EXHAUSTED);
}

TEST_F(RpcTest, WhatIsThrownEndsOneCall) {
  const auto stub = tei::Rerank::NewStub(channel_);
  const auto own = v1::Reranker::NewStub(channel_);
  const auto status = [&] {
    grpc::ClientContext context;
    tei::RerankResponse response;
    return stub->Rerank(&context, tei_request(), &response).error_code();
  };
  fake_.throw_always(true);
  EXPECT_EQ(status(), grpc::FAILED_PRECONDITION) << "as TEI tells a failed backend";
  OwnStream stream(*own);
  v1::RerankStreamResponse message;
  stream.send(0);
  while (stream.stream->Read(&message)) continue;
  EXPECT_EQ(stream.stream->Finish().error_code(), grpc::INTERNAL);
  fake_.throw_always(false);
  EXPECT_EQ(status(), grpc::OK);
}

TEST_F(RpcTest, DocumentStreamsAreCheckedToo) {
  api::ApiOptions api;
  api.max_documents = 5;
  restart({}, api);
  const auto stub = v1::Reranker::NewStub(channel_);
  v1::RerankStreamResponse message;
  OwnStream many(*stub);
  for (int part = 0; part < 3; ++part) many.send(part);
  while (many.stream->Read(&message)) continue;
  EXPECT_EQ(many.stream->Finish().error_code(), grpc::INVALID_ARGUMENT);
  OwnStream none(*stub);
  none.stream->WritesDone();
  while (none.stream->Read(&message)) continue;
  EXPECT_EQ(none.stream->Finish().error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(RpcTest, TheCallsDeadlineIsTheRequests) {
  const auto stub = tei::Rerank::NewStub(channel_);
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + milliseconds(30000));
  tei::RerankResponse response;
  ASSERT_TRUE(stub->Rerank(&context, tei_request(), &response).ok());
  ASSERT_TRUE(fake_.last().deadline.has_value());
  const auto left = std::chrono::duration_cast<milliseconds>(*fake_.last().deadline - Clock::now()).count();
  EXPECT_GT(left, 10000);
  EXPECT_LE(left, 31000) << "gRPC rounds up";
  grpc::ClientContext patient;
  ASSERT_TRUE(stub->Rerank(&patient, tei_request(), &response).ok());
  EXPECT_FALSE(fake_.last().deadline.has_value());
}

TEST_F(RpcTest, ACancelledCallCancelsItsRequest) {
  fake_.hold();
  const auto stub = tei::Rerank::NewStub(channel_);
  grpc::ClientContext context;
  tei::RerankResponse response;
  auto call = std::async(std::launch::async, [&] { return stub->Rerank(&context, tei_request(), &response); });
  fake_.wait_for_submitted(1);
  const auto cancellation = fake_.last().cancellation;
  EXPECT_FALSE(cancellation->cancelled());
  std::promise<void> cancelled;
  cancellation->on_cancel([&] { cancelled.set_value(); });
  context.TryCancel();
  EXPECT_EQ(call.get().error_code(), grpc::CANCELLED);
  cancelled.get_future().wait();
  fake_.release();

  fake_.hold();
  auto second = std::make_unique<OwnStream>(*v1::Reranker::NewStub(channel_));
  second->send(0);
  fake_.wait_for_submitted(2);
  second->context.TryCancel();
  v1::RerankStreamResponse message;
  while (second->stream->Read(&message)) continue;
  EXPECT_EQ(second->stream->Finish().error_code(), grpc::CANCELLED);
  fake_.release();
}

TEST_F(RpcTest, AsksForKeysWhereHttpDoes) {
  api::ApiOptions api;
  api.api_keys = "secret-key";
  restart({}, api);
  const auto stub = tei::Rerank::NewStub(channel_);
  const auto with = [&](const char* authorization) {
    grpc::ClientContext context;
    if (authorization) context.AddMetadata("authorization", authorization);
    tei::RerankResponse response;
    return stub->Rerank(&context, tei_request(), &response).error_code();
  };
  EXPECT_EQ(with(nullptr), grpc::UNAUTHENTICATED);
  EXPECT_EQ(with("Bearer wrong-key"), grpc::UNAUTHENTICATED);
  EXPECT_EQ(with("Bearer secret-key"), grpc::OK);
  EXPECT_EQ(with("secret-key"), grpc::OK);
  const auto own = v1::Reranker::NewStub(channel_);
  OwnStream stream(*own);
  v1::RerankStreamResponse message;
  while (stream.stream->Read(&message)) continue;
  EXPECT_EQ(stream.stream->Finish().error_code(), grpc::UNAUTHENTICATED);
}

TEST_F(RpcTest, MessagesHaveALimit) {
  ServerOptions small;
  small.max_body_bytes = 1000;
  restart(small, {});
  const auto stub = tei::Rerank::NewStub(channel_);
  tei::RerankRequest request = tei_request();
  request.add_texts(std::string(2000, 'x'));
  grpc::ClientContext context;
  tei::RerankResponse response;
  EXPECT_EQ(stub->Rerank(&context, request, &response).error_code(), grpc::RESOURCE_EXHAUSTED);
  grpc::ClientContext streaming;
  const auto writer = stub->RerankStream(&streaming, &response);
  tei::RerankStreamRequest part;
  part.set_text(std::string(600, 'x'));
  for (int i = 0; i < 10 && writer->Write(part); ++i) continue;
  writer->WritesDone();
  EXPECT_EQ(writer->Finish().error_code(), grpc::RESOURCE_EXHAUSTED);
}

TEST_F(RpcTest, FinishesWhatWasAcceptedWhenItStops) {
  fake_.hold();
  const auto stub = tei::Rerank::NewStub(channel_);
  grpc::ClientContext context;
  tei::RerankResponse response;
  auto call = std::async(std::launch::async, [&] { return stub->Rerank(&context, tei_request(), &response); });
  fake_.wait_for_submitted(1);
  std::thread stop([&] { server_->drain_and_stop(); });
  std::this_thread::sleep_for(milliseconds(50));
  fake_.release();
  EXPECT_TRUE(call.get().ok());
  EXPECT_EQ(response.ranks_size(), 3);
  stop.join();
}

// A channel whose client takes no more than 64 KiB of what it does not read.
std::shared_ptr<grpc::Channel> narrow_channel(uint16_t port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65535);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments);
}

// What has come is held while the rest is waited for: not for ever.
TEST_F(RpcTest, AStreamThatFallsSilentEndsAndGivesItsMemoryBack) {
  ServerOptions options;
  options.body_timeout_ms = 200;
  api::ApiOptions api;
  api.memory = std::make_shared<transport::MemoryBudget>(size_t{512} << 20);
  restart(options, api);
  const auto channel = narrow_channel(server_->port());
  const auto of_tei = tei::Rerank::NewStub(channel);
  grpc::ClientContext context;
  tei::RerankResponse response;
  const auto writer = of_tei->RerankStream(&context, &response);
  tei::RerankStreamRequest text;
  text.set_query("q");
  text.set_text(std::string(100000, 'x'));
  ASSERT_TRUE(writer->Write(text));
  const auto own = v1::Reranker::NewStub(channel);
  OwnStream call(*own);  // which has sent its start
  while (api.memory->held() < 100000) std::this_thread::yield();
  EXPECT_EQ(writer->Finish().error_code(), grpc::DEADLINE_EXCEEDED);
  v1::RerankStreamResponse message;
  while (call.stream->Read(&message)) continue;
  EXPECT_EQ(call.stream->Finish().error_code(), grpc::DEADLINE_EXCEEDED);
  while (api.memory->held() > 0) std::this_thread::yield();
}

TEST_F(RpcTest, AnAnswerOfTooManyTokensIsRefused) {
  const auto stub = tei::Tokenize::NewStub(channel_);
  const auto ask = [&](size_t bytes) {
    grpc::ClientContext context;
    tei::EncodeRequest request;
    request.set_inputs(std::string(bytes, 'x'));
    request.set_add_special_tokens(true);
    tei::EncodeResponse response;
    return stub->Tokenize(&context, request, &response).error_code();
  };
  EXPECT_EQ(ask(100000), grpc::OK);
  EXPECT_EQ(ask(256u << 10), grpc::OUT_OF_RANGE) << "two tokens more than the limit";
}

TEST_F(RpcTest, ACallWhoseAnswerIsNotTakenEndsAndGivesItsMemoryBack) {
  ServerOptions options;
  options.body_timeout_ms = 400;
  options.max_body_bytes = 8u << 20;
  api::ApiOptions api;
  api.max_documents = 100000;
  api.memory = std::make_shared<transport::MemoryBudget>(size_t{512} << 20);
  restart(options, api);
  const auto channel = narrow_channel(server_->port());
  const auto stub = v1::Reranker::NewStub(channel);
  OwnStream call(*stub);
  v1::RerankStreamRequest part;
  for (int i = 0; i < 40000; ++i) part.mutable_documents()->add_documents("some text");
  call.stream->Write(part);
  call.stream->WritesDone();
  fake_.wait_for_submitted(1);
  while (api.memory->held() > 0) std::this_thread::yield();  // never, if it were not ended
  v1::RerankStreamResponse message;
  while (call.stream->Read(&message)) continue;
  EXPECT_EQ(call.stream->Finish().error_code(), grpc::CANCELLED);
  // Who takes its answers, and goes on, has them all.
  OwnStream slow(*stub);
  slow.send(0);
  ASSERT_TRUE(slow.stream->Read(&message));
  std::this_thread::sleep_for(milliseconds(150));
  slow.send(1);
  ASSERT_TRUE(slow.stream->Read(&message));
  slow.stream->WritesDone();
  while (slow.stream->Read(&message)) continue;
  EXPECT_TRUE(slow.stream->Finish().ok());
}

TEST_F(RpcTest, CallersOfOneAddressHaveAShareOfMemoryByKey) {
  api::ApiOptions api;
  api.api_keys = "first-key1";
  api.memory = std::make_shared<transport::MemoryBudget>(size_t{1} << 20);
  restart({}, api);
  const auto stub = tei::Rerank::NewStub(channel_);
  const auto status = [&] {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "first-key1");
    tei::RerankResponse response;
    return stub->Rerank(&context, tei_request(), &response).error_code();
  };
  transport::MemoryHold of_address(api.memory, "127.0.0.1"), of_key(api.memory, transport::client_of_key("key"));
  ASSERT_TRUE(of_address.resize(size_t{1} << 19).ok());
  EXPECT_EQ(status(), grpc::OK) << "what others of its address hold is not its own";
  of_address.shrink(0);
  while (api.memory->held() > 0) std::this_thread::yield();  // the call may not be quite over
  ASSERT_TRUE(of_key.resize(size_t{1} << 19).ok());
  EXPECT_EQ(status(), grpc::UNAVAILABLE);
}

}  // namespace
}  // namespace rerank::rpc
