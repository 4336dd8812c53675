// A connection while its request is handled: it waits for the answer, and watches whether the client is still there.
#include "server/connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "server/request_task.h"

namespace rerank::server {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kProbeAfterMs = 500;  // a client has closed its sending side: how long until we ask whether it listens

auto awaiting(error_code& code) { return asio::redirect_error(asio::use_awaitable, code); }

}  // namespace

// Probes are answered here, at once. Others without a body (metrics, pages) have a thread of their own: they do not
// wait for those that cost more to read.
void Connection::hand_over(transport::HttpRequest request, std::shared_ptr<Cancellation> cancellation) {
  if (!memory_) memory_ = std::make_shared<transport::MemoryHold>(core_.rules.budget, peer_);
  const bool empty = request.body.empty();
  const bool here = empty && (!core_.rules.is_probe || core_.rules.is_probe(request));
  const auto task =
      std::make_shared<const RequestTask>(RequestTask{.handler = core_.handler,
                                                      .cancellation = std::move(cancellation),
                                                      .memory = memory_,
                                                      .client_of = core_.rules.client_of,
                                                      .coding = accepted_coding(request.header("accept-encoding")),
                                                      .max_body_bytes = core_.options.max_body_bytes,
                                                      .compress_min_bytes = core_.options.compress_min_bytes,
                                                      .packed_pages = empty ? core_.packed_pages : nullptr,
                                                      .requests = core_.requests,
                                                      .cors = core_.access.cors_headers(request.header("origin"))});
  const auto deliver = [gate = core_.gate, weak = weak_from_this(),
                        sequence = ++sequence_](transport::HttpResponse&& response) {
    const std::lock_guard lock(gate->mutex);
    if (!gate->open) return;
    std::shared_ptr<Connection> self = weak.lock();
    if (!self) return;
    const Strand strand = self->strand_;
    asio::post(strand, [self = std::move(self), sequence, response = std::move(response)]() mutable {
      self->deliver(sequence, std::move(response));
    });
  };
  const auto done = [gate = core_.gate, &core = core_, empty, task, deliver](transport::HttpResponse response) {
    const auto finish = [task, deliver, held = std::make_shared<transport::HttpResponse>(std::move(response))] {
      task->finish(*held);
      deliver(std::move(*held));
    };
    if (empty) return finish();
    const std::lock_guard lock(gate->mutex);
    if (gate->open) core.workers->post(finish);
  };
  if (here) return task->run(std::move(request), done);
  (empty ? core_.pages : core_.workers)
      ->post([task, done, held = std::make_shared<transport::HttpRequest>(std::move(request))] {
        task->run(std::move(*held), done);
      });
}

void Connection::deliver(uint64_t sequence, transport::HttpResponse response) {
  if (sequence != sequence_ || answer_) return;
  answer_ = std::move(response);
  wake_.cancel();
}

// Waits until answer_ is there. False: the client has gone, or the server will not wait longer; the request is
// cancelled.
//
// A client that is gone and one that has only closed its sending side look alike, until something is sent: the first
// then answers with a reset. So, after a while, such a client is sent an interim "100 Continue", which HTTP/1.1 clients
// skip.
asio::awaitable<bool> Connection::await_answer(transport::HttpRequest request) {
  const auto cancellation = std::make_shared<Cancellation>();
  request.cancellation = cancellation;
  readable_ = broken_ = false;
  hand_over(std::move(request), cancellation);
  watch_ = Watch::kInput;
  watch(tcp::socket::wait_read);
  wake_.expires_at(TimePoint::max());
  bool gone = false;
  while (!answer_ && !gone) {
    error_code code;
    co_await wake_.async_wait(awaiting(code));
    if (answer_) break;
    gone = aborted_ || broken_;
    if (!gone && readable_) gone = !look_at_input();
    if (!gone && !code && watch_ == Watch::kHalfClosed) gone = !probe();
  }
  error_code ignored;
  stream_.socket().cancel(ignored);
  watch_ = Watch::kNothing;
  if (!gone) co_return true;
  ++sequence_;  // an answer that still comes is for nobody
  cancel_apart(cancellation);
  co_return false;
}

void Connection::cancel_apart(const std::shared_ptr<Cancellation>& cancellation) {
  {
    const std::lock_guard lock(core_.gate->mutex);
    if (core_.gate->open) return core_.endings->post([cancellation] { cancellation->cancel(); });
  }
  cancellation->cancel();  // not under the lock, which an answer takes
}

void Connection::watch(tcp::socket::wait_type what) {
  stream_.socket().async_wait(what, [self = shared_from_this(), what, sequence = sequence_](error_code code) {
    if (code || sequence != self->sequence_) return;
    (what == tcp::socket::wait_read ? self->readable_ : self->broken_) = true;
    self->wake_.cancel();
  });
}

bool Connection::look_at_input() {
  readable_ = false;
  error_code code;
  const size_t length = stream_.look(parser_.space(), code);
  if (length > 0 && !stream_.keeps_what_it_looks_at()) parser_.commit(length);
  if (code == asio::error::would_block) {
    watch(tcp::socket::wait_read);
  } else if (code == asio::error::eof) {
    watch_ = Watch::kHalfClosed;
    wake_.expires_after(std::chrono::milliseconds(kProbeAfterMs));
    watch(tcp::socket::wait_error);
  } else if (code) {
    return false;
  } else {
    watch_ = Watch::kError;  // a pipelined request: it can wait; only a reset is of interest now
    watch(tcp::socket::wait_error);
  }
  return true;
}

bool Connection::probe() {
  watch_ = Watch::kError;
  wake_.expires_at(TimePoint::max());
  if (http_1_0_) return true;  // knows no interim answers
  // A part of it would garble the answer. It does not happen on a socket that has nothing queued.
  return stream_.write_now(kContinue);
}

}  // namespace rerank::server
