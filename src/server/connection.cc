#include "server/connection.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"
#include "transport/errors.h"

namespace rerank::server {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kGoodbyeMs = 1000;  // how long a client may take to answer the end of TLS

}  // namespace

Connection::Connection(ServerCore& core, Strand strand, tcp::socket socket, std::shared_ptr<asio::ssl::context> tls,
                       std::string peer, bool refuse)
    : core_(core),
      strand_(std::move(strand)),
      stream_(std::move(socket), std::move(tls)),
      parser_(core.options.max_header_bytes, core.options.max_body_bytes),
      refuse_(refuse),
      waits_since_(refuse ? TimePoint::max() : Clock::now()),
      peer_(std::move(peer)),
      wake_(strand_),
      timer_(strand_) {}

Connection::~Connection() = default;

void Connection::start() {
  {
    const std::lock_guard lock(core_.mutex);
    core_.connections.emplace(this, weak_from_this());
    draining_ = core_.draining;
  }
  if (core_.open_connections) core_.open_connections->add(1);
  asio::co_spawn(
      strand_, [self = shared_from_this()]() { return self->run(); }, asio::detached);
}

void Connection::drain() {
  asio::post(strand_, [self = shared_from_this()] {
    self->draining_ = true;
    error_code ignored;
    if (self->waiting_for_request_) self->stream_.socket().cancel(ignored);
  });
}

void Connection::abort() {
  asio::post(strand_, [self = shared_from_this()] {
    self->aborted_ = true;
    error_code ignored;
    self->stream_.socket().close(ignored);
    self->wake_.cancel();
  });
}

bool Connection::make_room() {
  if (makes_room_.exchange(true)) return false;
  ++core_.leaving;
  core_.peers.give_back(peer_);
  abort();
  return true;
}

asio::awaitable<void> Connection::run() {
  try {
    error_code ignored;
    tcp::socket& socket = stream_.socket();
    socket.non_blocking(true, ignored);
    socket.set_option(tcp::no_delay(true), ignored);
    if (!co_await shake_hands()) {
      // Nothing more to say.
    } else if (refuse_) {
      co_await refuse(
          transport::make_error(transport::ErrorKind::kUnavailable,
                                "too many open connections, of all clients or of this address; try again, or "
                                "raise --max-connections"));
    } else {
      while (co_await serve_one()) {
      }
    }
    arm(kGoodbyeMs);
    if (!aborted_) co_await stream_.finish_writing();
    if (unread_ && !aborted_) co_await linger();
    socket.shutdown(tcp::socket::shutdown_both, ignored);
    socket.close(ignored);
  } catch (const std::exception& error) {
    log_error(std::string("a connection was dropped: ") + error.what());
  }
  ++timer_generation_;
  timer_.cancel();
  memory_.reset();
  if (refuse_) {
    --core_.refusing;
  } else if (makes_room_.exchange(true)) {
    --core_.leaving;
  } else {
    core_.peers.give_back(peer_);
  }
  if (core_.open_connections) core_.open_connections->add(-1);
  const std::lock_guard lock(core_.mutex);
  core_.connections.erase(this);
  if (core_.connections.empty()) core_.emptied.notify_all();
}

asio::awaitable<bool> Connection::shake_hands() {
  error_code code;
  arm(core_.options.header_timeout_ms);
  co_await stream_.handshake(code);
  if (!code) co_return true;
  if (core_.failed_handshakes) core_.failed_handshakes->add();
  if (!ClientStream::was_clear_http(code)) co_return false;
  co_return co_await refuse(
      transport::make_error(transport::ErrorKind::kMalformed, "this port speaks TLS: use https://"));
}

asio::awaitable<bool> Connection::serve_one() {
  waits_since_ = Clock::now();
  if (!co_await read_request()) co_return false;
  http_1_0_ = parser_.http_1_0();
  head_only_ = parser_.is_head();
  keep_alive_ = parser_.keep_alive();
  transport::HttpRequest request = parser_.take();
  request.peer = peer_;
  waits_since_ = TimePoint::max();
  if (!co_await await_answer(std::move(request))) co_return false;
  waits_since_ = Clock::now();
  ++served_;
  if (answer_->close || core_.draining) keep_alive_ = false;
  const bool written = co_await write(*answer_, head_only_);
  answer_.reset();
  memory_.reset();
  co_return written&& keep_alive_;
}

// A client may pause for a while, but not be slow for long: of what it sends and takes, so many bytes a second must
// have gone on the average of the time beyond that.
void Connection::arm_transfer(TimePoint begin, size_t bytes) {
  const auto pause = std::chrono::milliseconds(core_.options.body_timeout_ms);
  auto left = pause;
  if (const size_t rate = core_.options.min_transfer_rate; rate > 0) {
    const auto late = begin + pause + std::chrono::milliseconds(bytes * 1000 / rate);
    left = std::min(left, std::chrono::ceil<std::chrono::milliseconds>(late - Clock::now()));
  }
  arm(static_cast<size_t>(std::max<int64_t>(left.count(), 0)));
}

void Connection::arm(size_t milliseconds) {
  expired_ = false;
  deadline_ = Clock::now() + std::chrono::milliseconds(milliseconds);
  if (!timer_pending_ || timer_.expiry() > deadline_) schedule_timer();
}

void Connection::schedule_timer() {
  timer_pending_ = true;
  timer_.expires_at(deadline_);
  timer_.async_wait(
      [self = shared_from_this(), generation = ++timer_generation_](error_code) { self->on_timer(generation); });
}

void Connection::on_timer(uint64_t generation) {
  if (generation != timer_generation_) return;
  timer_pending_ = false;
  if (deadline_ == TimePoint::max()) return;
  if (Clock::now() < deadline_) return schedule_timer();
  deadline_ = TimePoint::max();
  expired_ = true;
  error_code ignored;
  stream_.socket().cancel(ignored);
}

}  // namespace rerank::server
