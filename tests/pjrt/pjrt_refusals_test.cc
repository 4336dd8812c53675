// What is no plugin, or one that this engine cannot use, is refused by name; what a plugin refuses is said as it says
// it.
#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <mutex>

#include "base/log.h"
#include "support.h"

namespace rerank::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string error_of(const BackendOptions& options) {
  const auto backend = open(options);
  return backend.ok() ? "ok" : std::string(message_of(backend.status()));
}
std::string error_of(const std::string& plugin, const std::string& client_options = "") {
  return error_of(with_plugin(plugin, client_options));
}

// A copy of the plugin that answers, which no test has loaded.
std::string unloaded_plugin(const std::string& name) {
  const std::string copy = str_cat(::testing::TempDir(), "/pjrt_", name, "_", ::getpid(), ".so");
  std::filesystem::copy_file(fake_plugin("good"), copy, std::filesystem::copy_options::overwrite_existing);
  return copy;
}

// Log lines while it lives.
class Lines {
 public:
  Lines() {
    set_log_sink([this](LogLevel, std::string_view message, std::span<const LogField>) {
      const std::lock_guard lock(mutex_);
      text_ += std::string(message) + "\n";
    });
  }
  ~Lines() { set_log_sink({}); }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

TEST(PjrtRefusalsTest, AFileThatIsNoPluginIsNamed) {
  EXPECT_THAT(error_of(""), HasSubstr("--pjrt-plugin names none: tpu, cuda, rocm, oneapi, or the file"));
  EXPECT_THAT(error_of("/nowhere/plugin.so"), AllOf(HasSubstr("/nowhere/plugin.so"), HasSubstr("no such file")));
  const std::string text = str_cat(::testing::TempDir(), "/pjrt_text_", ::getpid(), ".so");
  std::ofstream(text) << "This is a text.\n";
  EXPECT_THAT(error_of(text), AllOf(HasSubstr("/pjrt_text_"), HasSubstr("cannot be loaded")));
  EXPECT_THAT(error_of("/proc/self/exe"), HasSubstr("cannot be loaded"));
  EXPECT_THAT(error_of("libstdc++.so.6"), HasSubstr("no such file"));
  EXPECT_THAT(error_of(fake_plugin("nothing")), HasSubstr("no PJRT plugin (GetPjrtApi gives nothing)"));
}

TEST(PjrtRefusalsTest, APackageThatIsNotInstalledIsNamed) {
  ::unsetenv("TPU_LIBRARY_PATH");
  ::setenv("TPU_LIBRARY_PATH", "/nowhere/libtpu.so", 1);
  EXPECT_THAT(error_of("tpu"), AllOf(HasSubstr("TPU_LIBRARY_PATH"), HasSubstr("/nowhere/libtpu.so")));
  ::setenv("TPU_LIBRARY_PATH", fake_plugin("good").c_str(), 1);
  EXPECT_EQ(error_of("tpu"), "ok");
  ::unsetenv("TPU_LIBRARY_PATH");
}

TEST(PjrtRefusalsTest, VersionsAreChecked) {
  EXPECT_THAT(error_of(fake_plugin("major")), AllOf(HasSubstr("has version 1.81"), HasSubstr("0.70 or a later 0.x")));
  EXPECT_THAT(error_of(fake_plugin("old")), AllOf(HasSubstr("has version 0.60"), HasSubstr("install a newer")));
  EXPECT_EQ(error_of(fake_plugin("newer")), "ok");
}

TEST(PjrtRefusalsTest, FunctionsThatAreMissingAreNamed) {
  EXPECT_THAT(error_of(fake_plugin("empty")), HasSubstr("lacks the functions that read errors"));
  EXPECT_THAT(error_of(fake_plugin("short")), HasSubstr("lacks the function Buffer_Destroy"));
  // What --pjrt-cache alone wants may be missing: then each start compiles.
  BackendOptions options = with_plugin(fake_plugin("uncached"));
  options.pjrt_cache = fresh_folder("uncached");
  const Lines lines;
  EXPECT_EQ(error_of(options), "ok");
  EXPECT_EQ(error_of(options), "ok");
  EXPECT_THAT(lines.text(), HasSubstr("lacks the function Executable_DeserializeAndLoad"));
  std::filesystem::remove_all(options.pjrt_cache);
  EXPECT_THAT(error_of(fake_plugin("driver")), AllOf(HasSubstr("Plugin_Initialize"), HasSubstr("no driver")));
}

TEST(PjrtRefusalsTest, SignalHandlersStayAsTheyWere) {
  struct sigaction before {
  }, after{};
  ::sigaction(SIGTERM, nullptr, &before);
  ASSERT_EQ(error_of(unloaded_plugin("signals")), "ok");
  for (const int number : {SIGTERM, SIGSEGV}) {
    ::sigaction(number, nullptr, &after);
    EXPECT_NE(after.sa_handler, SIG_IGN) << number;
  }
  ::sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(PjrtRefusalsTest, OptionsAreCheckedHereOrThere) {
  EXPECT_THAT(error_of(fake_plugin("good"), "devices"), AllOf(HasSubstr("--pjrt-options"), HasSubstr("KEY=VALUE")));
  EXPECT_THAT(error_of(fake_plugin("good"), "unknown=1"), HasSubstr("unknown option: unknown"));
  const auto refused = [](const auto& change) {
    BackendOptions options = with_plugin(fake_plugin("good"));
    change(options);
    return error_of(options);
  };
  EXPECT_THAT(refused([](auto& o) { o.precision = Precision::kInt8; }), HasSubstr("there are auto, fp32 and bf16"));
  EXPECT_THAT(refused([](auto& o) { o.kernel = KernelTier::kAmx; }), HasSubstr("--kernel"));
  EXPECT_THAT(refused([](auto& o) { o.pjrt_shapes = "8"; }), AllOf(HasSubstr("--pjrt-shapes"), HasSubstr("8x128")));
  EXPECT_THAT(refused([](auto& o) { o.pjrt_shapes = "8x99999"; }), HasSubstr("longest pair"));
  EXPECT_THAT(refused([](auto& o) { o.device = 3; }), AllOf(HasSubstr("no device 3"), HasSubstr("has 1")));
  EXPECT_THAT(refused([](auto& o) { o.devices = "0,7"; }), HasSubstr("no device 7"));
}

TEST(PjrtRefusalsTest, AProgramThatTheCompilerRefusesIsLeftOut) {
  const Lines lines;
  auto backend = open(with_plugin(fake_plugin("good"), "refuse_rows=8"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  const FakePairs pairs(20);
  std::vector<float> logits(20);
  ASSERT_TRUE((*backend)->forward(pairs.batch, logits).ok());
  pairs.expect_equal(logits);
  EXPECT_THAT(lines.text(), AllOf(HasSubstr("no blocks of 8x16"), HasSubstr("the compiler gives up")));
  // But not the one that holds the longest pairs.
  EXPECT_THAT(error_of(fake_plugin("good"), "refuse_rows=1"), HasSubstr("the compiler gives up"));
  EXPECT_THAT(error_of(fake_plugin("good"), "full_rows=1"), HasSubstr("29.80G exceeds 15.75G"));
}

TEST(PjrtRefusalsTest, ADeviceWithoutMemoryForTheWeightsIsSaid) {
  EXPECT_THAT(error_of(fake_plugin("good"), "limit=1000"),
              AllOf(HasSubstr("weight %"), HasSubstr("Ran out of memory")));
  EXPECT_EQ(counts()[3], 0) << "buffers are not given back";
}

TEST(PjrtRefusalsTest, UnknownFlagsOfXlaAreSpokenOf) {
  ::setenv("XLA_FLAGS", "--xla_no_such_flag", 1);
  const Lines lines;
  EXPECT_EQ(error_of(unloaded_plugin("flags")), "ok");
  ::unsetenv("XLA_FLAGS");
  EXPECT_THAT(lines.text(), AllOf(HasSubstr("--xla_no_such_flag"), HasSubstr("ends the process")));
}

TEST(PjrtRefusalsTest, InspectSaysWhatItWouldTake) {
  const auto choices = list_engines(*bert(), with_plugin(fake_plugin("good"), "devices=4"));
  const auto pjrt =
      std::find_if(choices.begin(), choices.end(), [](const auto& c) { return c.engine == EngineKind::kPjrt; });
  ASSERT_NE(pjrt, choices.end());
  EXPECT_TRUE(pjrt->runs);
  EXPECT_THAT(pjrt->detail,
              AllOf(HasSubstr("bf16 on Fake Device, 4 device(s) of platform fake"), HasSubstr("1073.7 MB"),
                    HasSubstr("PJRT 0.81, StableHLO 1.2.3"), HasSubstr("1x64, 8x16, 4x32")));
  const auto none = list_engines(*bert(), {});
  for (const auto& choice : none) EXPECT_FALSE(choice.engine == EngineKind::kPjrt && choice.runs);
}

TEST(PjrtRefusalsTest, AutoTakesThePluginThatIsNamed) {
  auto named = open_backend(bert(), EngineKind::kAuto, with_plugin(fake_plugin("good")));
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ((*named)->info().engine_text(), "pjrt");
  EXPECT_FALSE(open_backend(bert(), EngineKind::kAuto, with_plugin("/nowhere/plugin.so")).ok());
  auto other = open_backend(bert(), EngineKind::kAuto, {});
  ASSERT_TRUE(other.ok());
  EXPECT_NE((*other)->info().engine_text(), "pjrt");
}

}  // namespace
}  // namespace rerank::engine
