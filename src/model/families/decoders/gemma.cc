// Gemma (2024) and Gemma 2, as transformers' modeling_gemma.py and modeling_gemma2.py: norms multiply with 1 + gamma,
// rows of words with the root of their width, feed-forwards are gated by GELU. Gemma 2 caps scores and logits, norms
// what its blocks add, and lets every other block see a window only. BAAI's rerankers of both answer "Yes".
#include <cmath>

#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

// hidden_activation, or the older hidden_act, in which "gelu" means its tanh form too.
void read_activation(ConfigReader& config, Architecture& a) {
  const std::string name = config.text("hidden_activation", config.text("hidden_act", "gelu_pytorch_tanh"));
  if (name != "gelu" && name != "gelu_pytorch_tanh") {
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": hidden_activation: ", name, " is not supported (gelu_pytorch_tanh is)")));
  }
  for (Block& block : a.blocks) block.feed_forward.activation = Activation::kGeluTanh;
}

void read_gemma(ConfigReader& config, Architecture& a) {
  read_decoder(config, {.answers = {.positive = "Yes"}}, a);
  a.input.prompt = "bge-reranker-gemma";
  read_activation(config, a);
  a.norm_addend = 1;
  a.embedding.scale = std::sqrt(static_cast<float>(a.hidden));
}

// layer_types; before transformers 5 the even blocks see a window.
bool sees_window(ConfigReader& config, size_t layer) {
  simdjson::dom::array types;
  if (config.json().root()["layer_types"].get(types)) return layer % 2 == 0;
  std::string_view type;
  if (types.at(layer).get(type) || (type != "full_attention" && type != "sliding_attention")) {
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": layer_types[", layer, "] is neither full_attention nor sliding_attention")));
  }
  return type == "sliding_attention";
}

float read_cap(ConfigReader& config, const char* field, double fallback) {
  if (!config.json().at(field).missing() && config.json().at(field).is_null()) return 0;
  const double cap = config.number(field, fallback);
  if (!(cap > 0 && cap < 1e6))
    config.fail(absl::InvalidArgumentError(str_cat(config.json().origin(), ": ", field, " is not above 0")));
  return static_cast<float>(cap);
}

void read_gemma2(ConfigReader& config, Architecture& a) {
  read_gemma(config, a);
  const size_t window = config.size("sliding_window", kMaxRows, 4096);
  const float cap = read_cap(config, "attn_logit_softcapping", 50);
  const double scalar = config.number("query_pre_attn_scalar", 256);
  if (!(scalar > 0))
    config.fail(absl::InvalidArgumentError(config.json().origin() + ": query_pre_attn_scalar is not above 0"));
  for (size_t i = 0; i < a.layers(); ++i) {
    Block& block = a.blocks[i];
    block.sum_norms = true;
    block.attention.score_scale = static_cast<float>(1 / std::sqrt(scalar));
    block.attention.softcap = cap;
    block.attention.window = sees_window(config, i) ? window : 0;
  }
  if (a.scoring.answers) a.scoring.softcap = read_cap(config, "final_logit_softcapping", 30);
}

TensorNames names(const Architecture& a, const TensorFiles&) { return decoder_names(a); }

constexpr std::string_view kGemma[] = {"GemmaForCausalLM", "GemmaForSequenceClassification"};
constexpr std::string_view kGemma2[] = {"Gemma2ForCausalLM", "Gemma2ForSequenceClassification"};
constexpr std::string_view kGemmaTypes[] = {"gemma"}, kGemma2Types[] = {"gemma2"};

}  // namespace

const Family kGemmaFamily = {"gemma", kGemma, kGemmaTypes, "num_hidden_layers", read_gemma, names};
const Family kGemma2Family = {"gemma2", kGemma2, kGemma2Types, "num_hidden_layers", read_gemma2, names};

}  // namespace rerank::model
