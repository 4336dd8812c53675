// Looks up addresses of a host's name. getaddrinfo(3) has no time limit and cannot be stopped, so that a name server
// that says nothing would hold up who asks: it runs on a thread of its own, and who asks waits no longer than it wants
// to.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rerank/status.h"

namespace rerank::cache {

// Addresses as text, IPv4 or IPv6, best first; not none.
using Addresses = std::vector<std::string>;
// May block for as long as it likes. Must be callable when everything else of its maker is gone.
using Resolve = std::function<Result<Addresses>(const std::string& host)>;

// One thread asks; stop() is for any.
class NameLookup {
 public:
  // `resolve`: null: the system's.
  explicit NameLookup(Resolve resolve = nullptr);
  ~NameLookup();  // does not wait for a lookup that goes on

  // Waits for `patience` at most, or until stop(). A lookup that takes longer goes on, and the next call with the same
  // host waits for it, or takes its answer of the last minute: there is never more than one thread. An address is its
  // own answer, at once. Unavailable: the name is not known, or there was no answer in time.
  Result<Addresses> find(const std::string& host, std::chrono::milliseconds patience);
  void stop();

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace rerank::cache
