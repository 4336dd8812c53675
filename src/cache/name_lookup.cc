#include "cache/name_lookup.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/guarded.h"
#include "base/strings.h"

namespace rerank::cache {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostAddresses = 8;
constexpr auto kFresh = std::chrono::minutes(1);  // of an answer that nobody waited for any more

Result<Addresses> resolve_by_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); code != 0)
    return absl::UnavailableError(str_cat("cannot look up ", host, ": ", std::string_view(::gai_strerror(code))));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  Addresses addresses;
  for (; found != nullptr && addresses.size() < kMostAddresses; found = found->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      addresses.emplace_back(text);
  }
  if (addresses.empty()) return absl::UnavailableError(str_cat(host, " has no address"));
  return addresses;
}

bool is_address(const std::string& host) {
  in6_addr bytes;
  return ::inet_pton(AF_INET, host.c_str(), &bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), &bytes) == 1;
}

}  // namespace

struct NameLookup::State {
  explicit State(Resolve by) : resolve(std::move(by)) {}

  const Resolve resolve;
  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;                   // guarded by mutex, as what follows
  std::string host;                        // that is looked up, or was; empty: none yet
  bool running = false;                    // a thread looks it up
  std::optional<Result<Addresses>> found;  // not taken yet
  Clock::time_point found_at;
};

NameLookup::NameLookup(Resolve resolve)
    : state_(std::make_shared<State>(resolve ? std::move(resolve) : resolve_by_system)) {}

NameLookup::~NameLookup() { stop(); }

Result<Addresses> NameLookup::find(const std::string& host, std::chrono::milliseconds patience) {
  if (is_address(host)) return Addresses{host};
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  if (s.stopping) return absl::UnavailableError("stopping");
  const bool answered = s.host == host && s.found && Clock::now() - s.found_at < kFresh;
  if (!s.running && !answered) {
    s.host = host;
    s.found.reset();
    // Holds what it needs, and outlives whoever asked. Having a destructor of the thread's keeps this library loaded.
    std::thread([state = state_, host] {
      thread_local const std::shared_ptr<State> kept = state;
      Result<Addresses> found = absl::UnavailableError(str_cat("cannot look up ", host));
      if (const Status status = guarded([&] { found = kept->resolve(host); }); !status.ok()) found = status;
      const std::lock_guard done(kept->mutex);
      kept->found = std::move(found);
      kept->found_at = Clock::now();
      kept->running = false;
      kept->changed.notify_all();
    }).detach();
    s.running = true;
  }
  s.changed.wait_for(lock, patience, [&] { return s.stopping || !s.running; });
  if (s.stopping) return absl::UnavailableError("stopping");
  if (s.running || s.host != host || !s.found)
    return absl::UnavailableError(str_cat("no answer from the name server about ", s.host, " yet"));
  return *std::exchange(s.found, std::nullopt);
}

void NameLookup::stop() {
  const std::lock_guard lock(state_->mutex);
  state_->stopping = true;
  state_->changed.notify_all();
}

}  // namespace rerank::cache
