// The whole program as a child process: `rerankd serve` on the built-in model, real sockets, real signals.
// RERANKD_PROGRAM names the binary.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/free_port.h"

namespace rerank {

// A running `rerankd serve`, on a free port unless the flags say otherwise.
class Program {
 public:
  // `prepare` runs in the child before the program does.
  explicit Program(const std::vector<std::string>& flags = {}, const std::function<void()>& prepare = {}) {
    int output[2];
    if (pipe(output) != 0) throw std::runtime_error("pipe");
    std::vector<std::string> words = {RERANKD_PROGRAM, "serve", "--port", "0"};
    if (std::find(flags.begin(), flags.end(), "--model") == flags.end()) {
      words.insert(words.end(), {"--model", RERANKD_SOURCE_DIR "/models/rerankd-mini-en"});
    }
    words.insert(words.end(), flags.begin(), flags.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    child_ = fork();
    if (child_ == 0) {
      dup2(output[1], STDOUT_FILENO);
      dup2(output[1], STDERR_FILENO);
      if (prepare) prepare();
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(output[1]);
    output_ = output[0];
    read_port();
  }

  ~Program() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(output_);
  }

  uint16_t port() const { return port_; }
  pid_t pid() const { return child_; }
  void terminate() const { kill(child_, SIGTERM); }

  // Its exit status; -1 if a signal ended it. The log is complete then.
  int wait() {
    while (read_more()) continue;
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // What it has written so far, as far as it has been read: up to the start, and after wait() all of it.
  const std::string& log() const { return log_; }

 private:
  bool read_more() {
    char bytes[4096];
    const ssize_t length = read(output_, bytes, sizeof(bytes));
    if (length > 0) log_.append(bytes, static_cast<size_t>(length));
    return length > 0;
  }

  void read_port() {
    for (;;) {
      const size_t line = log_.find("listening on http");
      const size_t at = line == std::string::npos ? line : log_.find("127.0.0.1:", line);
      if (at != std::string::npos && log_.find_first_not_of("0123456789", at + 10) != std::string::npos) {
        port_ = static_cast<uint16_t>(std::stoi(log_.substr(at + 10)));
        return;
      }
      if (!read_more()) throw std::runtime_error("the program does not listen; it said: " + log_);
    }
  }

  pid_t child_ = -1;
  int output_ = -1;
  uint16_t port_ = 0;
  std::string log_;
};

}  // namespace rerank
