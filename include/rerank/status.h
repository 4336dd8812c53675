// The error type of every fallible call. What a client, a file or the network can cause is a Status whose message says
// what failed, where (file, field, value) and what to do. Bugs stop the process instead (ABSL_RAW_CHECK).
//
// Codes used, and what the HTTP layer makes of them (transport/errors.cc is the one table):
//   InvalidArgument     the request or file is wrong           OutOfRange         over a stated limit
//   NotFound            no such file, model or route           Unimplemented      a model or feature we do not support
//   ResourceExhausted   queue full, shed                       DeadlineExceeded   not done in time
//   Cancelled           the client went away                   Unavailable        starting, stopping, peer gone
//   Internal            a backend failed on this batch
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"

namespace rerank {

using Status = absl::Status;

template <class T>
using Result = absl::StatusOr<T>;

inline Status ok_status() { return absl::OkStatus(); }

// How long a refused client should wait before it tries again: noted in a ResourceExhausted or Unavailable Status by
// whoever refuses, told to clients by the transports (HTTP: Retry-After).
inline constexpr char kRetryAfterPayload[] = "rerankd/retry-after-seconds";

inline Status with_retry_after(Status status, int seconds) {
  status.SetPayload(kRetryAfterPayload, absl::Cord(std::to_string(seconds)));
  return status;
}

inline std::optional<int> retry_after_seconds(const Status& status) {
  const auto payload = status.GetPayload(kRetryAfterPayload);
  int seconds = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &seconds)) return std::nullopt;
  return seconds;
}

}  // namespace rerank
