// Qwen3 (2025), as transformers' modeling_qwen3.py: a decoder with RMS norms of each head's queries and keys.
// And its form with experts. Qwen3-Reranker answers "yes" or "no"; copies of it carry the difference of the two as
// `score.weight`.
#include <algorithm>

#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

using Object = simdjson::dom::object;

bool names_zerank(const JsonFile& json) {
  Object classes;
  if (json.root()["auto_map"].get(classes)) return false;
  return std::ranges::any_of(classes, [](const auto& field) {
    std::string_view code;
    return !field.value.get(code) && code.find("zerank") != code.npos;
  });
}

void read(ConfigReader& config, Architecture& a) {
  read_decoder(config, {.rope_theta = 1e6, .answers = {.positive = "yes", .negative = "no"}}, a);
  config.refuse_if("use_sliding_window", "sliding windows of Qwen3 are not supported");
  for (Block& block : a.blocks) block.attention.query_key_norm = true;
  a.input.prompt = "qwen3-reranker";
  a.input.advised_length = 8192;
  // ZeroEntropy's rerankers come with code of their own, and are scored by the logit of "Yes" alone.
  if (!names_zerank(config.json()) || !a.scoring.answers) return;
  a.scoring.answers = Answers{.positive = "Yes"};
  a.input.prompt = "zerank-2";
}

TensorNames names(const Architecture& a, const TensorFiles&) { return decoder_names(a); }

// modeling_qwen3_moe.py: blocks whose feed-forward is one of experts. num_experts of them, of which a token goes
// through num_experts_per_tok.
void read_moe(ConfigReader& config, Architecture& a) {
  read(config, a);
  // transformers 5 writes num_local_experts.
  const char* field = config.json().at("num_experts").is_null() ? "num_local_experts" : "num_experts";
  const size_t count = config.size(field, 4096, 128), chosen = config.size("num_experts_per_tok", 4096, 8);
  const size_t width = config.size("moe_intermediate_size", kMaxWidth * 4, 768);
  simdjson::dom::array dense;
  const bool some_dense = config.json().root()["mlp_only_layers"].get(dense) == simdjson::SUCCESS && dense.size() > 0;
  if (some_dense || config.size("decoder_sparse_step", kMaxLayers, 1) != 1) {
    config.fail(absl::UnimplementedError(config.json().origin() +
                                         ": mlp_only_layers, or a decoder_sparse_step that is not 1: blocks without "
                                         "experts among others are not supported"));
  }
  if (chosen > count) {
    config.fail(absl::InvalidArgumentError(
        str_cat(config.json().origin(), ": num_experts_per_tok ", chosen, " is above num_experts ", count)));
  }
  const bool normalized = config.boolean("norm_topk_prob", false);
  for (Block& block : a.blocks) {
    block.feed_forward.width = width;
    block.feed_forward.experts = Experts{count, chosen, normalized};
  }
}

TensorNames names_moe(const Architecture& a, const TensorFiles&) {
  TensorNames names = decoder_names(a);
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string mlp = str_cat("model.layers.", i, ".mlp.");
    names.layers[i].router = {mlp + "gate"};
    names.layers[i].experts = [mlp](size_t expert) {
      const std::string own = str_cat(mlp, "experts.", expert, ".");
      return ExpertNames{{own + "gate_proj"}, {own + "up_proj"}, {own + "down_proj"}};
    };
  }
  return names;
}

constexpr std::string_view kArchitectures[] = {"Qwen3ForCausalLM", "Qwen3ForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"qwen3"};
constexpr std::string_view kMoe[] = {"Qwen3MoeForCausalLM", "Qwen3MoeForSequenceClassification"};
constexpr std::string_view kMoeTypes[] = {"qwen3_moe"};

}  // namespace

const Family kQwen3Family = {"qwen3", kArchitectures, kModelTypes, "num_hidden_layers", read, names};
const Family kQwen3MoeFamily = {"qwen3-moe", kMoe, kMoeTypes, "num_hidden_layers", read_moe, names_moe};

}  // namespace rerank::model
