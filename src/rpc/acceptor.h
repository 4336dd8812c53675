// Accepts connections for gRPC, which in the version that Debian has stops accepting for ever when it runs out of files
// (CVE-2023-4785), and has no bound on connections: docs/decisions/0018-grpc-connections.md.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "rerank/status.h"
#include "transport/peer_shares.h"

namespace rerank::rpc {

class Acceptor {
 public:
  struct Options {
    size_t max_connections = 0;  // open at once, half of them of one address; further ones are closed as they come
    Counter* refused = nullptr;  // null: not counted
    Gauge* open = nullptr;       // null: not told
  };
  // Is given each connection's descriptor, and owns it: whoever closes it need not say so. On the acceptor's thread.
  using Take = std::function<void(int fd)>;
  // `error` ends accepting: on the acceptor's thread, at most once.
  using Failed = std::function<void(const Status& error)>;

  // Listens on `listener`, a bound socket that it owns, with a thread of its own. Errors: it cannot be listened on.
  static Result<std::unique_ptr<Acceptor>> start(int listener, const Options& options, Take take, Failed failed);

  ~Acceptor();  // stop()

  // Takes what clients have been told is accepted, then closes the listener. The second call does nothing.
  void stop();

 private:
  struct Connection {
    int fd;
    uint64_t inode;  // of its socket: another one under this number is another connection
    std::string peer;
  };
  Acceptor(int listener, int wake, const Options& options, Take take, Failed failed);
  void serve();
  bool accept_one();  // false: nothing waits
  void forget_closed();
  bool wait(int milliseconds);  // false: stop() has been called

  const int listener_, wake_;
  const Options options_;
  const Take take_;
  const Failed failed_;
  std::vector<Connection> open_;
  transport::PeerShares peers_{transport::share_of_one_peer(options_.max_connections)};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace rerank::rpc
