// One log line per request, at most so many a second: what a burst, or an attack, costs the log is bounded. Requests
// that failed have as many lines of their own, so that good ones do not crowd them out.
#pragma once

#include <memory>

#include "observe/request_record.h"

namespace rerank::observe {

// `lines_per_second`: 1 or more. Lines go to base/log.h: at info, of requests that the server failed at warning. A line
// that follows suppressed ones says how many.
std::shared_ptr<RequestObserver> make_request_log(size_t lines_per_second);

}  // namespace rerank::observe
