// Llama 2 and 3 (2023, 2024), as transformers' modeling_llama.py.
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_decoder(config, {.rope_theta = 10000, .answers = {.positive = "yes", .negative = "no"}}, a);
}

TensorNames names(const Architecture& a, const TensorFiles&) { return decoder_names(a); }

constexpr std::string_view kArchitectures[] = {"LlamaForCausalLM", "LlamaForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"llama"};

}  // namespace

const Family kLlamaFamily = {"llama", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
