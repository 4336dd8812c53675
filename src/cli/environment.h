// What the surroundings of the program say, and how it is meant.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace rerank::cli {

// Empty when it is not set.
std::string variable(const char* name);

// Unsets variables that a platform made, not an operator: Kubernetes puts RERANKD_PORT=tcp://10.96.14.2:8080 into every
// pod beside a Service called `rerankd`, and RERANKD_GRPC_PORT for `rerankd-grpc`. Returns their names.
std::vector<std::string> pass_over_service_links();

// `what` is CLI11's message about an option: the same with the variable that the value came from, where it came from
// one.
std::string name_the_variable(const CLI::App& program, int argc, char** argv, std::string what);

// The words of the command line, in order: "help serve" is "serve --help", "version" "--version".
std::vector<std::string> command_words(int argc, char** argv);

// A line for each variable RERANKD_... that no setting has, with the one that was probably meant.
std::vector<std::string> unknown_variables(const CLI::App& program);

// "~" and "~user" at the beginning as a shell expands them, which no shell has done in a file or a compose.yaml.
std::string expand_user(const std::string& path);

// $NAME and ${NAME} as os.path.expandvars() has them: those that are not set stay.
std::string expand_variables(const std::string& path);

// Without blanks and line ends around it, as files and templates leave them.
std::string trimmed(const std::string& text);

}  // namespace rerank::cli
