#include "rpc/call.h"

#include <algorithm>
#include <chrono>

#include "base/status_macros.h"
#include "transport/urgency.h"

namespace rerank::rpc {
namespace {

constexpr std::chrono::hours kLongest(24 * 11);  // a deadline further away is the same as none
constexpr size_t kCallBytes = 16u << 10;         // what gRPC and we keep of a call, roughly

}  // namespace

RpcCall::RpcCall(RpcCore& core, grpc::CallbackServerContext& context, const char* method, RpcDone fail)
    : core_(core),
      context_(context),
      fail_(std::move(fail)),
      method_(method),
      route_(api::route_of_method(method)),
      own_(core.options.memory, transport::peer_of(context.peer())),
      // Its end could not be told: it would wait for what is not taken.
      sending_(core.transfers, [this] { context_.TryCancel(); }),
      silence_(core.transfers,
               [this] {
                 fail_(transport::make_error(transport::ErrorKind::kTimeout,
                                             "no whole message came for --body-timeout-ms: send it faster, or end the "
                                             "stream"));
               }),
      arrival_(core.arrivals, [this] { count_largest(); }) {
  ++core_.open_calls;
  record_.transport = "grpc";
  record_.label = method;
  record_.peer = transport::peer_of(context.peer());
  record_.ranks = route_ != nullptr && route_->ranks();
  record_.started = std::chrono::system_clock::now();
  record_.id = observe::request_id_of(metadata("x-request-id"));
  context_.AddTrailingMetadata("x-request-id", record_.id);
  if (const auto trace = observe::parse_traceparent(metadata("traceparent"))) record_.trace = *trace;
}

// A stream is one record: its requests' sums, and the times of the slowest.
void RpcCall::note_ranked(const RerankResponse& result) {
  const std::lock_guard lock(mutex_);
  record_.documents += result.documents;
  record_.tokens += result.total_tokens;
  core_.access.charge(record_.key, result.total_tokens);
  record_.truncated_documents += result.truncated_documents;
  record_.cached_documents += result.cached_documents;
  record_.ranked = Clock::now() - begin_;
  if (result.timings.total_us >= record_.timings.total_us) record_.timings = result.timings;
  record_.parsed = std::max(record_.parsed, record_.ranked - std::chrono::microseconds(record_.timings.total_us));
}

void RpcCall::note_model(const ModelInfo& model) {
  const std::lock_guard lock(mutex_);
  record_.model = model.version();
}

Result<std::shared_ptr<Reranker>> RpcCall::choose(std::string_view query, std::string_view named, bool wait) {
  for (const char* name : {"x-rerankd-model", "model"}) {
    if (named.empty()) named = metadata(name);
  }
  return core_.catalog->find({named, query, wait});
}

std::string_view RpcCall::metadata(const char* name) const {
  const auto found = context_.client_metadata().find(name);
  if (found == context_.client_metadata().end()) return {};
  return {found->second.data(), found->second.size()};
}

std::string RpcCall::client() const {
  return record_.key.empty() ? record_.peer : transport::client_of_key(record_.key);
}

std::shared_ptr<transport::MemoryHold> RpcCall::new_hold() {
  const std::lock_guard lock(mutex_);
  auto hold = std::make_shared<transport::MemoryHold>(core_.options.memory, client());
  last_hold_ = hold;
  return hold;
}

Status RpcCall::begin_arrival() {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(own_.resize(kCallBytes + kWindowBytes));
  arrives_ = true;
  arrival_.arm();
  return ok_status();
}

void RpcCall::count_largest() {
  Status held;
  {
    const std::lock_guard lock(mutex_);
    if (!arrives_) return;
    held = own_.resize(kCallBytes + kWindowBytes + core_.max_message_bytes);
  }
  if (!held.ok()) fail_(held);
}

void RpcCall::end_arrival() {
  arrival_.disarm();
  const std::lock_guard lock(mutex_);
  arrives_ = false;
  own_.shrink(kCallBytes);
}

Status RpcCall::admit() {
  if (route_ != nullptr && route_->key == api::Key::kNotNeeded) return ok_status();
  const Result<transport::KeyRule> caller = core_.access.admit(metadata("authorization"), record_.peer);
  if (!caller.ok()) {
    const std::lock_guard lock(mutex_);
    record_.rate_limited = transport::kind_of(caller.status()) == transport::ErrorKind::kRateLimited;
    return caller.status();
  }
  priority_ = caller->priority;
  const std::lock_guard lock(mutex_);
  record_.key = caller->name;
  return own_.move_to(client());
}

Result<RerankRequest> RpcCall::request() {
  RerankRequest request;
  request.cancellation = cancellation_;
  request.memory = last_hold_.lock();
  request.use_cache = !transport::wants_fresh_scores(metadata("cache-control"));
  request.priority = priority_;
  if (const std::string_view text = metadata("x-request-priority"); !text.empty()) {
    ASSIGN_OR_RETURN(const auto behind, transport::read_priority(text));
    request.priority += behind;
  }
  // The call's deadline is a time of day, ours of a clock that nobody sets.
  const auto left = context_.deadline() - std::chrono::system_clock::now();
  if (left < kLongest) {
    request.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(left);
  } else if (core_.options.request_timeout.count() > 0) {
    request.deadline = begin_ + core_.options.request_timeout;
  }
  return request;
}

grpc::Status RpcCall::finish(const Status& status) {
  const transport::ErrorShape shape =
      std::string_view(method_).starts_with("tei.") ? transport::ErrorShape::kTei : transport::ErrorShape::kCommon;
  const int code = status.ok() ? 0 : transport::grpc_code(status, shape);
  observe::RequestRecord record;
  {
    const std::lock_guard lock(mutex_);
    record = record_;
  }
  if (!status.ok()) record.field = observe::field_of({status.message().data(), status.message().size()});
  record.status = status.ok() ? 200 : transport::error_response(status, shape).status;
  record.total = Clock::now() - begin_;
  core_.requests.count(record, code);
  core_.requests.time(record);
  for (const auto& observer : core_.options.observers) observer->finished(record);
  if (!record.model.empty()) context_.AddTrailingMetadata("x-rerankd-model", record.model);
  if (status.ok()) return grpc::Status::OK;
  if (code == grpc::RESOURCE_EXHAUSTED || code == grpc::UNAVAILABLE) {
    const int seconds = retry_after_seconds(status).value_or(1);
    context_.AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(int64_t{1000} * seconds));
  }
  return {static_cast<grpc::StatusCode>(code), std::string(status.message())};
}

}  // namespace rerank::rpc
