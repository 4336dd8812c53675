// Where the server listens: bound before privileges are given up and before models are loaded, which takes a while.
#pragma once

#include "rerank/options.h"
#include "rerank/status.h"

namespace rerank::cli {

// The second for --read-only-metrics-address; without a socket where there is none.
struct Listeners {
  ServerOptions main, metrics;
  bool passed = false;  // the main one was there before this process: its clients wait instead of being refused
};

// Sockets that were passed, by name: "metrics", and one other; the rest is bound here.
Result<Listeners> listeners_of(const ServerOptions& options);

}  // namespace rerank::cli
