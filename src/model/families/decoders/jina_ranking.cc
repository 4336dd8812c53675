// jina-reranker-v3 and v3.5 (Wang et al. 2025), as the modeling.py that comes with them: Qwen3 over one sequence that
// holds the query and many documents. After each stands a token of its own, whose last state becomes a vector through
// two linear layers; a document's score is the cosine of its vector and the query's.
#include "base/strings.h"
#include "model/families/family.h"

namespace rerank::model {
namespace {

// v3.5: some blocks see the last sliding_window tokens only.
void read_windows(ConfigReader& config, Architecture& a) {
  if (!config.boolean("use_sliding_window", false)) return;
  const std::string& origin = config.json().origin();
  const size_t window = config.size("sliding_window", kMaxRows);
  simdjson::dom::array types;
  if (config.json().root()["layer_types"].get(types) || types.size() != a.layers()) {
    return config.fail(absl::UnimplementedError(
        str_cat(origin, ": use_sliding_window without layer_types, a list of ", a.layers(), " names")));
  }
  size_t layer = 0;
  for (const simdjson::dom::element type : types) {
    std::string_view name;
    if (type.get(name) || (name != "full_attention" && name != "sliding_attention"))
      return config.fail(absl::UnimplementedError(
          str_cat(origin, ": layer_types[", layer, "] is neither full_attention nor sliding_attention")));
    a.blocks[layer++].attention.window = name == "sliding_attention" ? window : 0;
  }
}

void read(ConfigReader& config, Architecture& a) {
  read_decoder(config, {.rope_theta = 1e6}, a);
  for (Block& block : a.blocks) block.attention.query_key_norm = true;
  read_windows(config, a);
  Scoring& scoring = a.scoring;
  scoring.rows = ScoredRows::kMarked;
  scoring.marks = Marks{.document = "<|embed_token|>", .query = "<|rerank_token|>"};
  scoring.dense = true;
  scoring.dense_bias = scoring.output_bias = false;
  scoring.activation = Activation::kRelu;
  a.input.kind = InputTemplate::Kind::kList;
  a.input.prompt = "jina-reranker-v3";
  // Its makers fill 131072 tokens: 5 GB of activations, and minutes on a CPU, for what one request can ask for.
  a.input.advised_length = 32768;
}

TensorNames names(const Architecture& a, const TensorFiles&) {
  TensorNames names = decoder_names(a);
  names.head_dense = {"projector.0"};
  names.head_output = {"projector.2"};
  return names;
}

constexpr std::string_view kArchitectures[] = {"JinaForRanking"};

}  // namespace

const Family kJinaRankingFamily = {"jina-reranker-v3", kArchitectures, {}, "num_hidden_layers", read, names};

}  // namespace rerank::model
