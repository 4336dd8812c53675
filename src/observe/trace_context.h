// W3C Trace Context (https://www.w3.org/TR/trace-context/): the caller's span, and whether the caller records the
// trace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rerank::observe {

struct TraceContext {
  std::string trace_id;   // 32 lower-case hex digits; empty: the request came without
  std::string parent_id;  // 16: the caller's span
  bool sampled = false;   // as the caller says
};

// The value of a `traceparent` header; null when it is not one (the specification wants such to be ignored).
std::optional<TraceContext> parse_traceparent(std::string_view header);

// Random ids, as hex digits.
std::string new_trace_id();
std::string new_span_id();

}  // namespace rerank::observe
