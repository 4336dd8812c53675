#include "server/request_task.h"

#include <atomic>
#include <utility>

#include "base/guarded.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "observe/request_record.h"
#include "transport/errors.h"

namespace rerank::server {

namespace {

size_t bytes_of(const std::vector<std::pair<std::string, std::string>>& headers) {
  size_t bytes = 0;
  for (const auto& [name, value] : headers) bytes += name.size() + value.size();
  return bytes;
}

}  // namespace

void add_common_headers(transport::HttpResponse& response, const transport::Access::Headers& cors) {
  response.headers.insert(response.headers.end(), cors.begin(), cors.end());
  if (response.status == 415) response.headers.emplace_back("Accept-Encoding", "gzip, deflate");
}

void RequestTask::run(transport::HttpRequest&& request, const Done& done) const {
  if (cancellation->cancelled()) return;  // nobody waits for it
  const auto answered = std::make_shared<std::atomic<bool>>(false);
  const auto once = [answered, done](transport::HttpResponse response) {
    if (!answered->exchange(true)) done(std::move(response));
  };
  const std::string id = observe::request_id_of(request.header("x-request-id"));
  const Status status = guarded([&] { return run_once(std::move(request), once); });
  if (status.ok()) return;
  if (absl::IsInternal(status)) log_error(message_of(status));
  transport::HttpResponse response = transport::error_response(status);
  add_common_headers(response, cors);
  response.headers.emplace_back("X-Request-Id", id);
  observe::RequestMetrics(requests).count({.status = response.status});
  once(std::move(response));
}

void RequestTask::finish(transport::HttpResponse& response) const {
  const Status status = guarded([&] {
    if (const auto complete = std::exchange(response.complete, nullptr)) complete(response);
    if (compress_min_bytes && response.body.size() >= compress_min_bytes)
      packed_pages ? packed_pages->encode(coding, response) : encode_content(coding, response);
    return memory->resize(response.body.capacity());
  });
  if (status.ok()) return;
  response = transport::error_response(status);
  memory->shrink(response.body.size());
}

Status RequestTask::run_once(transport::HttpRequest&& request, const Done& done) const {
  const auto may_hold = [this](size_t bytes) { return memory->resize(bytes); };
  request.memory = memory;
  if (client_of && !request.body.empty()) {
    const std::optional<std::string> client = client_of(request);
    if (!client) {
      request.body = {};
      request.unread = true;
      memory->shrink(0);
      handler(std::move(request), done);
      return ok_status();
    }
    if (!client->empty()) RETURN_IF_ERROR(memory->move_to(*client));
  }
  const std::string encoding(request.header("content-encoding"));
  RETURN_IF_ERROR(decode_content(encoding, max_body_bytes, request.body, may_hold));
  const size_t size = request.body.size(), head = bytes_of(request.headers);
  RETURN_IF_ERROR(memory->resize(head + size * transport::kParsedBytesPerByte));
  handler(std::move(request), done);
  memory->shrink(head + size * transport::kWorkBytesPerByte);
  return ok_status();
}

}  // namespace rerank::server
