// The one table of errors: which HTTP status and gRPC code an error has, how it is named in each dialect, and the JSON
// body that tells it.
//
// Errors travel as Status. Where a Status code is coarser than HTTP (InvalidArgument is 400 for broken JSON and 422 for
// a wrong field), make_error() notes the kind in the Status, and kind_of() finds it again.
#pragma once

#include <string>
#include <string_view>

#include "rerank/status.h"
#include "transport/http.h"

namespace rerank::transport {

enum class ErrorKind {
  kMalformed,         // 400: not HTTP, not JSON, truncated
  kEmpty,             // 400: nothing to rank
  kInvalid,           // 422: a field is missing, of the wrong type or out of range
  kUnauthorized,      // 401
  kForbidden,         // 403: a page of another site
  kNotFound,          // 404: no such route
  kMethod,            // 405: the route exists, the method does not
  kTimeout,           // 408: the client was too slow to send its request
  kBodyTooLarge,      // 413
  kUnsupportedMedia,  // 415: a Content-Encoding we do not read
  kExpectation,       // 417: an Expect other than 100-continue
  kOverloaded,        // 429, Retry-After
  kRateLimited,       // 429, Retry-After: this caller asks too often, whatever the load
  kHeaderTooLarge,    // 431
  kCancelled,         // 499: the client went away; nobody reads this
  kBackend,           // 500; in TEI's dialect 424
  kUnimplemented,     // 501
  kUnavailable,       // 503, Retry-After: starting or stopping
  kDeadline,          // 504: not done in time
};

// The two families of error bodies.
enum class ErrorShape {
  kTei,     // {"error":"<message>","error_type":"Validation"}
  kCommon,  // {"error":{"message","type","code"},"message","detail"}: Cohere, Jina, vLLM, OpenAI, Xinference, NVIDIA,
            // transports
};

// A Status of this kind. The message names what is wrong and what to do.
Status make_error(ErrorKind kind, std::string_view message);

// The kind noted by make_error(), else the one that belongs to the code. `status` is not OK.
ErrorKind kind_of(const Status& status);

// The gRPC status code for `status`, which is not OK. TEI's differ in one place: a failed backend is
// FAILED_PRECONDITION.
int grpc_code(const Status& status, ErrorShape shape = ErrorShape::kCommon);

// When an HTTP status is answered, in words; empty for one that no row has. For descriptions.
std::string_view meaning_of(int http_status);

// The table as Markdown, for docs/routes.md.
std::string errors_markdown();

// What is wrong with a list of `count` texts called `name`, of which there may be `limit`: kEmpty or kInvalid.
Status check_count(std::string_view name, size_t count, size_t limit);

// The whole answer for `status`, which is not OK: HTTP status, body in the given shape, Retry-After where it belongs
// (retry_after_seconds() of the status, else 1).
HttpResponse error_response(const Status& status, ErrorShape shape = ErrorShape::kCommon);

}  // namespace rerank::transport
