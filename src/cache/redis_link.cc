#include "cache/redis_link.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::cache {
namespace {

// What a cache of scores never sends, and what somebody else's server might.
constexpr int kMaxListItems = 1 << 20;
constexpr size_t kMaxAnswerBytes = 64u << 20;

timeval interval(std::chrono::milliseconds time) {
  return {static_cast<time_t>(time.count() / 1000), static_cast<suseconds_t>(time.count() % 1000 * 1000)};
}

// hiredis would allocate whatever number of items the peer announces.
using CreateArray = void* (*)(const redisReadTask*, int);
std::atomic<CreateArray> create_any_array = nullptr;  // links are made by several threads
void* create_bounded_array(const redisReadTask* task, int items) {
  return items > kMaxListItems ? nullptr : create_any_array.load()(task, items);
}

RedisReply copy_of(const redisReply& reply, bool outer = true) {
  RedisReply copy;
  switch (reply.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      copy.kind = RedisReply::Kind::kText;
      copy.text.assign(reply.str, static_cast<size_t>(reply.len));
      break;
    case REDIS_REPLY_ERROR:
      copy.kind = RedisReply::Kind::kError;
      copy.text.assign(reply.str, static_cast<size_t>(reply.len));
      break;
    case REDIS_REPLY_NIL:
      copy.kind = RedisReply::Kind::kNothing;
      break;
    case REDIS_REPLY_ARRAY:
      if (!outer) break;
      copy.kind = RedisReply::Kind::kList;
      for (size_t i = 0; i < reply.elements; ++i) copy.items.push_back(copy_of(*reply.element[i], false));
      break;
    default:
      break;
  }
  return copy;
}

}  // namespace

Status check_redis() { return ok_status(); }

struct RedisReplies::State {
  redisReader* reader = redisReaderCreate();
  redisReplyObjectFunctions functions{};
  State() {
    if (reader == nullptr) throw std::bad_alloc();
    functions = *reader->fn;
    create_any_array = functions.createArray;  // the same for every reader
    functions.createArray = create_bounded_array;
    reader->fn = &functions;
  }
  ~State() { redisReaderFree(reader); }
};

RedisReplies::RedisReplies() : state_(std::make_unique<State>()) {}
RedisReplies::~RedisReplies() = default;

void RedisReplies::feed(std::string_view bytes) { redisReaderFeed(state_->reader, bytes.data(), bytes.size()); }

Result<std::optional<RedisReply>> RedisReplies::next() {
  void* reply = nullptr;
  if (redisReaderGetReply(state_->reader, &reply) != REDIS_OK) {
    return absl::UnavailableError(str_cat("not a Redis answer: ", std::string_view(state_->reader->errstr)));
  }
  if (reply == nullptr) {
    if (state_->reader->len > kMaxAnswerBytes) return absl::UnavailableError("an answer without end");
    return std::nullopt;
  }
  const std::unique_ptr<void, void (*)(void*)> owner(reply, freeReplyObject);
  return copy_of(*static_cast<redisReply*>(reply));
}

struct RedisLink::Context {
  redisContext* redis = nullptr;
  RedisReplies replies;
  ~Context() {
    if (redis != nullptr) redisFree(redis);
  }
  Status error(std::string_view what) const {
    return absl::UnavailableError(str_cat(what, redis->err ? str_cat(": ", std::string_view(redis->errstr)) : ""));
  }
};

RedisLink::RedisLink(std::unique_ptr<Context> context) : context_(std::move(context)) {}
RedisLink::~RedisLink() = default;

Result<std::unique_ptr<RedisLink>> RedisLink::connect(const RedisUrl& url, const std::string& address,
                                                      std::chrono::milliseconds timeout) {
  auto context = std::make_unique<Context>();
  context->redis = redisConnectWithTimeout(address.c_str(), url.port, interval(timeout));
  if (context->redis == nullptr) return absl::UnavailableError("out of memory");
  if (context->redis->err) return context->error("cannot connect");
  redisSetTimeout(context->redis, interval(timeout));
  std::unique_ptr<RedisLink> link(new RedisLink(std::move(context)));

  const std::string database = std::to_string(url.database);
  std::vector<std::vector<std::string_view>> greetings;
  if (!url.user.empty()) {
    greetings.push_back({"AUTH", url.user, url.password});
  } else if (!url.password.empty()) {
    greetings.push_back({"AUTH", url.password});
  }
  if (url.database != 0) greetings.push_back({"SELECT", database});
  greetings.push_back({"PING"});
  for (const auto& words : greetings) link->add(words);
  RETURN_IF_ERROR(link->flush());
  const Deadline deadline = std::chrono::steady_clock::now() + timeout;
  for (const auto& words : greetings) {
    ASSIGN_OR_RETURN(auto reply, link->read(deadline));
    if (reply.kind == RedisReply::Kind::kText) continue;
    return absl::UnavailableError(str_cat(words[0], ": ", reply.text));
  }
  return link;
}

void RedisLink::add(const std::vector<std::string_view>& words) {
  std::vector<const char*> starts;
  std::vector<size_t> lengths;
  for (std::string_view word : words) {
    starts.push_back(word.data());
    lengths.push_back(word.size());
  }
  redisAppendCommandArgv(context_->redis, static_cast<int>(words.size()), starts.data(), lengths.data());
}

Status RedisLink::flush() {
  for (int done = 0; !done;) {
    if (redisBufferWrite(context_->redis, &done) != REDIS_OK) return context_->error("cannot send");
  }
  return ok_status();
}

Result<RedisReply> RedisLink::read(Deadline deadline) {
  redisContext* redis = context_->redis;
  while (true) {
    ASSIGN_OR_RETURN(std::optional<RedisReply> reply, context_->replies.next());
    if (reply) return *std::move(reply);
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd waiting{redis->fd, POLLIN, 0};
    if (left < 0 || poll(&waiting, 1, static_cast<int>(left) + 1) == 0)
      return absl::UnavailableError("no answer in time");
    char bytes[16384];
    const ssize_t length = ::recv(redis->fd, bytes, sizeof(bytes), 0);
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (length <= 0) return absl::UnavailableError("the connection broke");
    context_->replies.feed({bytes, static_cast<size_t>(length)});
  }
}

}  // namespace rerank::cache
