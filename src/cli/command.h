// What the commands share: settings, and opening the reranker they name.
#pragma once

#include <CLI/CLI.hpp>

#include <memory>

#include "base/metrics.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "cli/text_input.h"
#include "rerank/reranker.h"

namespace rerank::cli {

struct Command {
  Command(CLI::App& program, const std::string& name, const std::string& help)
      : app(*program.add_subcommand(name, help)), settings(app) {}

  // Completes the options from the configuration file and opens the model, with a progress line for a download.
  Result<std::unique_ptr<Reranker>> open(std::shared_ptr<Metrics> metrics = nullptr) {
    RETURN_IF_ERROR(complete());
    options.model.source.download_progress = download_line();
    return Reranker::open(options, std::move(metrics));
  }

  // A progress line for each file that is downloaded.
  static std::function<void(std::string_view file, uint64_t done, uint64_t total)> download_line() {
    auto progress = std::make_shared<std::pair<std::string, std::unique_ptr<Progress>>>();
    return [progress](std::string_view file, uint64_t done, uint64_t total) {
      if (progress->first != file)
        *progress = {std::string(file), std::make_unique<Progress>(std::string(file), "bytes")};
      progress->second->update(done, total);
    };
  }

  Status complete() {
    RETURN_IF_ERROR(settings.apply_config_file());
    RETURN_IF_ERROR(apply_folder_defaults(options));
    // A command that reads a file waits for all of it, however slow the machine is; only serving refuses work.
    if (!settings.has("max-queue-ms")) options.model.queue.max_queue_ms = 0;
    return ok_status();
  }

  CLI::App& app;
  Settings settings;
  Options options;
};

}  // namespace rerank::cli
