#include "server/connection.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/guarded.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "server/http1/content_coding.h"
#include "server/http1/response_head.h"
#include "transport/errors.h"

namespace rerank::server {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kProbeAfterMs = 500;  // a client has closed its sending side: how long until we ask whether it listens
constexpr size_t kLingerMs = 5000;     // how long a refused client may go on sending; else its kernel drops our answer
constexpr size_t kRefusedLingerMs = 1000;
constexpr size_t kLingerBytes = 64u << 20;  // and how much: bodies that are refused are mostly a bit too large
constexpr size_t kGoodbyeMs = 1000;         // how long a client may take to answer the end of TLS
constexpr size_t kFreshGraceMs = 500;       // while draining: time for a request that is on its way on a new connection
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// What the handler's answers have too: a page may read them, and a 415 says which codings are taken (RFC 7694 3).
void add_common_headers(transport::HttpResponse& response, const transport::Access::Headers& cors) {
  response.headers.insert(response.headers.end(), cors.begin(), cors.end());
  if (response.status == 415) response.headers.emplace_back("Accept-Encoding", "gzip, deflate");
}

// One request away from its connection, on a worker: read, handled, and its answer written.
struct Errand {
  HttpHandler handler;  // the server may go while it is under way
  std::shared_ptr<Cancellation> cancellation;
  std::shared_ptr<transport::MemoryHold> memory;
  std::function<std::string(const transport::HttpRequest&)> client_of;  // RequestMemory's
  ContentCoding coding;
  size_t max_body_bytes;
  size_t compress_min_bytes;
  observe::RequestMetrics requests;
  transport::Access::Headers cors;  // of answers that are not the handler's

  // Decompresses the body and hands it over. `done` is called once.
  void run(transport::HttpRequest&& request, const std::function<void(transport::HttpResponse)>& done) const {
    if (cancellation->cancelled()) return;  // nobody waits for it
    const auto told = std::make_shared<std::atomic<bool>>(false);
    const auto once = [told, done](transport::HttpResponse response) {
      if (!told->exchange(true)) done(std::move(response));
    };
    const Status status = guarded([&] { return run_once(std::move(request), once); });
    if (status.ok()) return;
    if (absl::IsInternal(status)) log_error(message_of(status));
    transport::HttpResponse response = transport::error_response(status);
    add_common_headers(response, cors);
    observe::RequestMetrics(requests).count({.status = response.status});
    once(std::move(response));
  }

  // Writes what the handler has left to be written, and compresses it.
  void finish(transport::HttpResponse& response) const {
    const Status status = guarded([&] {
      if (const auto complete = std::exchange(response.complete, nullptr)) complete(response);
      if (compress_min_bytes && response.body.size() >= compress_min_bytes) encode_content(coding, response);
      return memory->resize(response.body.capacity());
    });
    if (status.ok()) return;
    response = transport::error_response(status);
    memory->shrink(response.body.size());
  }

 private:
  Status run_once(transport::HttpRequest&& request, const std::function<void(transport::HttpResponse)>& done) const {
    const auto may_hold = [this](size_t bytes) { return memory->resize(bytes); };
    if (client_of && !request.body.empty()) {
      const std::string client = client_of(request);
      if (!client.empty()) RETURN_IF_ERROR(memory->move_to(client));
    }
    const std::string encoding(request.header("content-encoding"));
    RETURN_IF_ERROR(decode_content(encoding, max_body_bytes, request.body, may_hold));
    const size_t size = request.body.size();
    RETURN_IF_ERROR(memory->resize(size * transport::kParsedBytesPerByte));
    handler(std::move(request), done);
    memory->shrink(size * transport::kWorkBytesPerByte);
    return ok_status();
  }
};

auto awaiting(error_code& code) { return asio::redirect_error(asio::use_awaitable, code); }

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
        if (const Status held = hold_body(); !held.ok()) co_return co_await refuse(held);
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

// Accounts for what a half-received body takes.
Status Connection::hold_body() {
  const size_t bytes = parser_.body_capacity();
  if (bytes == 0) return ok_status();
  if (!memory_) memory_ = std::make_shared<transport::MemoryHold>(core_.memory.budget, peer_);
  return memory_->resize(2 * bytes);  // so that they leave as much for those that are read
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

void Connection::note_refusal(int http_status, const Status& status) {
  const std::lock_guard lock(core_.refusals_mutex);
  if (!core_.refusals.take(Clock::now())) return;
  const LogField fields[] = {LogField::number("status", std::to_string(http_status)), {"peer", peer_}};
  log(LogLevel::kInfo, message_of(status), fields);
}

asio::awaitable<bool> Connection::refuse(const Status& status) {
  transport::HttpResponse response = transport::error_response(status);
  add_common_headers(response, core_.access.cors_headers(parser_.field("origin")));
  core_.requests.count({.status = response.status});
  note_refusal(response.status, status);
  keep_alive_ = false;
  unread_ = true;
  // A request that asked for a head only, and then failed to arrive, still gets a body: nobody will read on after it.
  co_await write(response, /*head_only=*/false);
  co_return false;
}

// Requests without a body (probes, metrics, pages) are answered here, at once: they do not wait for those that cost
// more to read.
void Connection::hand_over(transport::HttpRequest request, std::shared_ptr<Cancellation> cancellation) {
  if (!memory_) memory_ = std::make_shared<transport::MemoryHold>(core_.memory.budget, peer_);
  const bool here = request.body.empty();
  const auto errand = std::make_shared<const Errand>(
      Errand{core_.handler, std::move(cancellation), memory_, core_.memory.client_of,
             accepted_coding(request.header("accept-encoding")), core_.options.max_body_bytes,
             core_.options.compress_min_bytes, core_.requests, core_.access.cors_headers(request.header("origin"))});
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
  const auto done = [gate = core_.gate, &core = core_, here, errand, deliver](transport::HttpResponse response) {
    const auto finish = [errand, deliver, held = std::make_shared<transport::HttpResponse>(std::move(response))] {
      errand->finish(*held);
      deliver(std::move(*held));
    };
    if (here) return finish();
    const std::lock_guard lock(gate->mutex);
    if (gate->open) core.workers->post(finish);
  };
  if (here) return errand->run(std::move(request), done);
  core_.workers->post([errand, done, held = std::make_shared<transport::HttpRequest>(std::move(request))] {
    errand->run(std::move(*held), done);
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

asio::awaitable<bool> Connection::write(const transport::HttpResponse& response, bool head_only) {
  const std::string head = response_head(response, {.close = !keep_alive_, .keep_alive = http_1_0_});
  std::string_view rest_of_head = head;
  std::string_view rest_of_body = head_only ? std::string_view() : std::string_view(response.body);
  const TimePoint begin = Clock::now();
  size_t written = 0;
  while (!rest_of_head.empty() || !rest_of_body.empty()) {
    arm_transfer(begin, written);
    error_code code;
    const size_t sent = co_await stream_.write_some({rest_of_head, rest_of_body}, code);
    if (code) co_return false;
    if (core_.sent_bytes) core_.sent_bytes->add(static_cast<double>(sent));
    written += sent;
    const size_t of_head = std::min(sent, rest_of_head.size());
    rest_of_head.remove_prefix(of_head);
    rest_of_body.remove_prefix(sent - of_head);
  }
  co_return true;
}

asio::awaitable<bool> Connection::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    error_code code;
    bytes.remove_prefix(co_await stream_.write_some({bytes, {}}, code));
    if (code) co_return false;
  }
  co_return true;
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
