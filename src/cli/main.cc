// rerankd: the program. Chooses a command and nothing else.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"
#include "cli/environment.h"
#include "cli/help/help.h"
#include "cli/help/origin.h"
#include "cli/help/version.h"
#include "cli/progress.h"
#include "cli/serving/drop_in.h"

namespace cli = rerank::cli;

namespace {

// A result that did not arrive is an error, also where only its last bytes did not.
int with_output_checked(int code) {
  std::cout.flush();
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return code;
  std::fprintf(stderr, "rerankd: cannot write to standard output: %s\n", std::strerror(errno != 0 ? errno : EIO));
  return code == 0 ? 1 : code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of that write, not of the program
  CLI::App program{"rerankd puts the best documents first: a server and tools for cross-encoder rerankers."};
  program.formatter(std::make_shared<cli::HelpFormatter>());
  program.set_version_flag("-V,--version", cli::version_text());
  program.set_help_flag("-h,--help", "What there is, on a screen.");
  program.set_help_all_flag("--help-all", "Everything, in full.");
  program.require_subcommand(1);
  program.footer(
      "\nStart with:  rerankd serve            then POST to http://127.0.0.1:8080/v1/rerank\n"
      "             rerankd rank --query 'what is a panda' --documents texts.txt\n");
  std::string level;
  program.add_option("--log-level", level, "debug, info, warning or error. Default: info of serve, else warning.")
      ->type_name("LEVEL")
      ->envname("RERANKD_LOG_LEVEL")
      ->check(cli::one_of({"debug", "info", "warning", "error"}));
  std::string format = "text";
  program.add_option("--log-format", format, "text, or json: an object a line.")
      ->type_name("FORM")
      ->envname("RERANKD_LOG_FORMAT")
      ->check(cli::one_of({"text", "json"}));
  bool quiet = false;
  program.add_flag("-q,--quiet", quiet, "Errors only: no progress, no other log lines.");
  program.fallthrough();
  const std::vector<cli::Run> commands = {
      cli::add_serve_command(program),      cli::add_rank_command(program),      cli::add_score_command(program),
      cli::add_tokenize_command(program),   cli::add_inspect_command(program),   cli::add_fit_command(program),
      cli::add_models_command(program),     cli::add_check_command(program),     cli::add_eval_command(program),
      cli::add_lengths_command(program),    cli::add_calibrate_command(program), cli::add_bench_command(program),
      cli::add_convert_command(program),    cli::add_options_command(program),   cli::add_routes_command(program),
      cli::add_completion_command(program), cli::add_manual_command(program),
  };
  cli::check_counts(program);
  const std::vector<std::string> links = cli::pass_over_service_links();
  std::vector<std::string> words = cli::command_words(argc, argv);
  const std::vector<std::string> taken = cli::take_other_servers_settings(words);
  cli::remember_command(words);
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    program.parse(words);
  } catch (const CLI::Success& help) {
    return with_output_checked(program.exit(help));
  } catch (const CLI::ParseError& error) {
    const std::string what = cli::name_the_variable(program, argc, argv, cli::usage_error(program, error));
    const auto chosen = program.get_subcommands();
    std::fprintf(stderr, "rerankd: %s\nRun rerankd %s--help for more information.\n", what.c_str(),
                 chosen.empty() ? "" : (chosen.front()->get_name() + " ").c_str());
    return 2;
  }
  if (level.empty()) level = program.got_subcommand("serve") ? "info" : "warning";
  cli::log_to_stderr(quiet ? "error" : level, format);
  cli::show_progress(!quiet);
  if (program.got_subcommand("serve")) {
    for (const std::string& line : taken) rerank::log_info(line);
    for (const std::string& name : links)
      rerank::log_info(rerank::str_cat(name, " is a service link of the platform, and is passed over"));
    for (const std::string& line : cli::unknown_variables(program)) rerank::log_warning(line);
  }
  for (const auto& run : commands) {
    const int code = run();
    if (code >= 0) return with_output_checked(code);
  }
  return 2;
}
