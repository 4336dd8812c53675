#include "server/http1/response_head.h"

#include <ctime>

namespace rerank::server {
namespace {

struct Reason {
  int status;
  std::string_view phrase;
};

constexpr Reason kReasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {424, "Failed Dependency"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

void add_field(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (const char c : value) {
    if (c != '\r' && c != '\n') head += c;
  }
  head += "\r\n";
}

// The current date in HTTP's form; made once a second per thread.
std::string_view http_date() {
  thread_local std::time_t made = 0;
  thread_local char text[64] = "";
  const std::time_t now = std::time(nullptr);
  if (now != made) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    made = now;
  }
  return text;
}

}  // namespace

std::string_view reason_phrase(int status) {
  for (const Reason& reason : kReasons) {
    if (reason.status == status) return reason.phrase;
  }
  return "";
}

std::string response_head(const transport::HttpResponse& response, const Framing& framing) {
  std::string head;
  head.reserve(512);
  head += "HTTP/1.1 ";
  head += std::to_string(response.status);
  head += ' ';
  head += reason_phrase(response.status);
  head += "\r\n";
  add_field(head, "Server", "rerankd");
  add_field(head, "Date", http_date());
  if (!response.content_type.empty()) add_field(head, "Content-Type", response.content_type);
  if (response.status != 204) add_field(head, "Content-Length", std::to_string(response.body.size()));
  for (const auto& [name, value] : response.headers) add_field(head, name, value);
  if (framing.close) {
    add_field(head, "Connection", "close");
  } else if (framing.keep_alive) {
    add_field(head, "Connection", "keep-alive");
  }
  head += "\r\n";
  return head;
}

}  // namespace rerank::server
