// Decompression with a bound on what comes out. A pure function.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "rerank/status.h"

namespace rerank::transport {

// zlib's window bits, by what stands around the deflated data.
enum class InflateWindow : int {
  kAny = 15 + 32,   // gzip or zlib, whichever it is
  kGzip = 15 + 16,  // gzip's header and sums
  kRaw = -15,       // nothing
};

// Asked before memory is taken, with all bytes that decoding then holds; its error ends it.
using MayHold = std::function<Status(size_t bytes)>;

// Writes what `input` decompresses to into `output`. Errors (transport/errors.h): kMalformed for broken data;
// kBodyTooLarge when more than `limit` bytes come out: it stops there.
Status inflate_all(std::string_view input, InflateWindow window, size_t limit, std::string& output,
                   const MayHold& may_hold = {});

}  // namespace rerank::transport
