#include "observe/request_record.h"

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

}  // namespace rerank::observe
