#include "api/errors.h"

#include <iterator>
#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "api/json_out.h"

namespace rerank {
namespace {

struct ErrorRow {
  ErrorKind kind;
  absl::StatusCode code;  // the first row of a code is what that code means when no kind is noted
  int status;
  int tei_status;
  const char* tei_type;
  const char* common_type;
  bool retry_after;
};

using enum absl::StatusCode;

constexpr ErrorRow kErrors[] = {
    {ErrorKind::kInvalid, kInvalidArgument, 422, 422, "Validation", "invalid_request_error", false},
    {ErrorKind::kInvalid, kOutOfRange, 422, 422, "Validation", "invalid_request_error", false},
    {ErrorKind::kMalformed, kInvalidArgument, 400, 400, "Validation", "invalid_request_error", false},
    {ErrorKind::kEmpty, kInvalidArgument, 400, 400, "Empty", "invalid_request_error", false},
    {ErrorKind::kUnauthorized, kUnauthenticated, 401, 401, "Unauthorized", "authentication_error", false},
    {ErrorKind::kNotFound, kNotFound, 404, 404, "NotFound", "not_found_error", false},
    {ErrorKind::kMethod, kInvalidArgument, 405, 405, "Validation", "invalid_request_error", false},
    {ErrorKind::kTimeout, kDeadlineExceeded, 408, 408, "Validation", "timeout_error", false},
    {ErrorKind::kBodyTooLarge, kOutOfRange, 413, 413, "Validation", "invalid_request_error", false},
    {ErrorKind::kUnsupportedMedia, kInvalidArgument, 415, 415, "Validation", "invalid_request_error", false},
    {ErrorKind::kExpectation, kInvalidArgument, 417, 417, "Validation", "invalid_request_error", false},
    {ErrorKind::kOverloaded, kResourceExhausted, 429, 429, "Overloaded", "overloaded_error", true},
    {ErrorKind::kHeaderTooLarge, kOutOfRange, 431, 431, "Validation", "invalid_request_error", false},
    {ErrorKind::kCancelled, kCancelled, 499, 499, "Backend", "cancelled_error", false},
    {ErrorKind::kBackend, kInternal, 500, 424, "Backend", "server_error", false},
    {ErrorKind::kUnimplemented, kUnimplemented, 501, 501, "Backend", "not_supported_error", false},
    {ErrorKind::kUnavailable, kUnavailable, 503, 503, "Unhealthy", "unavailable_error", true},
    {ErrorKind::kDeadline, kDeadlineExceeded, 504, 504, "Overloaded", "timeout_error", false},
};

constexpr char kKindPayload[] = "rerankd/error-kind";

// Codes that no row has (a bug upstream, an unexpected library error) are failures of the backend.
const ErrorRow& row_of(ErrorKind kind) {
  for (const ErrorRow& row : kErrors) {
    if (row.kind == kind) return row;
  }
  return row_of(ErrorKind::kBackend);
}

}  // namespace

Status make_error(ErrorKind kind, std::string_view message) {
  Status status(row_of(kind).code, {message.data(), message.size()});
  status.SetPayload(kKindPayload, absl::Cord(std::to_string(static_cast<int>(kind))));
  return status;
}

ErrorKind kind_of(const Status& status) {
  int kind = 0;
  if (const auto noted = status.GetPayload(kKindPayload); noted && absl::SimpleAtoi(std::string(*noted), &kind)) {
    return static_cast<ErrorKind>(kind);
  }
  if (status.code() == kDeadlineExceeded) return ErrorKind::kDeadline;
  for (const ErrorRow& row : kErrors) {
    if (row.code == status.code()) return row.kind;
  }
  return ErrorKind::kBackend;
}

HttpResponse error_response(const Status& status, ErrorShape shape) {
  const ErrorRow& row = row_of(kind_of(status));
  const std::string message(status.message());
  const bool tei = shape == ErrorShape::kTei;
  HttpResponse response;
  response.status = tei ? row.tei_status : row.status;
  JsonWriter json;
  json.begin_object();
  if (tei) {
    json.field("error", message);
    json.field("error_type", row.tei_type);
  } else {
    json.key("error").begin_object();
    json.field("message", message);
    json.field("type", row.common_type);
    json.field("code", static_cast<uint64_t>(response.status));
    json.end_object();
    json.field("message", message);
    json.field("detail", message);
  }
  json.end_object();
  response.body = json.take();
  if (row.retry_after) {
    response.headers.emplace_back("Retry-After", std::to_string(retry_after_seconds(status).value_or(1)));
  }
  return response;
}

}  // namespace rerank
