#include "transport/callers/keys.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <cstdio>

#include <filesystem>
#include <fstream>

namespace rerank::transport {
namespace {

constexpr TimePoint kStart{std::chrono::hours(1)};
TimePoint after(double seconds) {
  return kStart + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

class KeyFile {
 public:
  explicit KeyFile(const std::string& text) { write(text); }
  ~KeyFile() { std::filesystem::remove(path); }
  void write(const std::string& text) const { std::ofstream(path) << text; }
  const std::string path = testing::TempDir() + "keys-" + std::to_string(::getpid()) + ".txt";
};

TEST(KeyFileTest, ReadsNamesRatesAndPriorities) {
  const auto rules = parse_key_file("# ours\nragflow secret-1  rate=5 priority=2\n\ndify\tsecret-2 # slow\r\n", "f");
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(rules->size(), 2u);
  EXPECT_EQ((*rules)[0].name, "ragflow");
  EXPECT_EQ((*rules)[0].rate, 5);
  EXPECT_EQ((*rules)[0].priority, 2);
  EXPECT_EQ((*rules)[1].secret, "secret-2");
  EXPECT_EQ((*rules)[1].rate, 0);
}

TEST(KeyFileTest, ErrorsNameTheLineAndNeverTheKey) {
  for (const char* text :
       {"ok long-enough\nalone", "a long-enough\na other-long", "a short", "a long-enough rate=0",
        "a long-enough rate=x", "a long-enough tokens=0", "a long-enough priority=1000", "a long-enough colour=red"}) {
    const auto rules = parse_key_file(text, "keys.txt");
    ASSERT_FALSE(rules.ok()) << text;
    EXPECT_NE(rules.status().message().find("keys.txt:"), std::string::npos) << rules.status();
    EXPECT_EQ(rules.status().message().find("long-enough"), std::string::npos) << rules.status();
  }
}

TEST(KeyRingTest, OnlyKnownKeysAreLetIn) {
  auto ring = *KeyRing::open("one-key1, two-key1", "");
  EXPECT_TRUE(ring->admit("one-key1").ok());
  EXPECT_TRUE(ring->admit("two-key1").ok());
  for (const char* wrong : {"", "one-key", "one-key2", "One-key1", ","}) {
    EXPECT_TRUE(absl::IsUnauthenticated(ring->admit(wrong).status())) << wrong;
  }
}

TEST(KeyRingTest, ARateIsKeptAndSaysWhenToComeBack) {
  KeyFile file("slow secret-1 rate=2\nfast secret-2\n");
  auto ring = *KeyRing::open("", file.path);
  size_t admitted = 0;
  for (int i = 0; i < 100; ++i) admitted += ring->admit("secret-1", after(i * 0.01)).ok();
  EXPECT_EQ(admitted, 3u);  // two saved up, one more within the second
  const auto refused = ring->admit("secret-1", after(0.99));
  ASSERT_TRUE(absl::IsResourceExhausted(refused.status()));
  EXPECT_EQ(retry_after_seconds(refused.status()), 1);
  EXPECT_TRUE(ring->admit("secret-2", after(1)).ok());
  EXPECT_TRUE(ring->admit("secret-1", after(2)).ok());
}

TEST(KeyRingTest, TokensAreChargedWhenTheyAreKnown) {
  KeyFile file("a secret-1 tokens=1000\nb secret-2\n");
  auto ring = *KeyRing::open("", file.path);
  EXPECT_TRUE(ring->admit("secret-1", after(0)).ok());
  ring->charge("a", 3500, after(0));  // 1000 were saved up
  const auto refused = ring->admit("secret-1", after(1));
  ASSERT_TRUE(absl::IsResourceExhausted(refused.status()));
  EXPECT_NE(refused.status().message().find("1000 tokens"), std::string::npos) << refused.status();
  EXPECT_EQ(retry_after_seconds(refused.status()), 2);
  EXPECT_TRUE(ring->admit("secret-1", after(2.6)).ok());
  ring->charge("b", 1000000, after(2.6));
  EXPECT_TRUE(ring->admit("secret-2", after(2.6)).ok()) << "it has no such limit";
  ring->charge("", 1000000, after(2.6));
  // Idle time saves up one second's worth, and no more.
  ring->charge("a", 1001, after(100));
  EXPECT_FALSE(ring->admit("secret-1", after(100)).ok());
  file.write("a secret-1 tokens=1000\nc secret-3\n");
  EXPECT_FALSE(ring->admit("secret-1", after(100.0001)).ok());
  EXPECT_TRUE(ring->admit("secret-3", after(102)).ok()) << "read again";
  ring->charge("a", 5000, after(102));
  file.write("a secret-1 tokens=1000\n");
  EXPECT_FALSE(ring->admit("secret-1", after(104)).ok()) << "a file that is read again forgives nothing";
}

TEST(KeyRingTest, NamesAKeyWithoutUsingItsRate) {
  KeyFile file("a secret-1 rate=1\n");
  auto ring = *KeyRing::open("", file.path);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ring->name_of("secret-1"), "a");
  EXPECT_EQ(ring->name_of("secret-2"), "");
  EXPECT_TRUE(ring->admit("secret-1", after(0)).ok());
}

TEST(KeyRingTest, AChangedFileIsReadAgainAndAWrongOneIsNot) {
  KeyFile file("a old-secret\n");
  auto ring = *KeyRing::open("", file.path);
  EXPECT_TRUE(ring->admit("old-secret", after(0)).ok());
  file.write("a new-secret-now\n");
  EXPECT_TRUE(ring->admit("new-secret-now", after(2)).ok());
  EXPECT_FALSE(ring->admit("old-secret", after(2)).ok());
  file.write("nonsense\n");
  EXPECT_TRUE(ring->admit("new-secret-now", after(4)).ok());
  std::filesystem::remove(file.path);
  EXPECT_TRUE(ring->admit("new-secret-now", after(6)).ok());
}

TEST(KeyRingTest, AListWithoutAKeyIsNoOpenServer) {
  for (const char* keys : {",", " ", "\n", ", ,", "short", "long-enough,k", "long enough", "caf\xc3\xa9-secret"})
    EXPECT_FALSE(KeyRing::open(keys, "").ok()) << keys;
  EXPECT_TRUE((*KeyRing::open("", ""))->empty()) << "not set";
  EXPECT_TRUE((*KeyRing::open("secret-1\n", ""))->admit("secret-1").ok()) << "as a file or a variable may end";
}

TEST(KeyRingTest, AFileThatIsNotThereIsAnErrorAtStart) {
  EXPECT_FALSE(KeyRing::open("", "/nowhere/keys").ok());
  KeyFile file("# nobody\n");
  EXPECT_FALSE(KeyRing::open("", file.path).ok()) << "nobody could ever call";
}

}  // namespace
}  // namespace rerank::transport
