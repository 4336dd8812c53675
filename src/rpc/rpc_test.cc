// A GrpcServer over a FakeReranker, as clients see it.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <thread>

#include "api/routes.h"
#include "support/fixtures/rpc_fixture.h"

namespace rerank::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;
using testing::HasSubstr;

grpc::Status send_bytes(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                        const std::string& bytes) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const grpc::Slice slice(bytes);
  const auto call = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

TEST_F(RpcTest, AMessageThatDoesNotParseIsSaidToBeOne) {
  const grpc::Status broken = send_bytes(channel_, "/tei.v1.Rerank/Rerank", "\xff\xff\xff");
  EXPECT_EQ(broken.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(broken.error_message(), HasSubstr("UTF-8"));
  EXPECT_EQ(send_bytes(channel_, "/rerank.v1.Reranker/RerankStream", "\xff\xff\xff").error_code(),
            grpc::INVALID_ARGUMENT);
  EXPECT_EQ(send_bytes(channel_, "/tei.v1.Embed/Embed", "").error_code(), grpc::UNIMPLEMENTED);
}

TEST_F(RpcTest, RanksForTeiClients) {
  const auto stub = tei::Rerank::NewStub(channel_);
  tei::RerankRequest request = tei_request();
  request.set_raw_scores(true);
  request.set_return_text(true);
  request.set_truncate(true);
  request.set_truncation_direction(tei::TRUNCATION_DIRECTION_LEFT);
  tei::RerankResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->Rerank(&context, request, &response).ok());
  ASSERT_EQ(response.ranks_size(), 3);
  for (int i = 0; i < 3; ++i) {
    const tei::Rank& rank = response.ranks(i);
    EXPECT_EQ(rank.text(), request.texts(static_cast<int>(rank.index())));
    EXPECT_EQ(rank.score(), fake_logit("q", rank.text()));
    EXPECT_GE(response.ranks(std::max(i - 1, 0)).score(), rank.score());
  }
  EXPECT_GT(response.metadata().compute_tokens(), 0u);
  EXPECT_EQ(response.metadata().total_time_ns(), 5'000'000u);
  EXPECT_EQ(response.metadata().inference_time_ns(), 1'000'000u) << "a mean per text";
  EXPECT_EQ(fake_.last().truncation_side, TruncationSide::kLeft);
  EXPECT_TRUE(fake_.last().truncate);
}

TEST_F(RpcTest, RanksTextsThatComeOneByOne) {
  const auto stub = tei::Rerank::NewStub(channel_);
  tei::RerankResponse response;
  grpc::ClientContext context;
  const auto writer = stub->RerankStream(&context, &response);
  for (const char* text : {"a", "b", "c"}) {
    tei::RerankStreamRequest part;
    part.set_query(std::string("q") + (*text == 'a' ? "" : "ignored"));
    part.set_text(text);
    part.set_return_text(*text == 'a');
    ASSERT_TRUE(writer->Write(part));
  }
  writer->WritesDone();
  ASSERT_TRUE(writer->Finish().ok());
  ASSERT_EQ(response.ranks_size(), 3);
  for (const tei::Rank& rank : response.ranks()) {
    EXPECT_EQ(rank.text(), std::string(1, static_cast<char>('a' + rank.index())));
    EXPECT_EQ(rank.score(), fake_sigmoid(fake_logit("q", rank.text())));
  }
}

TEST_F(RpcTest, StreamsOfPairsAreAnsweredInTheirOrder) {
  const auto stub = tei::Predict::NewStub(channel_);
  grpc::ClientContext context;
  const auto stream = stub->PredictPairStream(&context);
  constexpr int kCount = 200;
  std::thread writer([&] {
    for (int i = 0; i < kCount; ++i) {
      tei::PredictPairRequest request;
      request.add_inputs("q");
      request.add_inputs(std::to_string(i));
      request.set_raw_scores(true);
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  tei::PredictResponse response;
  int count = 0;
  for (; stream->Read(&response); ++count) {
    ASSERT_EQ(response.predictions(0).score(), fake_logit("q", std::to_string(count)));
    ASSERT_EQ(response.predictions(0).label(), "LABEL_0");
  }
  writer.join();
  EXPECT_EQ(count, kCount);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(RpcTest, AWrongMessageEndsItsStreamAlone) {
  const auto stub = tei::Predict::NewStub(channel_);
  grpc::ClientContext context;
  const auto stream = stub->PredictPairStream(&context);
  tei::PredictPairRequest request;
  request.add_inputs("alone");
  stream->Write(request);
  tei::PredictResponse response;
  while (stream->Read(&response)) continue;
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("pair"));
}

TEST_F(RpcTest, TokenizesAndDecodes) {
  const auto stub = tei::Tokenize::NewStub(channel_);
  tei::EncodeRequest request;
  request.set_inputs("ab");
  request.set_add_special_tokens(true);
  tei::EncodeResponse response;
  grpc::ClientContext first;
  ASSERT_TRUE(stub->Tokenize(&first, request, &response).ok());
  ASSERT_EQ(response.tokens_size(), 4);
  EXPECT_FALSE(response.tokens(0).has_start());
  EXPECT_EQ(response.tokens(2).text(), "b");
  EXPECT_EQ(response.tokens(2).start(), 1u);
  EXPECT_EQ(response.tokens(2).stop(), 2u);
  tei::DecodeRequest back;
  for (const tei::SimpleToken& token : response.tokens()) back.add_ids(token.id());
  back.add_ids(4'000'000'000u);
  back.set_skip_special_tokens(true);
  tei::DecodeResponse text;
  grpc::ClientContext second;
  ASSERT_TRUE(stub->Decode(&second, back, &text).ok());
  EXPECT_EQ(text.text(), "ab");
}

// Tokenizes when it is told to.
class SlowTokenizer : public FakeReranker {
 public:
  std::vector<Token> tokenize(std::string_view text, bool special) const override {
    released.wait();
    return FakeReranker::tokenize(text, special);
  }
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
};

TEST(RpcThreads, CallsDoNotWaitForTextsThatAreTokenized) {
  SlowTokenizer slow;
  const auto server = *GrpcServer::start({}, {transport::catalog_of(slow), {}, std::make_shared<Metrics>()});
  const auto channel =
      grpc::CreateChannel("127.0.0.1:" + std::to_string(server->port()), grpc::InsecureChannelCredentials());
  constexpr size_t kCalls = 50;  // more than gRPC has threads
  struct Call {
    grpc::ClientContext context;
    tei::EncodeRequest request;
    tei::EncodeResponse response;
    std::promise<grpc::Status> done;
  };
  const auto stub = tei::Tokenize::NewStub(channel);
  std::vector<std::unique_ptr<Call>> calls;
  for (size_t i = 0; i < kCalls; ++i) {
    Call& call = *calls.emplace_back(std::make_unique<Call>());
    call.request.set_inputs("ab");
    stub->async()->Tokenize(&call.context, &call.request, &call.response,
                            [&call](grpc::Status status) { call.done.set_value(std::move(status)); });
  }
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + std::chrono::seconds(30));
    tei::InfoResponse info;
    EXPECT_TRUE(tei::Info::NewStub(channel)->Info(&context, {}, &info).ok());
  }
  slow.release.set_value();
  for (const auto& call : calls) EXPECT_TRUE(call->done.get_future().get().ok());
}

TEST_F(RpcTest, DescribesItself) {
  tei::InfoResponse info;
  grpc::ClientContext first;
  ASSERT_TRUE(tei::Info::NewStub(channel_)->Info(&first, {}, &info).ok());
  EXPECT_EQ(info.model_id(), "fake-reranker");
  EXPECT_EQ(info.model_type(), tei::MODEL_TYPE_RERANKER);
  EXPECT_EQ(info.max_input_length(), 512u);
  v1::InfoResponse ours;
  grpc::ClientContext second;
  ASSERT_TRUE(v1::Reranker::NewStub(channel_)->Info(&second, {}, &ours).ok());
  EXPECT_EQ(ours.fingerprint(), "00ff");
}

TEST_F(RpcTest, OwnInterfaceRanksAndScores) {
  const auto stub = v1::Reranker::NewStub(channel_);
  v1::RerankRequest request;
  request.set_query("q");
  for (const char* text : {"a", "b", "c"}) request.add_documents(text);
  request.set_top_n(2);
  request.set_return_documents(true);
  request.mutable_settings()->set_scale(v1::SCORE_SCALE_LOGIT);
  request.mutable_settings()->set_truncation(v1::TRUNCATION_CHUNKS);
  request.mutable_settings()->set_priority(7);
  v1::RerankResponse response;
  grpc::ClientContext first;
  ASSERT_TRUE(stub->Rerank(&first, request, &response).ok());
  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(0).score(), fake_logit("q", response.results(0).document()));
  EXPECT_EQ(response.model(), "fake-reranker");
  EXPECT_EQ(fake_.last().truncation, Truncation::kChunks);
  EXPECT_EQ(fake_.last().priority, -7);

  v1::ScoreRequest pairs;
  for (const char* query : {"q", "p", "q"}) {
    v1::Pair& pair = *pairs.add_pairs();
    pair.set_query(query);
    pair.set_document("a");
  }
  v1::ScoreResponse scores;
  grpc::ClientContext second;
  ASSERT_TRUE(stub->Score(&second, pairs, &scores).ok());
  ASSERT_EQ(scores.scores_size(), 3);
  EXPECT_EQ(scores.scores(1), fake_sigmoid(fake_logit("p", "a")));
}

TEST_F(RpcTest, ScoresLeaveWhileDocumentsAreStillComing) {
  const auto stub = v1::Reranker::NewStub(channel_);
  OwnStream call(*stub, 3);
  std::set<uint32_t> seen;
  v1::RerankStreamResponse message;
  for (int part = 0; part < 5; ++part) {
    call.send(part);
    ASSERT_TRUE(call.stream->Read(&message)) << "before the next part is sent";
    ASSERT_TRUE(message.has_scored());
    EXPECT_EQ(message.scored().batch(), static_cast<uint32_t>(part));
    for (const v1::RankedDocument& document : message.scored().documents()) {
      EXPECT_EQ(document.logit(), fake_logit("q", std::to_string(document.index())));
      seen.insert(document.index());
    }
  }
  EXPECT_EQ(seen.size(), 10u);
  call.stream->WritesDone();
  ASSERT_TRUE(call.stream->Read(&message));
  ASSERT_EQ(message.ranking().results_size(), 3);
  for (int i = 1; i < 3; ++i) EXPECT_GE(message.ranking().results(i - 1).logit(), message.ranking().results(i).logit());
  EXPECT_FALSE(call.stream->Read(&message));
  EXPECT_TRUE(call.stream->Finish().ok());
}

TEST_F(RpcTest, ErrorsAreThoseOfTheTable) {
  const auto stub = tei::Rerank::NewStub(channel_);
  const auto fails_with = [&](const Status& status) {
    fake_.fail_with(status);
    grpc::ClientContext context;
    tei::RerankResponse response;
    const grpc::Status got = stub->Rerank(&context, tei_request(), &response);
    const auto pushback = context.GetServerTrailingMetadata().find("grpc-retry-pushback-ms");
    const bool told = pushback != context.GetServerTrailingMetadata().end();
    return std::pair(got.error_code(), told ? std::string(pushback->second.data(), pushback->second.size()) : "");
  };
  using Answer = std::pair<grpc::StatusCode, std::string>;
  EXPECT_EQ(fails_with(absl::OutOfRangeError("too long")), Answer(grpc::INVALID_ARGUMENT, ""));
  EXPECT_EQ(fails_with(absl::InternalError("broken")), Answer(grpc::FAILED_PRECONDITION, "")) << "as TEI has it";
  EXPECT_EQ(fails_with(with_retry_after(absl::ResourceExhaustedError("full"), 3)),
            Answer(grpc::RESOURCE_EXHAUSTED, "3000"));
  EXPECT_EQ(fails_with(absl::UnavailableError("stopping")), Answer(grpc::UNAVAILABLE, "1000"));
  EXPECT_EQ(fails_with(absl::DeadlineExceededError("late")), Answer(grpc::DEADLINE_EXCEEDED, ""));
  fake_.fail_with(std::nullopt);
  grpc::ClientContext context;
  tei::RerankResponse response;
  EXPECT_EQ(stub->Rerank(&context, {}, &response).error_code(), grpc::INVALID_ARGUMENT) << "no texts";
  EXPECT_THAT(
      metrics_->to_text(),
      HasSubstr("rerankd_grpc_requests_total{code=\"9\",kind=\"rank\",method=\"tei.v1.Rerank/Rerank\",reason=\""));
}

TEST(RpcRoutes, EveryMethodHasARow) {
  for (const auto* file : {tei::RerankRequest::descriptor()->file(), v1::RerankRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      for (int k = 0; k < file->service(i)->method_count(); ++k) {
        const auto* method = file->service(i)->method(k);
        const std::string name = method->service()->full_name() + "/" + method->name();
        EXPECT_NE(api::route_of_method(name), nullptr) << name;
      }
    }
  }
}

}  // namespace
}  // namespace rerank::rpc
