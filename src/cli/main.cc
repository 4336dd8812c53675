// rerankd: the program. Chooses a command and nothing else.
#include <CLI/CLI.hpp>

#include <csignal>
#include <utility>
#include <vector>

#include "cli/commands.h"

namespace cli = rerank::cli;

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of that write, not of the program
  CLI::App program{"rerankd puts the best documents first: a server and tools for cross-encoder rerankers."};
  program.set_version_flag("--version", "rerankd " RERANKD_VERSION);
  program.require_subcommand(1);
  program.get_formatter()->column_width(34);
  program.footer(
      "\nStart with:  rerankd serve            then POST to http://127.0.0.1:8080/v1/rerank\n"
      "             rerankd rank --query 'what is a panda' --documents texts.txt\n");
  std::string level = "info";
  program.add_option("--log-level", level, "debug, info, warning or error.")->envname("RERANKD_LOG_LEVEL");
  std::string format = "text";
  program.add_option("--log-format", format, "text, or json: an object a line.")
      ->envname("RERANKD_LOG_FORMAT")
      ->check(CLI::IsMember({"text", "json"}));
  program.fallthrough();
  const std::vector<cli::Run> commands = {
      cli::add_serve_command(program),    cli::add_rank_command(program),      cli::add_score_command(program),
      cli::add_tokenize_command(program), cli::add_inspect_command(program),   cli::add_eval_command(program),
      cli::add_lengths_command(program),  cli::add_calibrate_command(program), cli::add_bench_command(program),
      cli::add_convert_command(program),  cli::add_options_command(program),   cli::add_routes_command(program),
  };
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = program.exit(error);
    return code == 0 ? 0 : 2;
  }
  cli::log_to_stderr(level, format);
  for (const auto& run : commands) {
    const int code = run();
    if (code >= 0) return code;
  }
  return 2;
}
