// What a connection reads: requests, and at its end what is thrown away.
#include "server/connection.h"

#include <algorithm>

#include "transport/errors.h"

namespace rerank::server {
namespace {

using boost::system::error_code;

constexpr size_t kLingerMs = 5000;  // how long a refused client may go on sending; else its kernel drops our answer
constexpr size_t kRefusedLingerMs = 1000;
constexpr size_t kLingerBytes = 64u << 20;  // and how much: bodies that are refused are mostly a bit too large
constexpr size_t kUncountedHead = 8192;     // what each connection may hold of a request's beginning
constexpr size_t kFreshGraceMs = 500;       // while draining: time for a request that is on its way on a new connection

}  // namespace

asio::awaitable<bool> Connection::read_request() {
  bool timing_head = false;
  for (;;) {
    switch (parser_.advance()) {
      case RequestParser::Event::kRequest:
        deadline_ = TimePoint::max();
        co_return true;
      case RequestParser::Event::kError:
        co_return co_await refuse(parser_.error());
      case RequestParser::Event::kHead:
        if (!co_await meet_expectation()) co_return false;
        body_begun_ = Clock::now();
        body_received_ = 0;
        break;
      case RequestParser::Event::kNeedInput:
        if (const Status held = hold_input(); !held.ok()) co_return co_await refuse(held);
        if (parser_.head_done()) {
          arm_transfer(body_begun_, body_received_);
        } else if (parser_.begun() && !timing_head) {
          timing_head = true;  // one deadline for the whole head, however slowly it drips
          arm(core_.options.header_timeout_ms);
        }
        if (!co_await wait_for_input()) co_return false;
    }
  }
}

// Accounts for what a half-received request takes.
Status Connection::hold_input() {
  const size_t head = parser_.head_capacity(), body = parser_.body_capacity();
  if (body == 0 && head <= kUncountedHead) return ok_status();
  if (!memory_) memory_ = std::make_shared<transport::MemoryHold>(core_.rules.budget, peer_);
  return memory_->resize(head + 2 * body);  // bodies twice: so that they leave as much for those that are read
}

// Reads some more of the request. False: there will be no more, and what there is to say has been said.
asio::awaitable<bool> Connection::wait_for_input() {
  const bool begun = parser_.begun();
  if (!begun && draining_) {
    error_code ignored;
    if (served_ > 0 && stream_.socket().available(ignored) == 0) co_return false;
    arm(kFreshGraceMs);
  } else if (!begun) {
    arm(core_.options.idle_timeout_ms);
  }
  const bool was_draining = draining_;
  waiting_for_request_ = !begun;
  const size_t length = co_await read_some(parser_.space());
  waiting_for_request_ = false;
  if (length > 0) {
    parser_.commit(length);
    body_received_ += length;
    co_return true;
  }
  if (aborted_) co_return false;
  if (!begun) co_return draining_ && !was_draining && !expired_;
  if (expired_)
    co_return co_await refuse(
        transport::make_error(transport::ErrorKind::kTimeout, "the request did not arrive in time"));
  co_return co_await refuse(
      transport::make_error(transport::ErrorKind::kMalformed, "the request ended before it was complete"));
}

asio::awaitable<bool> Connection::meet_expectation() {
  if (parser_.unknown_expectation()) {
    co_return co_await refuse(
        transport::make_error(transport::ErrorKind::kExpectation, "the only Expect this server meets is 100-continue"));
  }
  if (!parser_.expects_continue()) co_return true;
  arm(core_.options.body_timeout_ms);
  co_return co_await write_all(kContinue);
}

// 0: the client has closed its sending side or gone, or the deadline has passed, or drain() or abort() has been called.
asio::awaitable<size_t> Connection::read_some(std::span<char> space) {
  error_code code;
  const size_t length = co_await stream_.read_some(space, code);
  if (core_.received_bytes && length) core_.received_bytes->add(static_cast<double>(length));
  co_return code ? 0 : length;
}

// Reads on for a while, after the end has been said: closing a socket that has unread input makes the kernel send a
// reset, which can reach the client before it has read our answer.
asio::awaitable<void> Connection::linger() {
  const TimePoint end = Clock::now() + std::chrono::milliseconds(refuse_ ? kRefusedLingerMs : kLingerMs);
  for (size_t discarded = 0; !aborted_ && discarded < std::max(kLingerBytes, 2 * core_.options.max_body_bytes);) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) break;
    arm(static_cast<size_t>(left));
    const size_t length = co_await stream_.discard_some(parser_.space());
    if (core_.received_bytes) core_.received_bytes->add(static_cast<double>(length));
    if (length == 0) break;
    discarded += length;
  }
}

}  // namespace rerank::server
