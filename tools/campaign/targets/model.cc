// What a model folder holds.
#include <algorithm>
#include <numeric>

#include "base/strings.h"
#include "model/config.h"
#include "model/exits.h"
#include "model/graph_file.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "targets/targets.h"
#include "text/chat/chat_template.h"
#include "text/chat/jinja.h"
#include "text/tokenizer.h"

namespace rerank::campaign {

void safetensors(Input input) {
  static const model::ModelConfig small = *model::parse_model_config(
      R"({"architectures":["BertForSequenceClassification"],"model_type":"bert","hidden_size":4,"num_hidden_layers":1,
          "num_attention_heads":2,"intermediate_size":4,"vocab_size":2,"max_position_embeddings":16,"type_vocab_size":2,
          "hidden_act":"gelu","num_labels":1})",
      "config.json");
  const auto files = model::TensorFiles::open_file(file_with("model.safetensors", input));
  if (!files.ok()) return;
  (void)model::bind_weights(small, *files);
  for (const auto& [name, tensor] : (*files)->tensors()) {
    const bool scaled = tensor.dtype == model::DType::kI8 || tensor.dtype == model::DType::kI4;  // read with scales
    if (scaled || tensor.elements() > (1u << 20)) continue;
    const auto values = tensor.floats();
    require(values.size() == tensor.elements());
  }
  (void)(*files)->digest();
  require((*files)->check().ok());
}

void config(Input input) {
  const auto read = model::parse_model_config(std::string(input), "config.json");
  if (!read.ok()) require(!message_of(read.status()).empty());
}

// A tokenizer.json, a zero byte, texts.
void tokenizer(Input input) {
  Reader reader(input);
  const auto made = text::Tokenizer::from_json(reader.part(), "tokenizer.json");
  if (!made.ok()) return;
  const text::Tokenizer& tokenizer = **made;
  for (int i = 0; i < 4 && !reader.rest().empty(); ++i) {
    const std::string_view text = reader.part();
    std::vector<int32_t> ids, again;
    tokenizer.encode(text, ids);
    const auto spans = tokenizer.encode_spans(text, again);
    require(ids == again && spans.size() == ids.size());
    for (const int32_t id : ids) require(id >= 0 && static_cast<size_t>(id) < tokenizer.vocab_size());
    (void)tokenizer.decode(ids, i % 2 == 0);
    (void)text::join_pair(tokenizer.pair_template(), ids, again, {.max_length = 32});
  }
}

// A byte of settings, and a Jinja template.
void chat_template(Input input) {
  Reader reader(input);
  const uint8_t settings = reader.byte();
  const auto prompt = text::prompt_of_chat(
      "t", reader.rest(), {.add_generation_prompt = settings % 2 == 1, .bos_token = "<s>", .eos_token = "</s>"});
  require(prompt.ok() ? prompt->text.size() <= text::kMaxTemplateBytes + 64 : !message_of(prompt.status()).empty());
}

void onnx_graph(Input input) {
  const auto graph = model::read_graph_file(file_with("model.onnx", input), /*whole=*/false);
  if (!graph.ok()) return;
  for (const std::string& path : graph->external) require(path.starts_with(files_folder()));
}

void exits(Input input) {
  static const model::Model fitted = [] {
    model::Model made;
    made.config.architecture.hidden = 4;
    made.config.architecture.blocks.resize(3);
    return made;
  }();
  std::string text(input);
  // So that not every input ends at the digest.
  const std::string digest = model::weights_digest(fitted);
  if (const size_t at = text.find("DIGEST"); at != std::string::npos) text.replace(at, 6, digest);
  const auto read = model::read_exits(file_with("exits.json", text), fitted);
  if (!read.ok()) return;
  require(read->heads.size() + 1 == fitted.config.architecture.layers());
  const std::vector<float> pooled(model::exit_width(fitted.config.architecture), 1.0f);
  for (const model::ExitHead& head : read->heads) {
    require(head.weights.size() == pooled.size());
    (void)head.apply(pooled.data());
  }
}

}  // namespace rerank::campaign
