// What a connection writes: answers, and what the transport itself refuses.
#include "server/connection.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "observe/request_record.h"
#include "server/http1/response_head.h"
#include "server/request_task.h"
#include "transport/errors.h"

namespace rerank::server {

void Connection::note_refusal(int http_status, const Status& status) {
  const std::lock_guard lock(core_.refusals_mutex);
  if (!core_.refusals.take(Clock::now())) return;
  const LogField fields[] = {LogField::number("status", std::to_string(http_status)), {"peer", peer_}};
  log(LogLevel::kInfo, message_of(status), fields);
}

asio::awaitable<bool> Connection::refuse(const Status& status) {
  transport::HttpResponse response = transport::error_response(status);
  add_common_headers(response, core_.access.cors_headers(parser_.field("origin")));
  response.headers.emplace_back("X-Request-Id", observe::request_id_of(parser_.field("x-request-id")));
  core_.requests.count({.status = response.status});
  note_refusal(response.status, status);
  keep_alive_ = false;
  unread_ = true;
  // A request that asked for a head only, and then failed to arrive, still gets a body: nobody will read on after it.
  co_await write(response, /*head_only=*/false);
  co_return false;
}

asio::awaitable<bool> Connection::write(const transport::HttpResponse& response, bool head_only) {
  const std::string head = response_head(response, {.close = !keep_alive_, .keep_alive = http_1_0_});
  std::string_view rest_of_head = head;
  std::string_view rest_of_body = head_only ? std::string_view() : std::string_view(response.body);
  const TimePoint begin = Clock::now();
  size_t written = 0;
  while (!rest_of_head.empty() || !rest_of_body.empty()) {
    arm_transfer(begin, written);
    boost::system::error_code code;
    const size_t sent = co_await stream_.write_some({rest_of_head, rest_of_body}, code);
    if (code) co_return false;
    if (core_.sent_bytes) core_.sent_bytes->add(static_cast<double>(sent));
    written += sent;
    const size_t of_head = std::min(sent, rest_of_head.size());
    rest_of_head.remove_prefix(of_head);
    rest_of_body.remove_prefix(sent - of_head);
  }
  co_return true;
}

asio::awaitable<bool> Connection::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    boost::system::error_code code;
    bytes.remove_prefix(co_await stream_.write_some({bytes, {}}, code));
    if (code) co_return false;
  }
  co_return true;
}

}  // namespace rerank::server
