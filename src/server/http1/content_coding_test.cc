#include "server/http1/content_coding.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "transport/errors.h"

namespace rerank::server {
namespace {

std::string pack(const std::string& text, int window) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

constexpr int kGzip = 15 + 16, kZlib = 15, kRaw = -15;

std::string long_text() {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

TEST(ContentCoding, DecodesWhatClientsSend) {
  const std::string text = long_text();
  struct Row {
    const char* header;
    std::string body;
  };
  for (const Row& row : std::vector<Row>{{"", text},
                                         {"identity", text},
                                         {"gzip", pack(text, kGzip)},
                                         {"X-GZIP", pack(text, kGzip)},
                                         {"deflate", pack(text, kZlib)},
                                         {"deflate", pack(text, kRaw)},
                                         {"gzip", pack(text.substr(0, 7), kGzip) + pack(text.substr(7), kGzip)},
                                         {"deflate, gzip", pack(pack(text, kZlib), kGzip)}}) {
    std::string body = row.body;
    ASSERT_TRUE(decode_content(row.header, text.size(), body).ok()) << row.header;
    EXPECT_EQ(body, text) << row.header;
  }
}

TEST(ContentCoding, TakesZerosAfterABody) {
  std::string body = pack(long_text(), kGzip) + std::string(500, '\0');
  EXPECT_TRUE(decode_content("gzip", 10 << 20, body).ok());
  EXPECT_EQ(body, long_text());
  body = pack(long_text(), kGzip) + std::string(500, '\0') + "x";
  EXPECT_FALSE(decode_content("gzip", 10 << 20, body).ok());
}

TEST(ContentCoding, BoundsWhatComesOut) {
  const std::string zeros(10 << 20, '\0');
  const std::string bomb = pack(zeros, kGzip);
  std::string body = bomb;
  EXPECT_TRUE(decode_content("gzip", zeros.size(), body).ok());
  body = bomb;
  EXPECT_EQ(transport::kind_of(decode_content("gzip", zeros.size() - 1, body)), transport::ErrorKind::kBodyTooLarge);
  body = pack(bomb, kGzip);
  EXPECT_EQ(transport::kind_of(decode_content("gzip, gzip", 1000000, body)), transport::ErrorKind::kBodyTooLarge);
  body = bomb;
  EXPECT_EQ(transport::kind_of(decode_content("gzip,gzip,gzip", 1000000, body)),
            transport::ErrorKind::kUnsupportedMedia);
}

TEST(ContentCoding, RefusesWhatItCannotRead) {
  std::string body = "x";
  EXPECT_EQ(transport::kind_of(decode_content("br", 1000, body)), transport::ErrorKind::kUnsupportedMedia);
  EXPECT_EQ(transport::kind_of(decode_content("gzip", 1000, body)), transport::ErrorKind::kMalformed);
  EXPECT_EQ(transport::kind_of(decode_content("deflate", 1000, body)), transport::ErrorKind::kMalformed);
  body = "";
  EXPECT_EQ(transport::kind_of(decode_content("gzip", 1000, body)), transport::ErrorKind::kMalformed);
  const std::string whole = pack(long_text(), kGzip);
  for (const size_t length : {1ul, 9ul, 10ul, 100ul, whole.size() - 1}) {
    body = whole.substr(0, length);
    EXPECT_EQ(transport::kind_of(decode_content("gzip", 10 << 20, body)), transport::ErrorKind::kMalformed) << length;
  }
}

TEST(ContentCoding, ChoosesAsTheClientLikes) {
  struct Row {
    const char* header;
    ContentCoding coding;
  };
  for (const Row& row : {Row{"", ContentCoding::kNone},
                         {"gzip, deflate", ContentCoding::kGzip},
                         {"deflate", ContentCoding::kDeflate},
                         {"br, zstd", ContentCoding::kNone},
                         {"gzip;q=0, deflate", ContentCoding::kDeflate},
                         {"*", ContentCoding::kGzip},
                         {"gzip;q=0.2, deflate;q=0.9", ContentCoding::kDeflate},
                         {"identity", ContentCoding::kNone},
                         {"gzip;q=0", ContentCoding::kNone},
                         {"GZIP", ContentCoding::kGzip},
                         {";;,,;q=", ContentCoding::kNone}}) {
    EXPECT_EQ(accepted_coding(row.header), row.coding) << row.header;
  }
}

TEST(ContentCoding, EncodesOnlyWhenItHelps) {
  for (const ContentCoding coding : {ContentCoding::kGzip, ContentCoding::kDeflate}) {
    transport::HttpResponse response;
    response.body = long_text();
    encode_content(coding, response);
    EXPECT_LT(response.body.size(), long_text().size() / 2);
    ASSERT_EQ(response.headers.size(), 2u);
    EXPECT_EQ(response.headers[0].first, "Content-Encoding");
    ASSERT_TRUE(decode_content(response.headers[0].second, 10 << 20, response.body).ok());
    EXPECT_EQ(response.body, long_text());
  }
  transport::HttpResponse tiny;
  tiny.body = "x";
  encode_content(ContentCoding::kGzip, tiny);
  EXPECT_EQ(tiny.body, "x");
  EXPECT_TRUE(tiny.headers.empty());
}

}  // namespace
}  // namespace rerank::server
