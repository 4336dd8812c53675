// Content codings of bodies: gzip and deflate, in and out. Pure functions.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "rerank/status.h"
#include "transport/http.h"
#include "transport/inflate.h"

namespace rerank::server {

enum class ContentCoding { kNone, kGzip, kDeflate };

// Undoes the codings named in a Content-Encoding header. Errors (transport/errors.h): kUnsupportedMedia for one we do
// not know, kMalformed for broken data, kBodyTooLarge when more than `limit` bytes come out; it stops there.
// `may_hold`, if given, is asked before memory is taken, with all bytes that decoding then holds; its error ends it.
Status decode_content(std::string_view content_encoding, size_t limit, std::string& body,
                      const transport::MayHold& may_hold = {});

// The coding that an Accept-Encoding header likes best; kNone if it likes neither of ours.
ContentCoding accepted_coding(std::string_view accept_encoding);

// Compresses the body and says so in the headers. Answers that are coded already, or would not get smaller, stay as
// they are.
void encode_content(ContentCoding coding, transport::HttpResponse& response);

// encode_content() of answers that are the same again and again (pages, the description of the API): the last few are
// kept as they were compressed. Thread-safe.
class PackedPages {
 public:
  void encode(ContentCoding coding, transport::HttpResponse& response);

 private:
  static constexpr size_t kMost = 8, kMostBytes = 4u << 20;  // of one, before it is compressed

  struct Page {
    Hash128 plain;
    ContentCoding coding;
    std::string body;  // empty: it does not get smaller
  };
  std::mutex mutex_;
  std::vector<Page> pages_;  // the last one used is the last; guarded by mutex_
};

}  // namespace rerank::server
