// The commands of rerankd. Each adds itself to the program; its run() is called when it was chosen and returns the exit
// code: 0 done, 1 failed (the reason is on stderr), 2 wrong usage.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "rerank/status.h"

namespace CLI {
class App;
}

namespace rerank::cli {

using Run = std::function<int()>;

Run add_serve_command(CLI::App& program);
Run add_rank_command(CLI::App& program);
Run add_score_command(CLI::App& program);
Run add_tokenize_command(CLI::App& program);
Run add_inspect_command(CLI::App& program);
Run add_check_command(CLI::App& program);
Run add_fit_command(CLI::App& program);
Run add_eval_command(CLI::App& program);
Run add_bench_command(CLI::App& program);
Run add_lengths_command(CLI::App& program);
Run add_calibrate_command(CLI::App& program);
Run add_routes_command(CLI::App& program);
Run add_convert_command(CLI::App& program);
Run add_options_command(CLI::App& program);
Run add_completion_command(CLI::App& program);
Run add_manual_command(CLI::App& program);

// Prints "rerankd: message" to stderr; returns the exit code that fits the status.
int report(const Status& status);

// Log lines to stderr, from `--log-level` on (RERANKD_LOG_LEVEL): debug, info, warning, error. `format`: text, or json:
// an object a line.
void log_to_stderr(std::string_view level, std::string_view format);

}  // namespace rerank::cli
