#include "base/system/shared_library.h"

#include <gmock/gmock.h>

#include "base/strings.h"

namespace rerank {
namespace {

using ::testing::HasSubstr;

TEST(SharedLibraryTest, FindsWhatALibraryHas) {
  const auto library = SharedLibrary::open("libm.so.6");
  ASSERT_TRUE(library.ok()) << library.status();
  auto* const cosine = library->find<double(double)>("cos");
  ASSERT_NE(cosine, nullptr);
  EXPECT_EQ(cosine(0), 1);
  EXPECT_EQ(library->find<void()>("no_such_function"), nullptr);
}

TEST(SharedLibraryTest, SaysWhatTheLoaderSays) {
  const auto none = SharedLibrary::open("/nowhere/libnothing.so");
  EXPECT_THAT(std::string(message_of(none.status())), HasSubstr("/nowhere/libnothing.so: cannot open shared object"));
}

}  // namespace
}  // namespace rerank
