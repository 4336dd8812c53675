#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/metrics.h"

namespace rerank {
namespace {

TEST(MetricsTest, TextHasEveryKindAndSameNameIsSameObject) {
  Metrics metrics;
  metrics.counter("rerankd_a_total", "A.", {{"kind", "x"}}).add(2);
  metrics.counter("rerankd_a_total", "A.", {{"kind", "x"}}).add();
  metrics.counter("rerankd_a_total", "A.", {{"kind", "y"}}).add();
  metrics.gauge("rerankd_b", "B.").set(7);
  metrics.gauge("rerankd_b", "B.").add(-3);
  metrics.histogram("rerankd_c_seconds", "C.", {0.1, 1}).observe(0.5);
  const std::string text = metrics.to_text();
  EXPECT_NE(text.find("rerankd_a_total{kind=\"x\"} 3"), std::string::npos) << text;
  EXPECT_NE(text.find("rerankd_a_total{kind=\"y\"} 1"), std::string::npos) << text;
  EXPECT_NE(text.find("rerankd_b 4"), std::string::npos) << text;
  EXPECT_NE(text.find("rerankd_c_seconds_bucket{le=\"1\"} 1"), std::string::npos) << text;
}

TEST(HashTest, FieldBoundariesCount) {
  EXPECT_NE(FieldHasher().add("a").add("bc").finish().hex(), FieldHasher().add("ab").add("c").finish().hex());
  EXPECT_EQ(FieldHasher().add("a").add("bc").finish().hex(), FieldHasher().add("a").add("bc").finish().hex());
  EXPECT_EQ(hash128("x").hex().size(), 32u);
}

TEST(HashTest, AKeyedHashIsSipHashAndNeedsItsKey) {
  HashKey key;
  for (size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = static_cast<unsigned char>(i);
  // Of SipHash's authors: vectors_sip128, key 00 01 .. 0f, inputs of 0 and 1 bytes.
  const auto bytes = [](const Hash128& hash) {
    const auto* first = reinterpret_cast<const unsigned char*>(&hash);
    return std::vector<int>(first, first + 4);
  };
  EXPECT_EQ(bytes(keyed_hash(key, "")), (std::vector<int>{0xa3, 0x81, 0x7f, 0x04}));
  EXPECT_EQ(bytes(keyed_hash(key, std::string_view("\0", 1))), (std::vector<int>{0xda, 0x87, 0xc1, 0xd8}));
  EXPECT_NE(keyed_hash(HashKey::random(), "text"), keyed_hash(HashKey::random(), "text"));
  EXPECT_EQ(keyed_hash(HashKey::made_of("secret"), "text"), keyed_hash(HashKey::made_of("secret"), "text"));
  EXPECT_NE(keyed_hash(HashKey::made_of("secret"), "text"), keyed_hash(HashKey::made_of("Secret"), "text"));
}

TEST(MappedFileTest, ReadsAFileAndNamesAMissingOne) {
  const std::string path = testing::TempDir() + "/mapped_file_test.txt";
  std::ofstream(path) << "hello";
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->text(), "hello");
  MappedFile moved = std::move(*file);
  EXPECT_EQ(moved.text(), "hello");
  EXPECT_EQ(read_file(path, 4).status().code(), absl::StatusCode::kOutOfRange);
  std::remove(path.c_str());
  auto missing = MappedFile::open(path);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(missing.status().message().find(path), std::string_view::npos);
  EXPECT_EQ(MappedFile::open(testing::TempDir()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LogTest, LinesReachTheSink) {
  std::string seen;
  set_log_sink([&](LogLevel, std::string_view line, std::span<const LogField> fields) {
    seen = line;
    for (const LogField& field : fields) seen += " " + std::string(field.name) + "=" + field.value;
  });
  log(LogLevel::kInfo, "one", std::vector{LogField("a", "b")});
  set_log_sink({});
  log_info("two");
  EXPECT_EQ(seen, "one a=b");
}

}  // namespace
}  // namespace rerank
