// Of a build without Redis (-DRERANKD_REDIS=OFF).
#include "cache/redis_link.h"

namespace rerank::cache {

Status check_redis() { return absl::UnimplementedError("--cache-url: this program was built without hiredis"); }

struct RedisReplies::State {};
RedisReplies::RedisReplies() = default;
RedisReplies::~RedisReplies() = default;
void RedisReplies::feed(std::string_view) {}
Result<std::optional<RedisReply>> RedisReplies::next() { return check_redis(); }

struct RedisLink::Context {};
RedisLink::RedisLink(std::unique_ptr<Context> context) : context_(std::move(context)) {}
RedisLink::~RedisLink() = default;
Result<std::unique_ptr<RedisLink>> RedisLink::connect(const RedisUrl&, const std::string&, std::chrono::milliseconds) {
  return check_redis();
}
void RedisLink::add(const std::vector<std::string_view>&) {}
Status RedisLink::flush() { return check_redis(); }
Result<RedisReply> RedisLink::read(Deadline) { return check_redis(); }

}  // namespace rerank::cache
