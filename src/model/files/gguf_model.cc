#include "model/files/gguf_model.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <span>

#include "absl/strings/str_join.h"
#include "base/gguf/gguf.h"
#include "base/json/writer.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;

struct Name {
  std::string_view file, folder;
};

// Of a decoder: after "blk.N." and "model.layers.N.".
constexpr Name kDecoderBlock[] = {{"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
                                  {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
                                  {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
                                  {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
                                  {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
                                  {"ffn_down", "mlp.down_proj"}};
constexpr Name kGemma2Block[] = {{"post_attention_norm", "post_attention_layernorm"},
                                 {"ffn_norm", "pre_feedforward_layernorm"},
                                 {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr Name kDecoder[] = {{"token_embd", "model.embed_tokens"},
                             {"output_norm", "model.norm"},
                             {"output", "lm_head"},
                             {"cls.output", "score"}};
constexpr Name kRobertaBlock[] = {{"attn_q", "attention.self.query"},
                                  {"attn_k", "attention.self.key"},
                                  {"attn_v", "attention.self.value"},
                                  {"attn_output", "attention.output.dense"},
                                  {"attn_output_norm", "attention.output.LayerNorm"},
                                  {"ffn_up", "intermediate.dense"},
                                  {"ffn_down", "output.dense"},
                                  {"layer_output_norm", "output.LayerNorm"}};
constexpr Name kRoberta[] = {{"token_embd", "roberta.embeddings.word_embeddings"},
                             {"position_embd", "roberta.embeddings.position_embeddings"},
                             {"token_types", "roberta.embeddings.token_type_embeddings"},
                             {"token_embd_norm", "roberta.embeddings.LayerNorm"},
                             {"cls", "classifier.dense"},
                             {"cls.output", "classifier.out_proj"}};
constexpr Name kModernBertBlock[] = {{"attn_norm", "attn_norm"}, {"attn_qkv", "attn.Wqkv"}, {"attn_output", "attn.Wo"},
                                     {"ffn_norm", "mlp_norm"},   {"ffn_up", "mlp.Wi"},      {"ffn_down", "mlp.Wo"}};
constexpr Name kModernBert[] = {{"token_embd", "model.embeddings.tok_embeddings"},
                                {"token_embd_norm", "model.embeddings.norm"},
                                {"output_norm", "model.final_norm"},
                                {"cls", "head.dense"},
                                {"cls.norm", "head.norm"},
                                {"cls.output", "classifier"}};

struct Kind {
  std::string_view name;  // general.architecture
  std::string_view model_type, body;
  std::string_view block;  // what stands before a block's number
  std::span<const Name> blocks, rest;
  bool decoder = false;
};
constexpr Kind kKinds[] = {
    {"qwen3", "qwen3", "Qwen3", "model.layers.", kDecoderBlock, kDecoder, true},
    {"qwen2", "qwen2", "Qwen2", "model.layers.", kDecoderBlock, kDecoder, true},
    {"llama", "llama", "Llama", "model.layers.", kDecoderBlock, kDecoder, true},
    {"gemma", "gemma", "Gemma", "model.layers.", kDecoderBlock, kDecoder, true},
    {"gemma2", "gemma2", "Gemma2", "model.layers.", kDecoderBlock, kDecoder, true},
    {"bert", "xlm-roberta", "XLMRoberta", "roberta.encoder.layer.", kRobertaBlock, kRoberta},
    {"modern-bert", "modernbert", "ModernBert", "model.layers.", kModernBertBlock, kModernBert},
};

Status wrong(std::string_view what) { return absl::InvalidArgumentError(std::string(what)); }

Result<const Kind*> kind_of(const GgufFile& file) {
  const auto name = file.text("general.architecture");
  if (!name) return wrong("it has no general.architecture");
  const auto found = std::ranges::find(kKinds, *name, &Kind::name);
  if (found != std::end(kKinds)) return &*found;
  std::string known;
  for (const Kind& kind : kKinds) known += str_cat(known.empty() ? "" : ", ", kind.name);
  return absl::UnimplementedError(
      str_cat("general.architecture ", *name, " is not supported (", known, " are); use the model's safetensors"));
}

std::optional<DType> dtype_of(uint32_t ggml) {
  constexpr std::pair<uint32_t, DType> kTypes[] = {
      {0, DType::kF32}, {1, DType::kF16},  {2, DType::kQ40},  {3, DType::kQ41},  {6, DType::kQ50},  {7, DType::kQ51},
      {8, DType::kQ80}, {12, DType::kQ4K}, {13, DType::kQ5K}, {14, DType::kQ6K}, {30, DType::kBF16}};
  for (const auto& [number, dtype] : kTypes)
    if (number == ggml) return dtype;
  return {};
}

const Name* find(std::span<const Name> names, std::string_view name) {
  const auto found = std::ranges::find(names, name, &Name::file);
  return found == names.end() ? nullptr : &*found;
}

// The name that the folder would have; of a tensor that nothing of ours is, the file's own.
std::string name_in_folder(const Kind& kind, std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::string(name);
  std::string_view stem = name.substr(0, dot);
  const std::string_view part = name.substr(dot);
  if (!stem.starts_with("blk.")) {
    const Name* const found = find(kind.rest, stem);
    return found == nullptr ? std::string(name) : str_cat(found->folder, part);
  }
  stem.remove_prefix(4);
  const std::string_view number = stem.substr(0, stem.find('.'));
  stem.remove_prefix(std::min(stem.size(), number.size() + 1));
  const Name* found = kind.name == "gemma2" ? find(kGemma2Block, stem) : nullptr;
  if (found == nullptr) found = find(kind.blocks, stem);
  return found == nullptr ? std::string(name) : str_cat(kind.block, number, ".", found->folder, part);
}

Result<TensorView> view_of(const GgufTensor& tensor, DType dtype) {
  TensorView view;
  view.dtype = dtype;
  view.shape.assign(tensor.shape.begin(), tensor.shape.end());
  const auto [elements, bytes] = block_size(dtype);
  if (view.shape.back() % elements != 0)
    return wrong(str_cat("its rows of ", view.shape.back(), " are no whole blocks of ", dtype_name(dtype)));
  const size_t needed = view.elements() / elements * bytes;
  if (needed > tensor.bytes.size()) return wrong("truncated: it is longer than the room it has in the file");
  view.bytes = tensor.bytes.first(needed);
  view.mapped = true;
  return view;
}

// The rows in another order: row i of the result is `from(i)`. The bytes are owned by whoever keeps `owned`.
void reorder_rows(TensorView& view, std::vector<std::vector<std::byte>>& owned, const auto& from) {
  const size_t rows = view.shape[0], width = view.bytes.size() / rows;
  std::vector<std::byte> moved(view.bytes.size());
  for (size_t i = 0; i < rows; ++i) std::memcpy(&moved[i * width], view.bytes.data() + from(i) * width, width);
  view.bytes = owned.emplace_back(std::move(moved));
  view.mapped = false;
}

// Llama's files have the rows of queries and keys for pairs that stand side by side: each head's (c, half + c) are at
// (2 c, 2 c + 1).
Status undo_pairs(const GgufFile& file, std::string_view name, TensorView& view,
                  std::vector<std::vector<std::byte>>& owned) {
  const bool query = name.find(".attn_q.") != std::string_view::npos,
             key = name.find(".attn_k.") != std::string_view::npos;
  if (!query && !key) return ok_status();
  const auto heads = file.whole("llama.attention.head_count");
  const auto count = query ? heads
                     : file.whole("llama.attention.head_count_kv").has_value()
                         ? file.whole("llama.attention.head_count_kv")
                         : heads;
  if (!count || *count == 0 || view.shape[0] % *count != 0 || view.shape[0] / *count % 2 != 0)
    return wrong("its rows are no whole number of heads");
  const size_t size = view.shape[0] / *count, half = size / 2;
  reorder_rows(view, owned, [&](size_t row) {
    const size_t at = row % size;
    return row - at + 2 * (at % half) + at / half;
  });
  return ok_status();
}

// The file's norms of Gemma have their 1 added already.
void take_one_off(TensorView& view, std::vector<std::vector<std::byte>>& owned) {
  std::vector<float> values = view.floats();
  for (float& value : values) value -= 1;
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  view.dtype = DType::kF32;
  view.bytes = owned.emplace_back(std::move(bytes));
  view.mapped = false;
}

// The rows before that of the first position, of padding, which the file leaves out.
constexpr size_t kRowsBefore = 2;
void add_rows_before(TensorView& view, std::vector<std::vector<std::byte>>& owned) {
  const size_t width = view.bytes.size() / view.shape[0];
  std::vector<std::byte> bytes(kRowsBefore * width + view.bytes.size());
  std::memcpy(&bytes[kRowsBefore * width], view.bytes.data(), view.bytes.size());
  view.shape[0] += kRowsBefore;
  view.bytes = owned.emplace_back(std::move(bytes));
  view.mapped = false;
}

// What the converter has turned around is turned back.
Status restore(const GgufFile& file, const Kind& kind, std::string_view name, TensorView& view,
               std::vector<std::vector<std::byte>>& owned) {
  if (kind.name == "llama") return undo_pairs(file, name, view, owned);
  if (kind.name.starts_with("gemma") && name.ends_with("norm.weight")) take_one_off(view, owned);
  if (kind.name == "bert" && name == "position_embd.weight" && file.whole("bert.context_length") == view.shape[0])
    add_rows_before(view, owned);
  // "yes" and "no", in this order: of two labels the second is ours.
  if (kind.decoder && name == "cls.output.weight" && view.shape[0] == 2)
    reorder_rows(view, owned, [](size_t row) { return 1 - row; });
  return ok_status();
}

uint64_t rows_of(const GgufFile& file, std::string_view name, size_t dimension = 0) {
  const auto found = std::ranges::find(file.tensors(), name, &GgufTensor::name);
  return found == file.tensors().end() || found->shape.size() <= dimension ? 0 : found->shape[dimension];
}

// config.json, field by field.
class ConfigWriter {
 public:
  ConfigWriter(const GgufFile& file, const Kind& kind) : file_(file), kind_(kind) {}

  Result<std::string> write() {
    json_.begin_object();
    text("model_type", kind_.model_type);
    const bool head = rows_of(file_, "cls.output.weight") != 0 || !kind_.decoder;
    json_.key("architectures");
    json_.begin_array();
    json_.value(str_cat(kind_.body, head ? "ForSequenceClassification" : "ForCausalLM").c_str());
    json_.end_array();
    number("vocab_size", rows_of(file_, "token_embd.weight"));
    size("hidden_size", "embedding_length");
    size("num_hidden_layers", "block_count");
    size("num_attention_heads", "attention.head_count");
    size("intermediate_size", "feed_forward_length");
    if (head) number("num_labels", std::max<uint64_t>(1, rows_of(file_, "cls.output.weight")));
    if (kind_.decoder) {
      write_decoder();
    } else if (kind_.name == "bert") {
      write_roberta();
    } else {
      write_modernbert();
    }
    if (kind_.name == "gemma2") write_gemma2();
    json_.end_object();
    if (!status_.ok()) return status_;
    return json_.take();
  }

 private:
  std::string key(std::string_view field) const { return str_cat(kind_.name, ".", field); }
  void text(const char* field, std::string_view value) {
    json_.key(field);
    json_.value(std::string(value).c_str());
  }
  void number(const char* field, uint64_t value) {
    json_.key(field);
    json_.value(value);
  }
  void fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  void size(const char* field, std::string_view from, bool optional = false) {
    const auto value = file_.whole(key(from));
    if (value) return number(field, *value);
    if (!optional) fail(wrong(str_cat("its key ", key(from), " is missing, or no size")));
  }
  void real(const char* field, std::string_view from, std::optional<double> fallback = {}) {
    const auto found = file_.number(key(from));
    if (!found && !fallback) return fail(wrong(str_cat("its key ", key(from), " is missing, or no number")));
    json_.key(field);
    json_.value(found.value_or(fallback.value_or(0)));
  }
  void refuse(bool when, std::string_view what) {
    if (when) fail(absl::UnimplementedError(str_cat(what, "; use the model's safetensors")));
  }

  void write_decoder() {
    size("max_position_embeddings", "context_length");
    size("num_key_value_heads", "attention.head_count_kv", true);
    size("head_dim", "attention.key_length", true);
    real("rms_norm_eps", "attention.layer_norm_rms_epsilon");
    if (rows_of(file_, "blk.0.attn_q.bias") != 0 && kind_.name != "qwen2") {
      json_.key("attention_bias");
      json_.value(true);
      refuse(rows_of(file_, "blk.0.attn_output.bias") == 0, "biases of queries alone are not supported");
    }
    refuse(rows_of(file_, "rope_freqs.weight") != 0 && !file_.text(key("rope.scaling.type")),
           "rope_freqs, RoPE frequencies of its own (Llama 3), are not read");
    const std::string scaling(file_.text(key("rope.scaling.type")).value_or("none"));
    json_.key("rope_parameters");
    json_.begin_object();
    text("rope_type", scaling == "linear" ? "linear" : "default");
    real("rope_theta", "rope.freq_base", 10000);
    if (scaling == "linear") real("factor", "rope.scaling.factor");
    json_.end_object();
    refuse(scaling != "none" && scaling != "linear", str_cat("rope.scaling.type ", scaling, " is not supported"));
  }

  void write_gemma2() {
    real("attn_logit_softcapping", "attn_logit_softcapping", 50);
    real("final_logit_softcapping", "final_logit_softcapping", 30);
    size("sliding_window", "attention.sliding_window");
    // llama.cpp's own rule: of 27B (46 blocks) alone it is not the size of a head.
    refuse(file_.whole(key("block_count")) == 46, "Gemma 2 27B, whose scale of scores the file does not say");
    size("query_pre_attn_scalar", "attention.key_length");
  }

  void write_roberta() {
    const std::string_view model = file_.text("tokenizer.ggml.model").value_or("?");
    refuse(model == "bert",
           "a BERT file: the program that makes GGUF files leaves out bert.pooler.dense, without which scores are "
           "others");
    refuse(rows_of(file_, "cls.weight") == 0 || rows_of(file_, "cls.output.weight") == 0,
           "it has no cls and cls.output: no head to score with");
    const uint64_t rows = rows_of(file_, "position_embd.weight");
    number("max_position_embeddings", rows + (file_.whole(key("context_length")) == rows ? kRowsBefore : 0));
    number("pad_token_id", 1);
    number("type_vocab_size", std::max<uint64_t>(1, rows_of(file_, "token_types.weight")));
    real("layer_norm_eps", "attention.layer_norm_epsilon");
  }

  // Whether the head reads the first token or the mean of all no key says.
  void write_modernbert() {
    refuse(true,
           "a ModernBERT file, which does not say whether its head reads the first token or the mean of all "
           "(classifier_pooling): put the model's config.json beside it");
  }

  const GgufFile& file_;
  const Kind& kind_;
  JsonWriter json_;
  Status status_;
};

// The place of a token in the file's list.
std::optional<size_t> token_number(const GgufFile& file, std::string_view spelling) {
  std::optional<size_t> found;
  size_t place = 0;
  file.each_text("tokenizer.ggml.tokens", [&](std::string_view token) {
    if (token == spelling) found = place;
    ++place;
    return !found;
  });
  return found;
}

}  // namespace

Result<std::string> find_gguf(const std::string& folder) {
  if (folder.ends_with(".gguf")) return folder;
  std::error_code error;
  std::vector<std::string> found;
  for (const char* name :
       {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"})
    if (fs::exists(fs::path(folder) / name, error)) return std::string();
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".gguf")) found.push_back(name);
  }
  std::ranges::sort(found);
  if (found.empty()) return std::string();
  if (found.size() == 1) return str_cat(folder, "/", found[0]);
  return absl::InvalidArgumentError(str_cat(folder, ": there are several GGUF files: name one, as --model ", folder,
                                            "/", found[0], " (", absl::StrJoin(found, ", "), ")"));
}

std::string companions_of(const std::string& folder) {
  if (!folder.ends_with(".gguf")) return folder;
  const std::string parent = fs::path(folder).parent_path().string();
  return parent.empty() ? "." : parent;
}

Status add_gguf_tensors(const MappedFile& mapped, std::map<std::string, TensorView>& tensors,
                        std::vector<std::vector<std::byte>>& owned, std::map<std::string, std::string>& others) {
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::parse(mapped.bytes()));
  ASSIGN_OR_RETURN(const Kind* const kind, kind_of(file));
  if (file.whole("split.count").value_or(1) > 1)
    return absl::UnimplementedError("one of several files that a model was split into; join them (gguf-split --merge)");
  for (const GgufTensor& tensor : file.tensors()) {
    const std::string name = name_in_folder(*kind, tensor.name);
    const auto dtype = dtype_of(tensor.type);
    if (!dtype) {
      others.emplace(name, str_cat("number ", tensor.type, " of ggml"));
      continue;
    }
    auto view = view_of(tensor, *dtype);
    if (!view.ok()) return with_context(view.status(), str_cat("tensor ", tensor.name));
    view->name = name;
    if (Status s = restore(file, *kind, tensor.name, *view, owned); !s.ok())
      return with_context(s, str_cat("tensor ", tensor.name));
    if (!tensors.emplace(name, *std::move(view)).second) return wrong(str_cat("tensor ", name, " appears twice"));
  }
  return ok_status();
}

Result<std::string> gguf_config_json(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
  const auto read = [&]() -> Result<std::string> {
    ASSIGN_OR_RETURN(const GgufFile file, GgufFile::parse(mapped.bytes()));
    ASSIGN_OR_RETURN(const Kind* const kind, kind_of(file));
    return ConfigWriter(file, *kind).write();
  };
  auto json = read();
  return json.ok() ? json : with_context(json.status(), path);
}

Status find_gguf_answers(const std::string& path, ModelConfig& config) {
  if (!config.architecture.scoring.answers || config.architecture.scoring.answers->positive_id) return ok_status();
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
  auto file = GgufFile::parse(mapped.bytes());
  if (!file.ok()) return with_context(file.status(), path);
  Answers& answers = *config.architecture.scoring.answers;
  const auto positive = token_number(*file, answers.positive);
  const auto negative = answers.negative.empty() ? std::nullopt : token_number(*file, answers.negative);
  if (!positive || (!negative && !answers.negative.empty())) return ok_status();  // tokenizer.json may have them
  answers.positive_id = positive;
  answers.negative_id = negative;
  return ok_status();
}

}  // namespace rerank::model
