#include "server/http1/content_coding.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "transport/errors.h"

namespace rerank::server {
namespace {

constexpr int kGzipWindow = 15 + 16;
constexpr int kZlibWindow = 15;
constexpr int kFastest = 1;

std::string_view trim(std::string_view text) {
  while (!text.empty() && absl::ascii_isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && absl::ascii_isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

std::vector<std::string> split(std::string_view list, char separator) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const size_t end = std::min(list.find(separator), list.size());
    std::string word(trim(list.substr(0, end)));
    absl::AsciiStrToLower(&word);
    if (!word.empty()) words.push_back(std::move(word));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return words;
}

Status decode_one(std::string_view coding, size_t limit, std::string& body, const transport::MayHold& may_hold) {
  if (coding == "identity") return ok_status();
  if (coding != "gzip" && coding != "x-gzip" && coding != "deflate") {
    return transport::make_error(transport::ErrorKind::kUnsupportedMedia,
                                 "this Content-Encoding is not understood: send the body plain, or as gzip or deflate");
  }
  std::string plain;
  Status status = transport::inflate_all(body, transport::InflateWindow::kAny, limit, plain, may_hold);
  // Some clients understand by deflate what is without zlib's frame.
  if (!status.ok() && transport::kind_of(status) == transport::ErrorKind::kMalformed && coding == "deflate")
    status = transport::inflate_all(body, transport::InflateWindow::kRaw, limit, plain, may_hold);
  if (status.ok()) body = std::move(plain);
  return status;
}

}  // namespace

Status decode_content(std::string_view content_encoding, size_t limit, std::string& body,
                      const transport::MayHold& may_hold) {
  std::vector<std::string> codings = split(content_encoding, ',');
  if (codings.size() > 2)
    return transport::make_error(transport::ErrorKind::kUnsupportedMedia, "the body is coded more than twice");
  std::reverse(codings.begin(), codings.end());  // listed in the order in which they were applied
  for (const std::string& coding : codings) {
    RETURN_IF_ERROR(decode_one(coding, limit, body, may_hold));
  }
  return ok_status();
}

ContentCoding accepted_coding(std::string_view accept_encoding) {
  double gzip = -1, deflate = -1, any = -1;
  for (const std::string& item : split(accept_encoding, ',')) {
    const std::vector<std::string> parts = split(item, ';');
    if (parts.empty()) continue;
    double quality = 1;
    for (const std::string& parameter : parts) {
      if (parameter.starts_with("q="))
        std::from_chars(parameter.data() + 2, parameter.data() + parameter.size(), quality);
    }
    if (parts[0] == "gzip" || parts[0] == "x-gzip") gzip = quality;
    if (parts[0] == "deflate") deflate = quality;
    if (parts[0] == "*") any = quality;
  }
  if (gzip < 0) gzip = any;
  if (deflate < 0) deflate = any;
  if (gzip > 0 && gzip >= deflate) return ContentCoding::kGzip;
  return deflate > 0 ? ContentCoding::kDeflate : ContentCoding::kNone;
}

namespace {

void set_packed(ContentCoding coding, std::string packed, transport::HttpResponse& response) {
  response.body = std::move(packed);
  response.headers.emplace_back("Content-Encoding", coding == ContentCoding::kGzip ? "gzip" : "deflate");
  response.headers.emplace_back("Vary", "Accept-Encoding");
}

}  // namespace

void encode_content(ContentCoding coding, transport::HttpResponse& response) {
  if (coding == ContentCoding::kNone) return;
  for (const auto& [name, value] : response.headers) {
    if (name == "Content-Encoding") return;
  }
  z_stream stream{};
  const int window = coding == ContentCoding::kGzip ? kGzipWindow : kZlibWindow;
  if (deflateInit2(&stream, kFastest, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK) return;
  std::string packed(response.body.size(), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(response.body.data());
  stream.avail_in = static_cast<uInt>(response.body.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const bool smaller = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (smaller) set_packed(coding, std::move(packed), response);
}

void PackedPages::encode(ContentCoding coding, transport::HttpResponse& response) {
  if (coding == ContentCoding::kNone || response.body.size() > kMostBytes) return encode_content(coding, response);
  const Hash128 plain = hash128(response.body);
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(pages_.begin(), pages_.end(),
                                    [&](const Page& page) { return page.plain == plain && page.coding == coding; });
    if (found != pages_.end()) {
      std::rotate(found, found + 1, pages_.end());
      if (!pages_.back().body.empty()) set_packed(coding, pages_.back().body, response);
      return;
    }
  }
  const size_t size = response.body.size();
  encode_content(coding, response);
  const std::lock_guard lock(mutex_);
  if (pages_.size() == kMost) pages_.erase(pages_.begin());
  pages_.push_back({plain, coding, response.body.size() < size ? response.body : ""});
}

}  // namespace rerank::server
