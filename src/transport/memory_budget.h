// One account of the bytes that requests hold, for all transports of a process: bodies on their way in, what they are
// decompressed, parsed and tokenized to, and answers that clients have not taken. Thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/metrics.h"
#include "rerank/status.h"
#include "rerank/types.h"

namespace rerank::transport {

// What a request of so many bytes (plain, as JSON or protobuf) may come to while it is parsed: simdjson's tape, strings
// and structural indexes are 14 bytes for each of the input's at worst, and texts are copied out of them.
inline constexpr size_t kParsedBytesPerByte = 16;
// And until it is answered: its texts, and a token id, perhaps in a buffer that has just grown, for each byte of them.
inline constexpr size_t kWorkBytesPerByte = 9;

class MemoryBudget {
 public:
  // `total`: 0: a quarter of what this process may use, 256 MiB at least. One client may hold half of it: a key, or the
  // peer of who calls without one.
  explicit MemoryBudget(size_t total, Metrics* metrics = nullptr);

  size_t total() const { return total_; }
  size_t held() const;

 private:
  friend class MemoryHold;
  Status change(const std::string& client, size_t from, size_t to);

  const size_t total_;
  Gauge* gauge_ = nullptr;
  Counter* refused_ = nullptr;
  mutable std::mutex mutex_;
  size_t held_ = 0;                                  // guarded by mutex_, as the next
  std::unordered_map<std::string, size_t> clients_;  // those that hold something
};

// What one request holds: for its bytes, which its transport counts, and what is added to them while it is tokenized
// and computed. Given back at the end. Thread-safe.
class MemoryHold : public MemoryAccount {
 public:
  // `client`: a peer, as peer_of() makes it, or client_of_key(). `budget` may be null: then nothing is counted or
  // refused.
  MemoryHold(std::shared_ptr<MemoryBudget> budget, std::string client);
  ~MemoryHold() override;
  MemoryHold(const MemoryHold&) = delete;
  MemoryHold& operator=(const MemoryHold&) = delete;

  // Holds so many bytes for the request's own instead of what it held. More may be refused, and then it holds what it
  // held: kUnavailable when others hold too much, kBodyTooLarge when one peer may never hold that many.
  Status resize(size_t bytes);
  // No more than so many.
  void shrink(size_t bytes);
  // Beside its own bytes. Errors: as resize().
  Status add(size_t bytes) override;
  void remove(size_t bytes) override;
  // From now on it counts for this client, as once the key is known. Errors: as resize(); then it holds
  // nothing, and the request is to be refused.
  Status move_to(const std::string& client);

 private:
  const std::shared_ptr<MemoryBudget> budget_;
  std::mutex mutex_;
  Status change(size_t bytes, size_t added);  // under mutex_

  std::string client_;  // guarded by mutex_, as the next
  size_t bytes_ = 0;
  size_t added_ = 0;
};

// Who counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that name a network. `address` may be
// written with a port, and as gRPC does ("ipv4:10.0.0.1:80", "ipv6:%5B::1%5D:80"). Others are returned as they are.
std::string peer_of(std::string_view address);

// Who counts as one client, of those that have a key: all that have this one. Never a peer's name.
std::string client_of_key(std::string_view key_name);

}  // namespace rerank::transport
