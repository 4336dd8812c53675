// One connection to a Redis server, with a time limit on everything. A thin face over hiredis; one thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/redis_url.h"
#include "rerank/status.h"

namespace rerank::cache {

// Unimplemented: this build has no client.
Status check_redis();

// One answer; only what a cache needs of it.
struct RedisReply {
  enum class Kind { kText, kNothing, kList, kError, kOther };
  Kind kind = Kind::kOther;
  std::string text;               // of kText and kError
  std::vector<RedisReply> items;  // of kList, one level deep
};

// Answers out of the bytes that a server sends; bounded in size. One thread. A link's answers go through one.
class RedisReplies {
 public:
  RedisReplies();
  ~RedisReplies();
  RedisReplies(const RedisReplies&) = delete;
  RedisReplies& operator=(const RedisReplies&) = delete;

  void feed(std::string_view bytes);
  // The next answer; null where its end has not come yet. After an error nothing more can be read.
  Result<std::optional<RedisReply>> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class RedisLink {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // Connects to `address`, one of those of the URL's host; authenticates, selects the database, and has a PING
  // answered: each within `timeout`.
  static Result<std::unique_ptr<RedisLink>> connect(const RedisUrl& url, const std::string& address,
                                                    std::chrono::milliseconds timeout);
  ~RedisLink();

  // Queues a command; flush() sends what is queued.
  void add(const std::vector<std::string_view>& words);
  Status flush();
  // The next answer, in the order of the commands. After an error the link must not be used again.
  Result<RedisReply> read(Deadline deadline);

 private:
  struct Context;
  explicit RedisLink(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

}  // namespace rerank::cache
