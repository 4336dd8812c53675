// Where a report comes from: its last line.
#pragma once

#include <string>
#include <vector>

namespace rerank::cli {

// The program's words, as it was called. Once, before commands run.
void remember_command(const std::vector<std::string>& words);

// `words` as a shell takes them, what keys and passwords are left out.
std::string command_text(const std::vector<std::string>& words);

// `html`, a page of report/html_page.h, with date, version, machine and command at its foot.
std::string with_origin(std::string html);

}  // namespace rerank::cli
