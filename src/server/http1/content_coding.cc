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

constexpr int kAnyWindow = 15 + 32;  // gzip or zlib, whichever it is
constexpr int kRawWindow = -15;      // deflate as some clients understand it: without zlib's frame
constexpr int kGzipWindow = 15 + 16;
constexpr int kZlibWindow = 15;
constexpr int kFastest = 1;
constexpr size_t kStep = 256u << 10;

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

struct Inflater {
  z_stream stream{};
  bool ready;
  explicit Inflater(int window) : ready(inflateInit2(&stream, window) == Z_OK) {}
  ~Inflater() { inflateEnd(&stream); }
};

Status inflate_all(std::string_view input, int window, size_t limit, std::string& output, const MayHold& may_hold) {
  Inflater inflater(window);
  if (!inflater.ready) return transport::make_error(transport::ErrorKind::kUnavailable, "out of memory");
  z_stream& stream = inflater.stream;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  output.clear();
  size_t filled = 0;
  for (;;) {
    // One byte of room beyond the limit tells a body of exactly the limit from a larger one.
    if (filled == output.size()) {
      const size_t size = std::min(std::max(filled * 2, kStep), limit + 1);
      // While it is copied, both are there.
      RETURN_IF_ERROR(may_hold ? may_hold(input.size() + filled + size) : ok_status());
      output.resize(size);
    }
    stream.next_out = reinterpret_cast<Bytef*>(output.data() + filled);
    stream.avail_out = static_cast<uInt>(output.size() - filled);
    const int result = inflate(&stream, Z_NO_FLUSH);
    filled = output.size() - stream.avail_out;
    if (filled > limit) {
      return transport::make_error(transport::ErrorKind::kBodyTooLarge,
                                   str_cat("the decompressed body is larger than ", limit, " bytes"));
    }
    if (result == Z_STREAM_END) {
      // gzip files may be several, one after the other.
      if (stream.avail_in == 0 || window == kRawWindow) break;
      // Some writers pad with zeros.
      if (std::all_of(stream.next_in, stream.next_in + stream.avail_in, [](Bytef byte) { return byte == 0; })) break;
      if (inflateReset(&stream) != Z_OK) break;
    } else if (result != Z_OK) {
      return transport::make_error(transport::ErrorKind::kMalformed, "the compressed body is broken or cut short");
    }
  }
  output.resize(filled);
  return ok_status();
}

Status decode_one(std::string_view coding, size_t limit, std::string& body, const MayHold& may_hold) {
  if (coding == "identity") return ok_status();
  if (coding != "gzip" && coding != "x-gzip" && coding != "deflate") {
    return transport::make_error(transport::ErrorKind::kUnsupportedMedia,
                                 "this Content-Encoding is not understood: send the body plain, or as gzip or deflate");
  }
  std::string plain;
  Status status = inflate_all(body, kAnyWindow, limit, plain, may_hold);
  if (!status.ok() && transport::kind_of(status) == transport::ErrorKind::kMalformed && coding == "deflate")
    status = inflate_all(body, kRawWindow, limit, plain, may_hold);
  if (status.ok()) body = std::move(plain);
  return status;
}

}  // namespace

Status decode_content(std::string_view content_encoding, size_t limit, std::string& body, const MayHold& may_hold) {
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
