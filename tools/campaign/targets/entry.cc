// libFuzzer's way into one target.
#include "base/log.h"
#include "targets/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool kQuiet = [] {
    rerank::set_log_sink([](rerank::LogLevel, std::string_view, std::span<const rerank::LogField>) {});
    return true;
  }();
  (void)kQuiet;
  rerank::campaign::RERANKD_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
