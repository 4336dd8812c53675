// EuroBERT (2025), as transformers' modeling_eurobert.py: an encoder of Llama's blocks without the causal mask, and a
// head of dense, GELU, linear over the first token, the mean of all, or ("late") each, and then the mean of their
// logits.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

void read(ConfigReader& config, Architecture& a) {
  read_decoder(config, {.norm_epsilon = 1e-5}, a);
  a.input.kind = InputTemplate::Kind::kPair;
  for (Block& block : a.blocks) block.attention.mask = MaskKind::kFull;
  a.scoring = {.activation = Activation::kGelu};
  const std::string pooling = config.text("classifier_pooling", "late");
  if (pooling == "late") {
    a.scoring.rows = ScoredRows::kMeanOfLogits;
  } else if (pooling == "mean") {
    a.scoring.rows = ScoredRows::kMean;
  } else if (pooling != "bos") {
    config.fail(absl::UnimplementedError(
        str_cat(config.json().origin(), ": classifier_pooling: ", pooling, " is not supported (bos, mean, late are)")));
  }
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = decoder_names(a);
  names.head_dense = {"dense"};
  names.head_output = {"classifier"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"EuroBertForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"eurobert"};

}  // namespace

const Family kEuroBertFamily = {"eurobert", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
