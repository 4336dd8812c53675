// Qwen2 and 2.5 (2024), as transformers' modeling_qwen2.py: a decoder whose queries, keys and values have biases.
// mxbai-rerank-v2 is of it and answers "1" or "0".
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_decoder(config, {.rope_theta = 10000, .answers = {.positive = "1", .negative = "0"}}, a);
  config.refuse_if("use_sliding_window", "sliding windows of Qwen2 are not supported");
  for (Block& block : a.blocks) block.attention.bias = true;
  a.input.prompt = "mxbai-rerank-v2";
  a.input.advised_length = 8192;
}

TensorNames names(const Architecture& a, const TensorFiles&) { return decoder_names(a); }

constexpr std::string_view kArchitectures[] = {"Qwen2ForCausalLM", "Qwen2ForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"qwen2"};

}  // namespace

const Family kQwen2Family = {"qwen2", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
