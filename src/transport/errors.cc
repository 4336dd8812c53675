#include "transport/errors.h"

#include <iterator>
#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/json/writer.h"

namespace rerank::transport {
namespace {

struct ErrorRow {
  ErrorKind kind;
  absl::StatusCode code;  // the first row of a code is what that code means when no kind is noted
  int status;
  int tei_status;
  const char* tei_type;
  const char* common_type;
  bool retry_after;
  const char* when;
};

using enum absl::StatusCode;

constexpr ErrorRow kErrors[] = {
    {ErrorKind::kInvalid, kInvalidArgument, 422, 422, "Validation", "invalid_request_error", false,
     "a field is missing, of the wrong type or out of range; too many texts"},
    {ErrorKind::kInvalid, kOutOfRange, 422, 422, "Validation", "invalid_request_error", false,
     "a text is too long, with truncate false"},
    {ErrorKind::kMalformed, kInvalidArgument, 400, 400, "Validation", "invalid_request_error", false,
     "broken HTTP or JSON"},
    {ErrorKind::kEmpty, kInvalidArgument, 400, 400, "Empty", "invalid_request_error", false,
     "an empty body, no texts to rank"},
    {ErrorKind::kUnauthorized, kUnauthenticated, 401, 401, "Unauthorized", "authentication_error", false,
     "no valid key, where keys are set"},
    {ErrorKind::kForbidden, kPermissionDenied, 403, 403, "Unauthorized", "permission_error", false,
     "a web page of an origin that --cors-origin does not name"},
    {ErrorKind::kNotFound, kNotFound, 404, 404, "NotFound", "not_found_error", false, "no such path"},
    {ErrorKind::kMethod, kInvalidArgument, 405, 405, "Validation", "invalid_request_error", false,
     "not with this method"},
    {ErrorKind::kTimeout, kDeadlineExceeded, 408, 408, "Validation", "timeout_error", false,
     "the request did not arrive in time"},
    {ErrorKind::kBodyTooLarge, kOutOfRange, 413, 413, "Validation", "invalid_request_error", false,
     "the body is larger than --max-body-bytes, also after decompression"},
    {ErrorKind::kUnsupportedMedia, kInvalidArgument, 415, 415, "Validation", "invalid_request_error", false,
     "a Content-Encoding that is not gzip or deflate"},
    {ErrorKind::kExpectation, kInvalidArgument, 417, 417, "Validation", "invalid_request_error", false,
     "an Expect that is not 100-continue"},
    {ErrorKind::kOverloaded, kResourceExhausted, 429, 429, "Overloaded", "overloaded_error", true,
     "overloaded, or too much waits to keep the time-out; says when to come back"},
    {ErrorKind::kRateLimited, kResourceExhausted, 429, 429, "Overloaded", "rate_limit_error", true,
     "the key has used up its rate, or an address has sent too many wrong keys; says when to come back"},
    {ErrorKind::kHeaderTooLarge, kOutOfRange, 431, 431, "Validation", "invalid_request_error", false,
     "the head is larger than --max-header-bytes"},
    {ErrorKind::kCancelled, kCancelled, 499, 499, "Backend", "cancelled_error", false, "the client went away"},
    {ErrorKind::kBackend, kInternal, 500, 424, "Backend", "server_error", false, "the engine failed"},
    {ErrorKind::kUnimplemented, kUnimplemented, 501, 501, "Backend", "not_supported_error", false,
     "this model or its tokenizer.json cannot do that here; a Transfer-Encoding besides chunked"},
    {ErrorKind::kUnavailable, kUnavailable, 503, 503, "Unhealthy", "unavailable_error", true,
     "starting, stopping, or too many connections; says when to come back"},
    {ErrorKind::kDeadline, kDeadlineExceeded, 504, 504, "Overloaded", "timeout_error", false,
     "cannot be done within its time-out, or was not"},
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

std::string_view meaning_of(int http_status) {
  for (const ErrorRow& row : kErrors) {
    if (row.status == http_status || row.tei_status == http_status) return row.when;
  }
  return "";
}

std::string errors_markdown() {
  std::string text = "| HTTP | gRPC | TEI `error_type` | `type` of others | when |\n|---|---|---|---|---|\n";
  for (const ErrorRow& row : kErrors) {
    const Status status = make_error(row.kind, "");
    const std::string code = absl::StatusCodeToString(static_cast<absl::StatusCode>(grpc_code(status)));
    const std::string tei_code =
        absl::StatusCodeToString(static_cast<absl::StatusCode>(grpc_code(status, ErrorShape::kTei)));
    text += absl::StrFormat("| %d%s | `%s`%s | `%s` | `%s` | %s |\n", row.status,
                            row.tei_status == row.status ? "" : absl::StrFormat(" (TEI %d)", row.tei_status), code,
                            tei_code == code ? "" : absl::StrFormat(" (TEI `%s`)", tei_code), row.tei_type,
                            row.common_type, row.when);
  }
  return text;
}

// absl's codes are gRPC's, number by number.
int grpc_code(const Status& status, ErrorShape shape) {
  const ErrorRow& row = row_of(kind_of(status));
  const bool tei_backend = shape == ErrorShape::kTei && row.code == kInternal;
  return static_cast<int>(tei_backend ? kFailedPrecondition : row.code);
}

Status check_count(std::string_view name, size_t count, size_t limit) {
  if (count == 0) return make_error(ErrorKind::kEmpty, absl::StrFormat("`%s` cannot be empty", name));
  if (count <= limit) return ok_status();
  return make_error(ErrorKind::kInvalid,
                    absl::StrFormat("`%s` holds %d texts, more than the %d this server takes in one request: split the "
                                    "request",
                                    name, count, limit));
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

}  // namespace rerank::transport
