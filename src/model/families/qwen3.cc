// Qwen3 (2025), as transformers' modeling_qwen3.py: a decoder with RMS norms of each head's queries and keys.
// Qwen3-Reranker answers "yes" or "no"; copies of it carry the difference of the two as `score.weight`.
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_decoder(config, {.rope_theta = 1e6, .answers = {.positive = "yes", .negative = "no"}}, a);
  config.refuse_if("use_sliding_window", "sliding windows of Qwen3 are not supported");
  for (Block& block : a.blocks) block.attention.query_key_norm = true;
  a.input.prompt = "qwen3-reranker";
  a.input.advised_length = 8192;
}

TensorNames names(const Architecture& a, const TensorFiles&) { return decoder_names(a); }

constexpr std::string_view kArchitectures[] = {"Qwen3ForCausalLM", "Qwen3ForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"qwen3"};

}  // namespace

const Family kQwen3Family = {"qwen3", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
