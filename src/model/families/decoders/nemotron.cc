// NVIDIA's llama-nemotron-rerank (2025), model type llama_bidirec: Llama without the causal mask, a linear head over
// the mean of all tokens (or the first, or the last), and a temperature that divides the logit.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_decoder(config, {.norm_epsilon = 1e-5}, a);
  for (Block& block : a.blocks) block.attention.mask = MaskKind::kFull;
  a.input.prompt = "llama-nemotron-rerank";
  const std::string pooling = config.text("pooling", "avg");
  if (pooling == "avg") {
    a.scoring.rows = ScoredRows::kMean;
  } else if (pooling == "cls") {
    a.scoring.rows = ScoredRows::kFirst;
  } else if (pooling != "last") {
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": pooling: ", pooling, " is not supported (avg, cls, last are)")));
  }
  const double temperature = config.number("temperature", 1);
  if (!(temperature > 0 && temperature < 1e6))
    config.fail(absl::InvalidArgumentError(config.json().origin() + ": temperature is not above 0"));
  a.scoring.scale = static_cast<float>(1 / temperature);
}

TensorNames names(const Architecture& a, const TensorFiles&) { return decoder_names(a); }

constexpr std::string_view kArchitectures[] = {"LlamaBidirectionalForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"llama_bidirec"};

}  // namespace

const Family kNemotronFamily = {"nemotron", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
