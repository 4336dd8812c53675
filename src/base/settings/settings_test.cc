#include <gtest/gtest.h>

#include <vector>

#include "base/settings/assign.h"
#include "base/settings/nearest.h"
#include "base/settings/setting_text.h"

namespace rerank {
namespace {

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string_view> names = {"serve", "rank", "score", "tokenize", "max-length", "top-n", "port"};
  EXPECT_EQ(nearest("serv", names), "serve");
  EXPECT_EQ(nearest("srever", names), "serve");
  EXPECT_EQ(nearest("ranke", names), "rank");
  EXPECT_EQ(nearest("MAX_LENGTH", names), "max-length");
  EXPECT_EQ(nearest("topn", names), "top-n");
  EXPECT_EQ(nearest("tok", names), "tokenize") << "shortened";
  EXPECT_EQ(nearest("prot", names), "port") << "neighbours swapped";
  EXPECT_EQ(nearest("frobnicate", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest(std::string(1000000, 'a'), names), "");
}

TEST(Settings, NumbersOfTheirRange) {
  Options options;
  const auto wrong = [&](std::string_view name, std::string_view value) {
    return std::string(message_of(assign_setting(options, name, value)));
  };
  EXPECT_EQ(wrong("threads", "-1"), "threads -1: want 0 to 4096");
  EXPECT_EQ(wrong("threads", "1e6"), "threads 1e6: want 0 to 4096");
  EXPECT_EQ(wrong("threads", "nan"), "threads nan: want 0 to 4096");
  EXPECT_EQ(wrong("threads", "1.5"), "threads 1.5: want 0 to 4096, without a fraction");
  EXPECT_EQ(wrong("threads", ""), "threads \"\": want 0 to 4096");
  EXPECT_EQ(wrong("shadow-rate", "7"), "shadow-rate 7: want 0 to 1");
  EXPECT_EQ(wrong("hub-offline", "maybe"), "hub-offline maybe: want true or false");
  EXPECT_EQ(wrong("engine", "cpuu"),
            "engine cpuu: want auto, cuda, cpu, onnx, torchscript, pjrt, reference; did you mean cpu?");
  EXPECT_EQ(wrong("max_lenght", "1"), "max_lenght: no such setting; did you mean max-length?");
  EXPECT_EQ(wrong("thraeds", "1"), "thraeds: no such setting; did you mean threads?");
  EXPECT_TRUE(assign_setting(options, "max_length", "1_000").ok());
  EXPECT_EQ(options.model.texts.max_length, 1000u);
  EXPECT_TRUE(assign_setting(options, "cache-bytes", "1e9").ok());
  EXPECT_EQ(options.host.caches.cache_bytes, 1000000000u);
}

TEST(Settings, EveryNumberHasARangeThatItsDefaultIsIn) {
  const auto check = [](const OptionInfo& info, const auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_arithmetic_v<Field> && !std::is_same_v<Field, bool>) {
      EXPECT_TRUE(info.has_range()) << info.name << ": .within(least, most)";
      Field copy = field;
      EXPECT_EQ(read_setting(info, setting_text(field), copy), "") << info.name;
      EXPECT_EQ(copy, field) << info.name;
    } else {
      EXPECT_FALSE(info.has_range()) << info.name;
    }
  };
  Options library;
  ServerOptions server;
  visit_options(library, check);
  visit_options(server, check);
}

}  // namespace
}  // namespace rerank
