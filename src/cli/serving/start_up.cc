#include "cli/serving/start_up.h"

#include "base/log.h"
#include "base/strings.h"
#include "cli/serving/notify.h"

namespace rerank::cli {
namespace {

constexpr std::chrono::seconds kSayAgain(10);
constexpr int kSayPercent = 10;

}  // namespace

void StartUp::report() {
  const auto now = std::chrono::steady_clock::now();
  for (const ModelReport& model : catalog_.list()) {
    if (model.state != ModelState::kStarting || model.phase == "waiting") continue;
    Reported& reported = reported_[model.name];
    const bool further = model.percent >= reported.percent + kSayPercent && model.phase == "downloading";
    if (!further && now - reported.at < kSayAgain) continue;
    reported = {model.phase, model.percent, now};
    const std::string text = str_cat("model ", model.name, ": ", model.phase, ", ", model.percent, " %");
    log_info(text);
    // A start may take longer than systemd allows one that says nothing.
    notify_service_manager(str_cat("STATUS=Loading ", text, "\nEXTEND_TIMEOUT_USEC=60000000"));
  }
}

}  // namespace rerank::cli
