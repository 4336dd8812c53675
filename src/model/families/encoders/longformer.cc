// Longformer (Beltagy et al. 2020), as transformers' modeling_longformer.py: RoBERTa whose tokens see a window and the
// first token, which sees all through projections of its own.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

// attention_window: the whole of each block's window, or one for all; even.
void read_windows(ConfigReader& config, Architecture& a) {
  simdjson::dom::array list;
  const bool each = config.json().root()["attention_window"].get(list) == simdjson::SUCCESS;
  if (each && list.size() != a.layers()) {
    return config.fail(absl::InvalidArgumentError(str_cat(config.json().origin(), ": attention_window has ",
                                                          list.size(), " entries for ", a.layers(), " layers")));
  }
  const size_t all = each ? 0 : config.size("attention_window", kMaxRows, 512);
  for (size_t i = 0; i < a.layers(); ++i) {
    uint64_t window = all;
    if (each && list.at(i).get(window)) window = 0;
    if (window == 0 || window % 2 != 0 || window > kMaxRows) {
      return config.fail(absl::InvalidArgumentError(
          str_cat(config.json().origin(), ": attention_window of layer ", i, " is not even, or none")));
    }
    a.blocks[i].attention.mask = MaskKind::kWindowAndFirst;
    a.blocks[i].attention.window = window / 2;
  }
}

void read(ConfigReader& config, Architecture& a) {
  read_encoder(config, {}, a);
  read_position_table(config, true, a);
  read_segment_table(config, a);
  a.norm_epsilon = config.epsilon("layer_norm_eps", 1e-12);
  read_windows(config, a);
  a.scoring.activation = Activation::kTanh;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = bert_encoder_names(a, "longformer");
  for (size_t i = 0; i < a.layers(); ++i) {
    const std::string self = str_cat("longformer.encoder.layer.", i, ".attention.self.");
    names.layers[i].global_query = {self + "query_global"};
    names.layers[i].global_key = {self + "key_global"};
    names.layers[i].global_value = {self + "value_global"};
  }
  names.head_dense = {"classifier.dense"};
  names.head_output = {"classifier.out_proj"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"LongformerForSequenceClassification"};
constexpr std::string_view kModelTypes[] = {"longformer"};

}  // namespace

const Family kLongformerFamily = {"longformer", kArchitectures, kModelTypes, "num_hidden_layers", read, names};

}  // namespace rerank::model
