#include "transport/urgency.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "transport/errors.h"

namespace rerank::transport {
namespace {

constexpr double kLongestMs = 1e9;    // eleven days: more is the same as none
constexpr int kLowestPriority = 999;  // Cohere's range: 0 to 999, 0 goes first

struct TimeoutField {
  const char* name;
  double unit_ms;
  bool ours;  // a wrong value is an error; others' fields are left alone
};
constexpr TimeoutField kHeaders[] = {
    {"x-request-timeout-ms", 1, true},
    {"x-envoy-expected-rq-timeout-ms", 1, false},  // Envoy, Istio: what is left of the route's time-out
    {"x-stainless-timeout", 1000, false},          // SDKs made by Stainless, their own time-out (JavaScript)
    {"x-stainless-read-timeout", 1000, false},     // (Python)
};
constexpr TimeoutField kFields[] = {{"timeout_ms", 1, true}, {"timeout", 1000, false}};

std::optional<double> number(std::string_view text) {
  double value = 0;
  if (!absl::SimpleAtod({text.data(), text.size()}, &value) || !std::isfinite(value)) return std::nullopt;
  return value;
}

// The shortest time-out that is given, in milliseconds; infinite without.
double shortest_timeout(const HttpRequest& http, Body& body) {
  double shortest = std::numeric_limits<double>::infinity();
  const auto take = [&](const TimeoutField& field, std::optional<double> value) {
    if (!value || *value < 0) {
      if (field.ours) {
        body.fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` must be a number, 0 or more", field.name)));
      }
    } else if (*value > 0) {
      shortest = std::min(shortest, *value * field.unit_ms);
    }
  };
  for (const TimeoutField& header : kHeaders) {
    if (const std::string_view text = http.header(header.name); !text.empty()) take(header, number(text));
  }
  for (const TimeoutField& field : kFields) {
    if (body.has(field.name)) take(field, body.number(field.name));
  }
  return shortest;
}

}  // namespace

void read_urgency(const HttpRequest& http, std::chrono::milliseconds default_timeout, TimePoint begin, Body& body,
                  RerankRequest& request) {
  double timeout_ms = shortest_timeout(http, body);
  if (std::isinf(timeout_ms) && default_timeout.count() > 0) timeout_ms = static_cast<double>(default_timeout.count());
  if (timeout_ms < kLongestMs) {
    request.deadline =
        begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(timeout_ms));
  }
  request.priority = priority_behind(
      body.kind("priority") == Body::Kind::kNumber ? static_cast<double>(body.integer("priority", 0)) : 0);
  if (const std::string_view text = http.header("x-request-priority"); !text.empty()) {
    const Result<int> priority = read_priority(text);
    if (!priority.ok()) return body.fail(priority.status());
    request.priority = *priority;
  }
}

// As Cohere and vLLM count: a larger number waits longer.
int priority_behind(double steps) { return -static_cast<int>(std::clamp(steps, 0.0, 1.0 * kLowestPriority)); }

Result<int> read_priority(std::string_view text) {
  const auto steps = number(text);
  if (!steps) return make_error(ErrorKind::kInvalid, "`x-request-priority` must be a number");
  return priority_behind(*steps);
}

bool wants_fresh_scores(std::string_view cache_control) {
  return cache_control.find("no-cache") != std::string_view::npos ||
         cache_control.find("no-store") != std::string_view::npos;
}

bool wants_fresh_scores(const HttpRequest& http) { return wants_fresh_scores(http.header("cache-control")); }

}  // namespace rerank::transport
