// Weights and vocabularies in the formats of other programs: GGUF, torch's files, SentencePiece's.
#include <filesystem>

#include "model/files/gguf_model.h"
#include "model/safetensors.h"
#include "targets/targets.h"
#include "text/files/gguf_tokenizer.h"
#include "text/files/sentencepiece_file.h"
#include "text/tokenizer.h"

namespace rerank::campaign {
namespace {

constexpr size_t kMostValues = 1u << 20;  // of a tensor that is read whole

void read_all(const model::TensorFiles& files) {
  for (const auto& [name, tensor] : files.tensors()) {
    if (tensor.elements() > kMostValues) continue;
    require(tensor.floats().size() == tensor.elements());
  }
  require(files.check().ok());
}

}  // namespace

// Tensors, what config.json would say, and the tokenizer.
void gguf(Input input) {
  const std::string path = file_with("model.gguf", input);
  const auto json = model::gguf_config_json(path);
  if (json.ok()) {
    auto config = model::parse_model_config(*json, "config.json");
    if (config.ok()) (void)model::find_gguf_answers(path, *config);
  }
  const auto tokenizer = text::gguf_tokenizer_json(path);
  if (tokenizer.ok()) (void)text::Tokenizer::from_json(*tokenizer, path);
  const auto files = model::TensorFiles::open_file(path);
  if (files.ok()) read_all(**files);
}

// pytorch_model.bin, of both forms.
void torch_file(Input input) {
  const auto files = model::TensorFiles::open_file(file_with("pytorch_model.bin", input));
  if (files.ok()) read_all(**files);
}

void sentencepiece(Input input) {
  const auto read = text::read_sentencepiece(input, "spm.model");
  if (read.ok()) require(read->pieces.size() <= text::kMaxPieces);
}

}  // namespace rerank::campaign
