#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/metrics.h"
#include "base/system/heap.h"

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

const std::function<bool()> kNobodyAsks = [] {
  ADD_FAILURE() << "nothing has changed that would have to be looked at";
  return false;
};

TEST(MappedFileTest, AFileThatIsCutReadsAsZerosAndSaysSo) {
  const std::string path = testing::TempDir() + "/mapped_file_cut.txt";
  const std::string content(100000, 'x');
  std::ofstream(path) << content;
  std::vector<MappedFile> files;  // the second is another mapping of it
  for (int i = 0; i < 2; ++i) files.push_back(*MappedFile::open(path));
  EXPECT_TRUE(files[0].check(kNobodyAsks).ok());
  std::filesystem::resize_file(path, 1000);
  EXPECT_EQ(files[0].text()[0], 'x');
  for (const size_t at : {99999, 4096, 50000}) EXPECT_EQ(files[0].text()[at], '\0') << at;
  const Status status = files[0].check(kNobodyAsks);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find(path), std::string_view::npos);
  std::ofstream(path) << content;
  EXPECT_FALSE(files[0].check(kNobodyAsks).ok()) << "what was read is not known to be right again";
  EXPECT_EQ(files[1].text()[50000], 'x') << "the other mapping reads what is there now";
}

TEST(MappedFileTest, AFileThatIsWrittenToIsSeenButATouchedOneIsNot) {
  const std::string path = testing::TempDir() + "/mapped_file_written.txt";
  std::ofstream(path) << "hello";
  const auto make_older = [&] {
    std::filesystem::last_write_time(path, std::filesystem::last_write_time(path) - std::chrono::hours(1));
  };
  const auto file = MappedFile::open(path);
  make_older();
  int asked = 0;
  const auto same = [&] { return ++asked, file->text() == "hello"; };
  EXPECT_TRUE(file->check(same).ok());
  EXPECT_TRUE(file->check(same).ok());
  EXPECT_EQ(asked, 1);
  {
    const std::string other = path + ".new";
    std::ofstream(other) << "other";
    std::filesystem::rename(other, path);
  }
  EXPECT_TRUE(file->check(kNobodyAsks).ok()) << "renaming another file into its place is how it is done";
  const auto second = MappedFile::open(path);
  std::fstream(path, std::ios::in | std::ios::out) << "OTHER";
  make_older();
  EXPECT_EQ(second->check([&] { return second->text() == "other"; }).code(), absl::StatusCode::kUnavailable);
}

TEST(MappedFileTest, AFifoIsNotWaitedFor) {
  const std::string path = testing::TempDir() + "/mapped_file_fifo";
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::open(path).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(read_file(path, 100).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(read_file("/dev/zero", 100).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(HeapTest, WhatIsFreeTwiceIsGivenBackAndAgainAfterAGivingBackUnderLoad) {
  const auto look = [](size_t in_use, size_t free, size_t resident) {
    return HeapLook{.in_use = in_use << 20, .free = free << 20, .resident = resident << 20};
  };
  HeapRule rule;
  EXPECT_FALSE(rule.look(look(100, 80, 200))) << "a busy engine may take it again";
  EXPECT_FALSE(rule.look(look(180, 0, 200)));
  EXPECT_FALSE(rule.look(look(100, 80, 200)));
  EXPECT_TRUE(rule.look(look(100, 80, 200)));
  rule.gave_back(look(100, 80, 120));
  EXPECT_FALSE(rule.look(look(100, 80, 120))) << "still free to the allocator, but its pages are gone";
  // Given back while large requests were there: what these free afterwards is given back too.
  EXPECT_TRUE(rule.look(look(300, 80, 400)));
  rule.gave_back(look(300, 80, 320));
  EXPECT_TRUE(rule.look(look(100, 280, 320)));
  rule.gave_back(look(100, 280, 120));
  EXPECT_FALSE(rule.look(look(100, 280, 125)));
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
