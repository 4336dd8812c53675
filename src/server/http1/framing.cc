#include "server/http1/framing.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "transport/body.h"
#include "transport/errors.h"

namespace rerank::server {
namespace {

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool all(std::string_view text, bool (*accepted)(unsigned char)) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return accepted(static_cast<unsigned char>(c)); });
}

bool is_digit(unsigned char c) { return absl::ascii_isdigit(c); }

bool is_name_character(unsigned char c) {
  return absl::ascii_isalnum(c) || std::string_view("-._~!$&'()*+,;=").find(static_cast<char>(c)) != std::string::npos;
}

bool is_address_character(unsigned char c) { return absl::ascii_isxdigit(c) || c == ':' || c == '.'; }

// RFC 3986's reg-name, which takes in IPv4 addresses.
bool is_registered_name(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '%') {
      if (!is_name_character(static_cast<unsigned char>(name[i]))) return false;
      continue;
    }
    if (i + 2 >= name.size() || !all(name.substr(i + 1, 2), [](unsigned char c) { return absl::ascii_isxdigit(c); }))
      return false;
    i += 2;
  }
  return true;
}

// RFC 9112 6.1 and 6.3: the values of all Transfer-Encoding fields are one list, in the order of the fields.
Status check_transfer_codings(bool http_1_0, const std::vector<std::string_view>& values) {
  if (values.empty()) return ok_status();
  if (http_1_0)
    return transport::make_error(transport::ErrorKind::kMalformed,
                                 "HTTP/1.0 has no Transfer-Encoding: send Content-Length");
  std::vector<std::string_view> codings;
  for (std::string_view list : values) {
    for (;;) {
      const size_t comma = std::min(list.find(','), list.size());
      if (const std::string_view coding = trim(list.substr(0, comma)); !coding.empty()) codings.push_back(coding);
      if (comma == list.size()) break;
      list.remove_prefix(comma + 1);
    }
  }
  const auto chunked = std::count_if(codings.begin(), codings.end(),
                                     [](std::string_view coding) { return transport::same_word(coding, "chunked"); });
  if (chunked != 1 || !transport::same_word(codings.back(), "chunked")) {
    return transport::make_error(
        transport::ErrorKind::kMalformed,
        "the body's end cannot be known: the last Transfer-Encoding must be chunked, and only that");
  }
  if (codings.size() == 1) return ok_status();
  return transport::make_error(
      transport::ErrorKind::kUnimplemented,
      "the only Transfer-Encoding understood is chunked: compress with Content-Encoding instead");
}

Status check_length(bool coded, const std::vector<std::string_view>& values) {
  if (values.empty()) return ok_status();
  if (coded) {
    return transport::make_error(transport::ErrorKind::kMalformed,
                                 "Content-Length and Transfer-Encoding exclude each other: send one");
  }
  if (values.size() > 1) return transport::make_error(transport::ErrorKind::kMalformed, "more than one Content-Length");
  if (!values[0].empty() && all(values[0], is_digit)) return ok_status();
  return transport::make_error(transport::ErrorKind::kMalformed, "Content-Length must be a number of bytes");
}

Status check_host(bool http_1_0, const std::vector<std::string_view>& values) {
  if (values.empty() && !http_1_0)
    return transport::make_error(transport::ErrorKind::kMalformed, "HTTP/1.1 requests must have a Host header");
  if (values.size() > 1) return transport::make_error(transport::ErrorKind::kMalformed, "more than one Host header");
  if (values.empty() || is_valid_host(values[0])) return ok_status();
  return transport::make_error(transport::ErrorKind::kMalformed,
                               "the Host header must be a name or an address, and perhaps a port");
}

// RFC 9112 3.2: a path, an absolute URL, "*" of OPTIONS, or what CONNECT names.
bool is_valid_target(std::string_view method, std::string_view target) {
  if (method == "CONNECT") return true;
  if (target == "*") return method == "OPTIONS";
  const auto begins = [&](std::string_view scheme) {
    return transport::same_word(target.substr(0, scheme.size()), scheme);
  };
  return target.starts_with('/') || begins("http://") || begins("https://");
}

}  // namespace

const char* find_broken_line(std::string_view bytes, LineProgress& progress, bool in_trailer) {
  auto& [begin, next, ended] = progress;
  for (; next < bytes.size() && !ended; ++next) {
    const char c = bytes[next];
    if (c == '\0') return "a NUL";
    if (c == '\n') return "a line break that is not CRLF";
    if (!in_trailer && next == begin && next > 0 && (c == ' ' || c == '\t')) return "a line that goes on in the next";
    if (c != '\r') continue;
    if (next + 1 == bytes.size()) return nullptr;
    if (bytes[next + 1] != '\n') return "a line break that is not CRLF";
    ended = next == begin;
    begin = ++next + 1;
  }
  return nullptr;
}

bool is_valid_host(std::string_view value) {
  size_t end = 0;
  if (value.starts_with('[')) {
    end = value.find(']');
    if (end == std::string_view::npos || end < 3 || !all(value.substr(1, end - 1), is_address_character)) return false;
    ++end;
  } else {
    end = std::min(value.find(':'), value.size());
    if (!is_registered_name(value.substr(0, end))) return false;
  }
  if (end == value.size()) return true;
  if (value[end] != ':') return false;
  const std::string_view port = value.substr(end + 1);
  return port.size() <= 5 && all(port, is_digit);
}

Status check_framing(bool http_1_0, std::string_view method, std::string_view target,
                     std::span<const HeaderField> fields) {
  std::vector<std::string_view> codings, lengths, hosts;
  for (const auto& [name, value] : fields) {
    if (name == "transfer-encoding") codings.push_back(value);
    if (name == "content-length") lengths.push_back(value);
    if (name == "host") hosts.push_back(value);
  }
  if (!is_valid_target(method, target)) {
    return transport::make_error(transport::ErrorKind::kMalformed,
                                 "the request's target must be a path such as /rerank");
  }
  RETURN_IF_ERROR(check_transfer_codings(http_1_0, codings));
  RETURN_IF_ERROR(check_length(!codings.empty(), lengths));
  return check_host(http_1_0, hosts);
}

}  // namespace rerank::server
