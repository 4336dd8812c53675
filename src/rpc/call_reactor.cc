#include "rpc/call_reactor.h"

#include <utility>

#include "base/status_macros.h"
#include "rpc/messages.h"

namespace rerank::rpc {

CallReactor::CallReactor(RpcCore& core, grpc::CallbackServerContext& context, const char* method, Reads reads)
    : reads_(reads), call_(core, context, method, [this](const Status& status) { fail(status); }) {}

void CallReactor::begin_work() {
  const std::lock_guard lock(mutex_);
  ++work_;
}

void CallReactor::send(const google::protobuf::Message& message, std::shared_ptr<void> held) {
  Outgoing outgoing{write_message(message), std::move(held)};
  const std::lock_guard lock(mutex_);
  out_.push_back(std::move(outgoing));
}

void CallReactor::OnReadDone(bool ok) {
  call_.end_arrival();
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(silent_, false)) call_.end_silence();
    ended_ |= !ok || reads_ == Reads::kOne;
    ok &= status_.ok();
    if (!ok) reading_ = false;
    if (ok) ++work_;
  }
  if (!ok) return step(0, ok_status());
  const auto taken = [this](const Status& status) {
    {
      // Not before: another thread would begin to read the next message into this one, and take its turn.
      const std::lock_guard lock(mutex_);
      reading_ = false;
    }
    step(1, status);
  };
  if (takes_long(raw_)) return RpcCore::run(call_.core().readers, taken, [this] { return take(); });
  taken(guarded([this] { return take(); }));
}

Status CallReactor::take() {
  auto memory = call_.new_hold();
  RETURN_IF_ERROR(read_message(raw_, call_.core().max_message_bytes, *memory, message()));
  on_message(std::move(memory));
  forget_message();
  return ok_status();
}

void CallReactor::OnWriteDone(bool ok) {
  {
    const std::lock_guard lock(mutex_);
    call_.end_sending();
    writing_.reset();
  }
  step(0, ok ? ok_status() : Status(absl::StatusCode::kCancelled, "the client has gone"));
}

void CallReactor::OnCancel() {
  call_.cancel();
  on_cancel();
  step(0, absl::CancelledError("the call was cancelled"));
}

// Whatever can be done next. Reads and writes are begun under the lock, so that nobody ends the call between the
// decision and the deed; recursive, since gRPC may call back on this thread. After the end this object may be gone.
void CallReactor::step(size_t work_ended, const Status& status) {
  bool ends = false, finishes = false;
  {
    const std::lock_guard lock(mutex_);
    work_ -= work_ended;
    if (finished_) return;
    end_with(status);
    if (status_.ok() && work_ == 0 && ended_ && !wrapped_up_) ends = wrapped_up_ = true;
    ends ? void(++work_) : begin_next();  // on_end() is work: nobody else may end the call meanwhile
    // The last message and the status go together.
    const bool last = wrapped_up_ && out_.size() <= 1;
    finishes = work_ == 0 && !writing_ && (!status_.ok() || last);
    finished_ = finishes;
  }
  if (finishes) {
    const grpc::Status sent_status = call_.finish(status_);
    call_.begin_sending();
    if (out_.empty()) {
      Finish(sent_status);
    } else {
      StartWriteAndFinish(&out_.front().bytes, {}, sent_status);
    }
  } else if (ends) {
    step(1, guarded([&] { on_end(); }));
  }
}

void CallReactor::end_with(const Status& status) {
  if (!status_.ok() || status.ok()) return;
  status_ = status;
  out_.clear();
  call_.cancel();
}

void CallReactor::begin_next() {
  const bool last = wrapped_up_ && work_ == 0 && out_.size() == 1;
  if (!writing_ && !out_.empty() && !last) {
    writing_ = std::move(out_.front());
    out_.pop_front();
    call_.begin_sending();
    StartWrite(&writing_->bytes);
  }
  if (status_.ok() && !reading_ && !ended_ && work_ + out_.size() < kAhead) {
    end_with(call_.begin_arrival());
    reading_ = status_.ok();
    if (reading_) StartRead(&raw_);
  }
  if (reading_ && status_.ok() && work_ == 0 && !writing_ && out_.empty() && !silent_) {
    silent_ = true;
    call_.begin_silence();
  }
}

}  // namespace rerank::rpc
