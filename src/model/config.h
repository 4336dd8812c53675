// config.json of a Hugging Face model folder -> the knobs that tell encoders apart. A family is a row in config.cc.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "rerank/status.h"
#include "rerank/truncation.h"

namespace rerank {

// kRoberta: also XLM-RoBERTa and CamemBERT. kOther: any that only an exported graph computes.
enum class Family { kBert, kRoberta, kDistilBert, kElectra, kOther };

enum class Activation { kGelu, kGeluTanh, kRelu, kSilu, kTanh };

// What decides the weights of attention besides the products of queries and keys. No family that is read today has any
// of it; the cpu, reference and cuda engines compute it for those to come.
struct AttentionPattern {
  size_t window = 0;     // a token sees those at most so many positions away; 0: all
  bool alibi = false;    // scores lose with distance, by head
  float rope_theta = 0;  // queries and keys are turned by position; 0: not
};

// How the model's makers would have it served where the operator does not say: config.json's object "rerankd", which
// other libraries pass over: {"max_length": 256, "truncation": "query-aware"}, both optional.
struct ServingDefaults {
  size_t max_length = 0;  // tokens per pair; 0: the model's limit
  Truncation truncation = Truncation::kHead;
};

struct ModelConfig {
  std::string architecture;  // as in config.json, e.g. "BertForSequenceClassification"
  std::string model_type;    // as in config.json, e.g. "bert"
  Family family = Family::kBert;

  size_t layers = 0;
  size_t hidden = 0;
  size_t heads = 0;
  size_t intermediate = 0;
  size_t vocabulary = 0;
  size_t position_rows = 0;    // rows of the position table
  int32_t pad_id = 0;          // token id of padding
  size_t position_offset = 0;  // the first token's row: 0, or padding_idx + 1 for the RoBERTa family
  size_t segment_rows = 0;     // rows of the token-type table; 0: there is none
  size_t embedding = 0;        // width of the tables; differs from `hidden` in small ELECTRAs, which project
  float layer_norm_epsilon = 1e-12f;
  Activation activation = Activation::kGelu;       // of the feed-forward part
  Activation head_activation = Activation::kTanh;  // between the head's two linear layers
  size_t labels = 1;                               // 1: the logit is z0; 2: the logit is z1 - z0
  std::string label = "LABEL_0";
  ServingDefaults serving;
  std::vector<AttentionPattern> attention;  // of each layer; empty: nothing besides

  size_t head_size() const { return hidden / heads; }
  AttentionPattern pattern(size_t layer) const { return attention.empty() ? AttentionPattern{} : attention[layer]; }
  // Longest sequence the position table serves.
  size_t max_length() const { return position_rows - position_offset; }
  // Longest pair that is scored where the operator does not say.
  size_t served_length() const { return serving.max_length != 0 ? serving.max_length : max_length(); }
};

// Reads and checks `folder`/config.json. Unimplemented for an architecture or setting we do not have, naming both it
// and what we do have; InvalidArgument for a broken file.
Result<ModelConfig> read_model_config(const std::string& folder);
Result<ModelConfig> parse_model_config(std::string json, std::string origin);

// The same for a folder with an exported graph, which needs no more than sizes of vocabulary, positions and labels: an
// architecture that we do not have is Family::kOther, with 0 where config.json says nothing.
Result<ModelConfig> read_graph_config(const std::string& folder);

const char* activation_name(Activation activation);

}  // namespace rerank
