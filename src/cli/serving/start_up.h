// What an operator hears while models load: a log line every ten percent or ten seconds, and systemd's status.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "rerank/catalog.h"

namespace rerank::cli {

class StartUp {
 public:
  explicit StartUp(const Catalog& catalog) : catalog_(catalog) {}

  // Looks how far models are, and says so where there is something to say. Called several times a second.
  void report();

 private:
  struct Reported {
    std::string phase;
    int percent = 0;
    std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();
  };
  const Catalog& catalog_;
  std::map<std::string, Reported> reported_;  // by model
};

}  // namespace rerank::cli
