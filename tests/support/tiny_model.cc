#include "support/tiny_model.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/half.h"

namespace rerank::testing {
namespace {

class Maker {
 public:
  explicit Maker(const TinyModelSpec& spec) : spec_(spec), random_(spec.seed) {}

  void table(const std::string& name, size_t rows, size_t columns) { add(name, {rows, columns}, 0.5f, 0); }
  void linear(const std::string& name, size_t out, size_t in) {
    add(name + ".weight", {out, in}, 1.2f / std::sqrt(static_cast<float>(in)), 0);
    add(name + ".bias", {out}, 0.1f, 0);
  }
  void norm(const std::string& name, size_t width) {
    add(name + ".weight", {width}, 0.1f, 1);
    add(name + ".bias", {width}, 0.1f, 0);
  }
  std::vector<NamedTensor> take() { return std::move(tensors_); }

 private:
  void add(const std::string& name, std::vector<size_t> shape, float deviation, float mean) {
    size_t n = 1;
    for (size_t d : shape) n *= d;
    std::normal_distribution<float> normal(mean, deviation);
    NamedTensor t{name, std::move(shape), std::vector<float>(n)};
    for (float& v : t.values) v = normal(random_);
    tensors_.push_back(std::move(t));
  }
  const TinyModelSpec& spec_;
  std::mt19937_64 random_;
  std::vector<NamedTensor> tensors_;
};

std::string prefix_of(const std::string& architecture) {
  if (architecture.starts_with("Bert")) return "bert";
  if (architecture.starts_with("DistilBert")) return "distilbert";
  if (architecture.starts_with("Electra")) return "electra";
  return "roberta";
}

void make_bert_body(const TinyModelSpec& s, Maker& make) {
  const std::string p = prefix_of(s.architecture);
  const size_t width = s.embedding ? s.embedding : s.hidden;
  make.table(p + ".embeddings.word_embeddings.weight", s.vocabulary, width);
  make.table(p + ".embeddings.position_embeddings.weight", s.positions, width);
  make.table(p + ".embeddings.token_type_embeddings.weight", s.segments, width);
  make.norm(p + ".embeddings.LayerNorm", width);
  if (width != s.hidden) make.linear(p + ".embeddings_project", s.hidden, width);
  for (size_t i = 0; i < s.layers; ++i) {
    const std::string l = absl::StrCat(p, ".encoder.layer.", i);
    for (const char* part : {"query", "key", "value"}) make.linear(l + ".attention.self." + part, s.hidden, s.hidden);
    make.linear(l + ".attention.output.dense", s.hidden, s.hidden);
    make.norm(l + ".attention.output.LayerNorm", s.hidden);
    make.linear(l + ".intermediate.dense", s.intermediate, s.hidden);
    make.linear(l + ".output.dense", s.hidden, s.intermediate);
    make.norm(l + ".output.LayerNorm", s.hidden);
  }
  if (p == "bert") {
    make.linear("bert.pooler.dense", s.hidden, s.hidden);
    make.linear("classifier", s.labels, s.hidden);
  } else {
    make.linear("classifier.dense", s.hidden, s.hidden);
    make.linear("classifier.out_proj", s.labels, s.hidden);
  }
}

void make_distilbert(const TinyModelSpec& s, Maker& make) {
  make.table("distilbert.embeddings.word_embeddings.weight", s.vocabulary, s.hidden);
  make.table("distilbert.embeddings.position_embeddings.weight", s.positions, s.hidden);
  make.norm("distilbert.embeddings.LayerNorm", s.hidden);
  for (size_t i = 0; i < s.layers; ++i) {
    const std::string l = absl::StrCat("distilbert.transformer.layer.", i);
    for (const char* part : {"q_lin", "k_lin", "v_lin", "out_lin"})
      make.linear(l + ".attention." + part, s.hidden, s.hidden);
    make.norm(l + ".sa_layer_norm", s.hidden);
    make.linear(l + ".ffn.lin1", s.intermediate, s.hidden);
    make.linear(l + ".ffn.lin2", s.hidden, s.intermediate);
    make.norm(l + ".output_layer_norm", s.hidden);
  }
  make.linear("pre_classifier", s.hidden, s.hidden);
  make.linear("classifier", s.labels, s.hidden);
}

void append_value(std::string& bytes, float value, model::DType dtype) {
  if (dtype == model::DType::kF32) {
    bytes.append(reinterpret_cast<const char*>(&value), 4);
    return;
  }
  uint16_t half;
  if (dtype == model::DType::kBF16) {
    half = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
  } else {
    half = to_half(value);
  }
  bytes.append(reinterpret_cast<const char*>(&half), 2);
}

}  // namespace

std::vector<NamedTensor> make_tensors(const TinyModelSpec& spec) {
  Maker make(spec);
  spec.architecture.starts_with("DistilBert") ? make_distilbert(spec, make) : make_bert_body(spec, make);
  return make.take();
}

std::string make_config_json(const TinyModelSpec& s) {
  const bool distil = s.architecture.starts_with("DistilBert");
  std::string json = absl::StrCat("{\"architectures\":[\"", s.architecture, "\"],\"vocab_size\":", s.vocabulary,
                                  ",\"max_position_embeddings\":", s.positions);
  if (distil) {
    absl::StrAppend(&json, ",\"dim\":", s.hidden, ",\"n_layers\":", s.layers, ",\"n_heads\":", s.heads,
                    ",\"hidden_dim\":", s.intermediate, ",\"activation\":\"", s.activation, "\"");
  } else {
    absl::StrAppend(&json, ",\"hidden_size\":", s.hidden, ",\"num_hidden_layers\":", s.layers,
                    ",\"num_attention_heads\":", s.heads, ",\"intermediate_size\":", s.intermediate,
                    ",\"type_vocab_size\":", s.segments, ",\"hidden_act\":\"", s.activation,
                    "\",\"layer_norm_eps\":1e-5");
    if (s.embedding) absl::StrAppend(&json, ",\"embedding_size\":", s.embedding);
  }
  std::vector<std::string> labels;
  for (size_t i = 0; i < s.labels; ++i) labels.push_back(absl::StrCat("\"", i, "\":\"LABEL_", i, "\""));
  absl::StrAppend(&json, ",\"pad_token_id\":1,\"id2label\":{", absl::StrJoin(labels, ","), "}}");
  return json;
}

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors, model::DType dtype) {
  std::string header = "{", bytes;
  for (const auto& t : tensors) {
    const size_t begin = bytes.size();
    for (float v : t.values) append_value(bytes, v, dtype);
    absl::StrAppend(&header, header.size() > 1 ? "," : "", "\"", t.name, "\":{\"dtype\":\"", model::dtype_name(dtype),
                    "\",\"shape\":[", absl::StrJoin(t.shape, ","), "],\"data_offsets\":[", begin, ",", bytes.size(),
                    "]}");
  }
  header += "}";
  const uint64_t size = header.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), 8);
  file << header << bytes;
}

std::string write_tiny_model(const TinyModelSpec& spec, const std::string& name) {
  const std::string folder = ::testing::TempDir() + "/" + name;
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/config.json") << make_config_json(spec);
  write_safetensors(folder + "/model.safetensors", make_tensors(spec), spec.dtype);
  return folder;
}

}  // namespace rerank::testing
