// One client connection: a coroutine that reads a request, has it handled, writes the answer, and starts again.
// Included only by http_server.cc and connection*.cc: the Asio headers are heavy.
//
// Everything runs on the connection's strand but start(), drain() and abort(), which any thread may call. The
// connection keeps itself alive until its coroutine ends; then it leaves the ServerCore's list.
#pragma once

#include <utility>  // before awaitable.hpp, which forgets it

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/metrics.h"
#include "base/worker_pool.h"
#include "observe/bucket.h"
#include "observe/request_metrics.h"
#include "rerank/options.h"
#include "rerank/types.h"
#include "server/client_stream.h"
#include "server/http1/content_coding.h"
#include "server/http1/request_parser.h"
#include "server/http_server.h"
#include "transport/callers/access.h"
#include "transport/memory_budget.h"
#include "transport/peer_shares.h"

namespace rerank::server {

namespace asio = boost::asio;

class Connection;
class TlsFiles;

// The interim answer to a client that waits before it sends a body, or that may be gone.
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// What handlers' answers go through, so that one that comes after the server has gone finds a closed door.
struct AnswerGate {
  std::mutex mutex;
  bool open = true;
};

// What all connections of a server share.
struct ServerCore {
  ServerOptions options;
  HttpHandler handler;
  observe::RequestMetrics requests;
  std::unique_ptr<TlsFiles> tls;      // null: in the clear
  Gauge* open_connections = nullptr;  // null without metrics; so are the next three
  Counter* failed_handshakes = nullptr;
  Counter* received_bytes = nullptr;
  Counter* sent_bytes = nullptr;
  std::shared_ptr<AnswerGate> gate = std::make_shared<AnswerGate>();
  // Only for the headers that let pages read answers: keys are the handler's business.
  const transport::Access access{std::make_shared<transport::KeyRing>(""), options.cors_origin};

  std::mutex refusals_mutex;
  observe::Bucket refusals{1, 20};  // log lines about what the transport itself refuses; guarded by refusals_mutex

  std::atomic<bool> draining{false};
  RequestRules rules;
  WhenFull when_full = WhenFull::kRefuse;
  // Reads bodies and writes answers: I/O threads only move bytes. Null once the server has stopped.
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<WorkerPool> pages;  // answers requests without a body that are no probes; null as `workers`
  const std::shared_ptr<PackedPages> packed_pages = std::make_shared<PackedPages>();
  // Cancels requests whose clients have gone: the scheduler forgets all their pairs. Null as `workers`; guarded by the
  // gate's mutex, as them.
  std::unique_ptr<WorkerPool> endings;

  transport::PeerShares peers{transport::share_of_one_peer(options.max_connections)};  // connections
  std::atomic<size_t> refusing{0};  // connections that are only told that there are too many
  std::atomic<size_t> leaving{0};   // connections that make room for others, until they have ended

  std::mutex mutex;  // guards the list; who adds to it looks at `draining` under it
  std::condition_variable emptied;
  std::unordered_map<Connection*, std::weak_ptr<Connection>> connections;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Strand = asio::strand<asio::io_context::executor_type>;

  // `core` outlives the connection. `tls`: null: in the clear. `refuse`: answer 503 and close; else it has a share of
  // its peer's, which it gives back.
  Connection(ServerCore& core, Strand strand, asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls,
             std::string peer, bool refuse);
  ~Connection();

  void start();
  void drain();  // answer what has begun, then close
  void abort();  // close now

  // Any thread. Since when a request, or the client's taking of an answer, has been waited for; TimePoint::max(): it is
  // not, since a request is being computed, or it makes room already.
  TimePoint waits_since() const { return makes_room_ ? TimePoint::max() : waits_since_.load(); }
  const std::string& peer() const { return peer_; }
  // Closes now; its share of its peer's connections is free at once. False: it makes room already.
  bool make_room();

 private:
  asio::awaitable<void> run();
  asio::awaitable<bool> shake_hands();  // false: the connection is over
  asio::awaitable<bool> serve_one();    // false: the connection is over
  asio::awaitable<bool> read_request();
  asio::awaitable<bool> wait_for_input();
  asio::awaitable<bool> meet_expectation();
  asio::awaitable<bool> await_answer(transport::HttpRequest request);
  asio::awaitable<bool> refuse(const Status& status);  // answers an error of the transport; always false
  asio::awaitable<bool> write(const transport::HttpResponse& response, bool head_only);
  asio::awaitable<bool> write_all(std::string_view bytes);
  asio::awaitable<size_t> read_some(std::span<char> space);
  asio::awaitable<void> linger();

  void note_refusal(int http_status, const Status& status);
  Status hold_input();
  void hand_over(transport::HttpRequest request, std::shared_ptr<Cancellation> cancellation);
  void deliver(uint64_t sequence, transport::HttpResponse response);
  void cancel_apart(const std::shared_ptr<Cancellation>& cancellation);  // not on this thread
  void watch(asio::ip::tcp::socket::wait_type what);
  bool look_at_input();  // false: the client is gone
  bool probe();          // false: the client is gone

  // The deadline of a body or an answer that has begun then, of which so many bytes have gone.
  void arm_transfer(TimePoint begin, size_t bytes);
  void arm(size_t milliseconds);  // the deadline of the next reads and writes; cancels them when it passes
  void schedule_timer();
  void on_timer(uint64_t generation);

  ServerCore& core_;
  Strand strand_;
  ClientStream stream_;
  RequestParser parser_;
  const bool refuse_;

  // How the current request wants to be answered.
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool head_only_ = false;

  std::atomic<TimePoint> waits_since_;
  std::atomic<bool> makes_room_ = false;
  bool waiting_for_request_ = false;
  bool draining_ = false;
  bool aborted_ = false;
  bool unread_ = false;  // the client may still be sending what we will not read
  uint64_t served_ = 0;
  std::string peer_;
  std::shared_ptr<transport::MemoryHold> memory_;  // of the current request
  TimePoint body_begun_;
  size_t body_received_ = 0;  // bytes since then

  // The answer that is waited for, and what is seen of the client meanwhile.
  uint64_t sequence_ = 0;
  std::optional<transport::HttpResponse> answer_;
  asio::steady_timer wake_;
  enum class Watch { kNothing, kInput, kHalfClosed, kError } watch_ = Watch::kNothing;
  bool readable_ = false;
  bool broken_ = false;

  // One timer for all deadlines: moving a deadline later costs nothing.
  asio::steady_timer timer_;
  TimePoint deadline_ = TimePoint::max();
  uint64_t timer_generation_ = 0;
  bool timer_pending_ = false;
  bool expired_ = false;
};

}  // namespace rerank::server
