// The error type of every fallible call. What a client, a file or the network can cause is a Status whose message says
// what failed, where (file, field, value) and what to do. Bugs stop the process instead (ABSL_RAW_CHECK).
//
// Codes used, and what the HTTP layer makes of them (api/errors.cc is the one table):
//   InvalidArgument     the request or file is wrong           OutOfRange         over a stated limit
//   NotFound            no such file, model or route           Unimplemented      a model or feature we do not support
//   ResourceExhausted   queue full, shed                       DeadlineExceeded   not done in time
//   Cancelled           the client went away                   Unavailable        starting, stopping, peer gone
//   Internal            a backend failed on this batch
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace rerank {

using Status = absl::Status;

template <class T>
using Result = absl::StatusOr<T>;

inline Status ok_status() { return absl::OkStatus(); }

}  // namespace rerank
