// A family of models: how its config.json reads as an architecture, and under which names its tensors lie. One file
// each in this folder; families.cc lists them. Adding one is a file and a line there.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/architecture.h"
#include "model/families/config_reader.h"
#include "model/safetensors.h"

namespace rerank::model {

// Where a linear layer's weight and bias are: `name`.weight and `name`.bias, or the rows from first_row on of a tensor
// that holds several layers' rows, `rows` in all.
struct TensorSource {
  std::string name;
  size_t first_row = 0;
  size_t rows = 0;  // of the whole tensor; 0: it is this layer's alone
  // `name` is the weight's whole name, and its rows, of which these are the layer's, are inputs or outputs.
  enum class Rows { kOutputs, kBareOutputs, kBareInputs } kind = Rows::kOutputs;
};

struct ExpertNames {
  TensorSource gate, up, down;
};

struct LayerNames {
  TensorSource query, key, value, attention_output;
  std::string query_norm, key_norm;
  std::string attention_norm;
  TensorSource gate, up, down;  // gate: of gated feed-forwards
  std::string output_norm;
  TensorSource position_key, position_query;        // of disentangled attention with projections of its own
  std::string attention_sum_norm, output_sum_norm;  // of what is added to the stream
  TensorSource router;
  std::function<ExpertNames(size_t expert)> experts;
  std::string experts_bias;                             // whole name
  TensorSource global_query, global_key, global_value;  // of a window with a global first token
};

// Tensors that the architecture does not have are not looked up: their names may be empty.
struct TensorNames {
  std::string words, positions, segments;  // whole names of tables
  std::string embedding_norm;              // of norms: `name`.weight and `name`.bias
  TensorSource embedding_projection;
  std::string relative, relative_norm;  // the table of relative positions, whole name, and its norm
  TensorSource convolution;
  std::string convolution_norm;
  std::vector<LayerNames> layers;
  std::string final_norm;
  TensorSource head_dense;
  std::string head_norm;
  TensorSource head_output;  // of answers: the vocabulary's matrix; the words' own where the files lack it
  std::function<std::string(size_t layer)> outputs;  // of scoring.first_output: the one after block number `layer`
};

struct Family {
  const char* name;
  std::span<const std::string_view> architectures;  // config.json's `architectures`
  std::span<const std::string_view> model_types;    // and `model_type`
  const char* layers_field;                         // of config.json: the number of layers
  // The first thing that is wrong stays in the reader's status.
  void (*read)(ConfigReader& config, Architecture& architecture);
  // Models of one family may have their tensors under several names: the files tell which.
  TensorNames (*names)(const Architecture& architecture, const TensorFiles& files);
  // Where neither name above tells; null: they do.
  bool (*recognize)(const JsonFile& json) = nullptr;
};

// All that there are.
std::span<const Family* const> families();

// The family that recognizes the file by another field than the names; null: none.
const Family* recognized_family(const JsonFile& json);
// The family of an architecture's or a model type's name; null: none.
const Family* family_of_architecture(std::string_view architecture);
const Family* family_of_model_type(std::string_view model_type);

// What BERT's descendants share: sizes, tables, post-norm blocks of one kind, a head of two linear layers on the first
// token.
struct EncoderFields {
  const char* hidden = "hidden_size";
  const char* layers = "num_hidden_layers";
  const char* heads = "num_attention_heads";
  const char* intermediate = "intermediate_size";
  const char* activation = "hidden_act";
  const char* activation_fallback = "gelu";
};
void read_encoder(ConfigReader& config, const EncoderFields& fields, Architecture& architecture);
// The table of positions; `after_padding`: the first token's row is pad_token_id + 1.
void read_position_table(ConfigReader& config, bool after_padding, Architecture& architecture);
void read_segment_table(ConfigReader& config, Architecture& architecture);
// Names of the encoder as BertModel has them.
TensorNames bert_encoder_names(const Architecture& architecture, std::string_view prefix);

// What decoders share (families/decoders/decoder.cc): pre-norm blocks with RMS norms, causal attention of grouped
// heads, rotary positions, gated feed-forwards, and by the name of the architecture a head: answers, or `score.weight`.
struct DecoderFields {
  double norm_epsilon = 1e-6, rope_theta = 10000;
  const char* activation = "hidden_act";
  Answers answers;  // of ...ForCausalLM
};
void read_decoder(ConfigReader& config, const DecoderFields& fields, Architecture& architecture);
TensorNames decoder_names(const Architecture& architecture);
// `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`: default, linear, llama3.
Rope read_rope(ConfigReader& config, double theta);

extern const Family kBertFamily, kRobertaFamily, kDistilBertFamily, kElectraFamily, kGteFamily, kJinaBertFamily,
    kModernBertFamily, kQwen3Family, kQwen2Family, kLlamaFamily, kGemmaFamily, kGemma2Family, kEuroBertFamily,
    kNemotronFamily, kDebertaFamily, kMpnetFamily, kAlbertFamily, kBigBirdFamily, kLongformerFamily, kNomicFamily,
    kNomicOwnFamily, kMiniCpmFamily, kQwen3MoeFamily, kJinaRankingFamily;

}  // namespace rerank::model
