#include "engine/pjrt/plugin_environment.h"

#include <cstdlib>
#include <filesystem>

#include "base/log.h"

namespace rerank::engine::pjrt {
namespace {

bool has_tpu() {
  std::error_code error;
  return std::filesystem::exists("/dev/accel0", error) || std::filesystem::exists("/dev/vfio/0", error);
}

}  // namespace

std::string environment_value(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

void set_plugin_environment(const LoadOptions& options) {
  const auto set = [](const char* name, const std::string& value) { ::setenv(name, value.c_str(), 0); };
  set("TF_CPP_MIN_LOG_LEVEL", "2");  // XLA: no lines of information
  if (options.threads != 0) set("NPROC", std::to_string(options.threads));
  set("TPU_LOG_DIR", "disabled");
  set("TPU_MIN_LOG_LEVEL", "3");
  set("TPU_STDERR_LOG_LEVEL", "3");
  if (options.ahead || !has_tpu()) {
    set("TPU_SKIP_MDS_QUERY", "1");  // else two minutes of questions to a cloud that is not there
    set("TPU_ACCELERATOR_TYPE", "v5litepod-1");
    set("TPU_WORKER_HOSTNAMES", "localhost");
  }
  if (options.ahead) set("ALLOW_MULTIPLE_LIBTPU_LOAD", "1");  // no device is used: others may compile, too
  if (const std::string flags = environment_value("XLA_FLAGS"); !flags.empty())
    log_warning(str_cat("XLA_FLAGS is set to \"", flags,
                        "\": XLA ends the process when it meets a flag that it does not know"));
}

}  // namespace rerank::engine::pjrt
