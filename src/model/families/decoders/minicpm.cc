// MiniCPM (2024) as BAAI's bge-reranker-v2-minicpm-layerwise has it: Llama's blocks, with a scale of the embedding and
// one of what each block adds; and after each block from `start_layer` on an output of its own, which the last token's
// row goes through after the final norm. `layers` of a request chooses; scores of two outputs are not comparable.
#include <cmath>

#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

float positive(ConfigReader& config, const char* field) {
  const double value = config.number(field, 1);
  if (!(value > 0 && value < 1e6))
    config.fail(absl::InvalidArgumentError(str_cat(config.json().origin(), ": ", field, " is not above 0")));
  return static_cast<float>(value);
}

void read(ConfigReader& config, Architecture& a) {
  read_decoder(config, {}, a);
  a.scoring.answers.reset();
  a.scoring.labels = 1;
  a.embedding.scale = positive(config, "scale_emb");
  const float depth = positive(config, "scale_depth") / std::sqrt(static_cast<float>(a.layers()));
  for (Block& block : a.blocks) block.sum_scale = depth;
  config.require("head_type", "simple");
  if (!config.boolean("head_multi", true)) {
    config.fail(absl::UnimplementedError(config.json().origin() +
                                         ": head_multi: false is not supported: one head for all layers"));
  }
  a.scoring.first_output = config.size("start_layer", kMaxLayers, 8);
  if (a.scoring.first_output > a.layers())
    config.fail(absl::InvalidArgumentError(config.json().origin() + ": start_layer is above num_hidden_layers"));
  a.input.prompt = "bge-reranker-minicpm";
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = decoder_names(a);
  const size_t first = a.scoring.first_output;
  names.outputs = [first](size_t layer) { return str_cat("lm_head.", layer - first, ".linear_head"); };
  names.head_output = {names.outputs(a.layers())};
  return names;
}

constexpr std::string_view kArchitectures[] = {"LayerWiseMiniCPMForCausalLM"};

}  // namespace

const Family kMiniCpmFamily = {"minicpm", kArchitectures, {}, "num_hidden_layers", read, names};

}  // namespace rerank::model
