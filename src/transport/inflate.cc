#include "transport/inflate.h"

#include <zlib.h>

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"
#include "transport/errors.h"

namespace rerank::transport {
namespace {

constexpr size_t kStep = 256u << 10;

struct Inflater {
  z_stream stream{};
  bool ready;
  explicit Inflater(InflateWindow window) : ready(inflateInit2(&stream, static_cast<int>(window)) == Z_OK) {}
  ~Inflater() { inflateEnd(&stream); }
};

}  // namespace

Status inflate_all(std::string_view input, InflateWindow window, size_t limit, std::string& output,
                   const MayHold& may_hold) {
  Inflater inflater(window);
  if (!inflater.ready) return make_error(ErrorKind::kUnavailable, "out of memory");
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
      return make_error(ErrorKind::kBodyTooLarge, str_cat("the decompressed body is larger than ", limit, " bytes"));
    }
    if (result == Z_STREAM_END) {
      // gzip files may be several, one after the other.
      if (stream.avail_in == 0 || window == InflateWindow::kRaw) break;
      // Some writers pad with zeros.
      if (std::all_of(stream.next_in, stream.next_in + stream.avail_in, [](Bytef byte) { return byte == 0; })) break;
      if (inflateReset(&stream) != Z_OK) break;
    } else if (result != Z_OK) {
      return make_error(ErrorKind::kMalformed, "the compressed body is broken or cut short");
    }
  }
  output.resize(filled);
  return ok_status();
}

}  // namespace rerank::transport
