#include "text/models/trie.h"

#include <map>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace rerank::text {
namespace {

// Every key is found with its value, and no other string is.
void expect_same(const std::map<std::string, int32_t>& keys, const std::vector<std::string>& others) {
  std::vector<std::pair<std::string_view, int32_t>> list(keys.begin(), keys.end());
  const Trie trie = Trie::build(list);
  auto look_up = [&](const std::string& key) {
    const Trie::Node node = trie.find(key);
    return node == Trie::kNone ? Trie::kNoValue : trie.value(node);
  };
  for (const auto& [key, value] : keys) EXPECT_EQ(look_up(key), value) << key;
  for (const std::string& other : others) {
    const auto it = keys.find(other);
    EXPECT_EQ(look_up(other), it == keys.end() ? Trie::kNoValue : it->second) << other;
  }
}

TEST(Trie, SmallSets) {
  expect_same({{"a", 0}, {"ab", 1}, {"b", 2}, {std::string("\0", 1), 3}, {"\xff\xff", 4}},
              {"", "abc", "c", std::string("\0\0", 2), "\xff", std::string("a\0", 2)});
  expect_same({{"only", 7}}, {"", "o", "onl", "onlyx", "x"});
  expect_same({}, {"", "a", std::string("\0", 1)});
}

TEST(Trie, RandomSets) {
  std::mt19937 random(1);
  for (int alphabet : {2, 5, 256}) {
    std::map<std::string, int32_t> keys;
    std::vector<std::string> others;
    auto word = [&] {
      std::string out;
      for (size_t n = 1 + random() % 8; n > 0; --n) out += char(random() % alphabet);
      return out;
    };
    for (int i = 0; i < 20000; ++i) keys[word()] = i;
    for (int i = 0; i < 20000; ++i) others.push_back(word());
    expect_same(keys, others);
  }
}

}  // namespace
}  // namespace rerank::text
