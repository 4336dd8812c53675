#include "observe/request_record.h"

#include <algorithm>

namespace rerank::observe {

std::string_view reason_of(int http_status) {
  switch (http_status) {
    case 400:
      return "malformed";
    case 401:
      return "unauthorized";
    case 404:
    case 405:
      return "no_route";
    case 408:
      return "slow_client";
    case 413:
    case 431:
      return "too_large";
    case 422:
      return "invalid";
    case 429:
      return "overloaded";
    case 499:
      return "cancelled";
    case 503:
      return "unavailable";
    case 504:
      return "deadline";
    default:
      return http_status < 400 ? "ok" : http_status < 500 && http_status != 424 ? "refused" : "failed";
  }
}

std::string_view reason_of(const RequestRecord& record) {
  if (record.rate_limited) return "rate_limited";
  return record.overloaded ? "overloaded" : reason_of(record.status);
}

std::string_view field_of(std::string_view message) {
  constexpr std::string_view kNameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.[]-";
  const bool quoted = message.starts_with('`');
  if (quoted) message.remove_prefix(1);
  const size_t end = message.find_first_not_of(kNameLetters);
  if (end == 0 || end == std::string_view::npos || end > RequestRecord::kMostText) return {};
  return message[end] == (quoted ? '`' : ':') ? message.substr(0, end) : std::string_view();
}

std::string request_id_of(std::string_view header) {
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
  if (!header.empty() && header.size() <= 128 && std::all_of(header.begin(), header.end(), visible))
    return std::string(header);
  return new_trace_id();
}

}  // namespace rerank::observe
