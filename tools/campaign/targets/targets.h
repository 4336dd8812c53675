// The parsers of untrusted bytes, each as a function of some bytes that must return, whatever they are: libFuzzer calls
// it (entry.cc), and the replay of the corpora that runs with the tests (replay.cc). A target aborts where a parser
// breaks a promise that sanitizers do not see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

namespace rerank::campaign {

using Input = std::string_view;

void http_request(Input input);
void http_body(Input input);
void dialect(Input input);
void grpc_message(Input input);
void safetensors(Input input);
void gguf(Input input);
void torch_file(Input input);
void sentencepiece(Input input);
void config(Input input);
void tokenizer(Input input);
void chat_template(Input input);
void onnx_graph(Input input);
void collection(Input input);
void redis_reply(Input input);
void exits(Input input);
void engine_file(Input input);

// A promise that was broken ends the program, as a sanitizer's finding does.
inline void require(bool kept) {
  if (!kept) std::abort();
}

// Takes bytes off the front of an input.
class Reader {
 public:
  explicit Reader(Input input) : rest_(input) {}
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto first = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return first;
  }
  // Up to the next zero byte, which is taken too.
  std::string_view part() {
    const size_t end = rest_.find('\0');
    const std::string_view found = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return found;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// The path of a file with these bytes, in memory. The next call with this `name` writes it anew.
std::string file_with(const std::string& name, std::string_view bytes);
// The folder of these files.
std::string files_folder();

}  // namespace rerank::campaign
