#include "observe/trace_context.h"

#include <algorithm>
#include <random>

namespace rerank::observe {
namespace {

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) { return text.find_first_not_of('0') == text.npos; }

uint64_t random_bits() {
  thread_local std::mt19937_64 generator(std::random_device{}() * 0x9e3779b97f4a7c15u ^ std::random_device{}());
  return generator();
}

std::string hex(uint64_t bits) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; bits >>= 4) text[i] = "0123456789abcdef"[bits & 15];
  return text;
}

}  // namespace

// version "-" trace id "-" parent id "-" flags; versions after 00 may go on after another "-".
std::optional<TraceContext> parse_traceparent(std::string_view header) {
  constexpr size_t kLength = 55;
  if (header.size() < kLength || header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
  const std::string_view version = header.substr(0, 2), trace = header.substr(3, 32), parent = header.substr(36, 16),
                         flags = header.substr(53, 2);
  if (!is_hex(version) || !is_hex(trace) || !is_hex(parent) || !is_hex(flags)) return std::nullopt;
  if (version == "ff" || is_zero(trace) || is_zero(parent)) return std::nullopt;
  if (header.size() > kLength && (version == "00" || header[kLength] != '-')) return std::nullopt;
  const char last = flags[1];
  const int digit = last <= '9' ? last - '0' : last - 'a' + 10;
  return TraceContext{std::string(trace), std::string(parent), (digit & 1) != 0};
}

std::string new_span_id() {
  uint64_t bits = random_bits();
  while (bits == 0) bits = random_bits();
  return hex(bits);
}

std::string new_trace_id() { return new_span_id() + new_span_id(); }

}  // namespace rerank::observe
