#include <rapidjson/document.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <filesystem>
#include <fstream>

#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "convert/quantize.h"
#include "convert/writers.h"
#include "model/families/family.h"
#include "model/files/gguf_model.h"

namespace rerank::convert {
namespace {

namespace fs = std::filesystem;

// Of a tokenizer, whatever program reads it, and of serving.
constexpr const char* kCopied[] = {"chat_template.jinja",
                                   "config_sentence_transformers.json",
                                   "sentence_bert_config.json",
                                   "tokenizer.json",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "added_tokens.json",
                                   "vocab.txt",
                                   "vocab.json",
                                   "merges.txt",
                                   "sentencepiece.bpe.model",
                                   "spm.model",
                                   "spiece.model"};

const char* dtype_of(Precision precision) {
  return precision == Precision::kFp16 ? "float16" : precision == Precision::kBf16 ? "bfloat16" : "float32";
}

// As `compressed-tensors` describes what write_safetensors() writes: int8 weights with a scale for each output channel,
// activations quantized for each token as they come (https://github.com/vllm-project/compressed-tensors).
constexpr char kQuantization[] = R"({"quant_method": "compressed-tensors", "format": "int-quantized",
 "quantization_status": "compressed", "config_groups": {"group_0": {"targets": ["Linear"],
 "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false},
 "input_activations": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token", "dynamic": true}}}})";

// Weights of 4 bits with a scale for each group of inputs; activations stay as they are.
constexpr char kInt4Quantization[] = R"({"quant_method": "compressed-tensors", "format": "pack-quantized",
 "quantization_status": "compressed", "config_groups": {"group_0": {"targets": ["Linear"],
 "weights": {"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 32,
 "dynamic": false}}}})";

// Modules whose weights are not of 4 bits: by their shape, or since they stand after the blocks.
std::vector<std::string> not_int4(const model::Model& model, const ConvertOptions& options) {
  std::vector<std::string> names;
  for (const model::UsedTensor& used : model.weights.used) {
    const std::string& name = used.view.name;
    const bool stays = used.block_matrix && (used.view.shape[1] % kInt4Inputs != 0 || is_excluded(options, name));
    if (stays) names.push_back(name.substr(0, name.rfind('.')));
  }
  for (const model::Linear* linear :
       {model.weights.head_dense ? &*model.weights.head_dense : nullptr, &model.weights.head_output})
    if (linear != nullptr) names.push_back(linear->weight.name.substr(0, linear->weight.name.rfind('.')));
  return names;
}

void add_quantization(const model::Model& model, const ConvertOptions& options, rapidjson::Document& json) {
  auto& allocator = json.GetAllocator();
  rapidjson::Document quantization(&allocator);
  quantization.Parse(options.precision == Precision::kInt4 ? kInt4Quantization : kQuantization);
  rapidjson::Value ignore(rapidjson::kArrayType);
  const bool int4 = options.precision == Precision::kInt4;
  for (const std::string& name : int4 ? not_int4(model, options) : options.ignored_modules)
    ignore.PushBack(rapidjson::Value(name.c_str(), allocator), allocator);
  quantization.AddMember("ignore", ignore, allocator);
  json.RemoveMember("quantization_config");
  json.AddMember("quantization_config", quantization, allocator);
}

Status write_config(const model::Model& model, const std::string& out, const ConvertOptions& options) {
  std::error_code error;
  const std::string source = model::companions_of(model.folder) + "/config.json", path = out + "/config.json";
  ASSIGN_OR_RETURN(const std::string gguf, model::find_gguf(model.folder));
  const bool made = !gguf.empty() && !fs::exists(source, error);  // GGUF has it inside
  ASSIGN_OR_RETURN(auto text, made ? model::gguf_config_json(gguf) : read_file(source, 16u << 20));
  // A tree that can be changed and written back: all but a few values stay as they are, in their order.
  rapidjson::Document json;
  json.Parse(text.data(), text.size());
  if (json.HasParseError() || !json.IsObject()) return absl::InvalidArgumentError(source + ": not a JSON object");
  if (options.keep_layers != 0) {
    json[model.config.family->layers_field].SetUint64(options.keep_layers);
  }
  const bool quantized = options.precision == Precision::kInt8 || options.precision == Precision::kInt4;
  if (quantized && options.quantization_in_config) add_quantization(model, options, json);
  for (const char* field : {"dtype", "torch_dtype"}) {  // the newer and the older name of the weights' type
    if (json.HasMember(field) && !quantized) json[field].SetString(rapidjson::StringRef(dtype_of(options.precision)));
  }
  rapidjson::StringBuffer buffer;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> writer(buffer);
  writer.SetIndent(' ', 2);
  json.Accept(writer);
  std::ofstream file(path, std::ios::trunc);
  file << buffer.GetString() << "\n";
  file.close();
  return file ? ok_status() : absl::UnavailableError(str_cat(path, ": cannot write"));
}

// modules.json of a decoder, whose LogitScore says which tokens' logits are the score, with what its modules say.
Status copy_modules(const std::string& from, const std::string& out) {
  std::error_code error;
  const std::string list = from + "/modules.json";
  if (!fs::exists(list, error)) return ok_status();
  const auto copy = [&](const std::string& name) {
    fs::create_directories(fs::path(out + "/" + name).parent_path(), error);
    fs::copy_file(from + "/" + name, out + "/" + name, fs::copy_options::overwrite_existing, error);
    return error ? absl::UnavailableError(str_cat(out, "/", name, ": cannot write: ", error.message())) : ok_status();
  };
  RETURN_IF_ERROR(copy("modules.json"));
  for (const auto& entry : fs::directory_iterator(from, error)) {
    const std::string name = entry.path().filename().string() + "/config.json";
    if (entry.is_directory(error) && fs::exists(entry.path() / "config.json", error)) RETURN_IF_ERROR(copy(name));
  }
  return ok_status();
}

}  // namespace

Status copy_companions(const model::Model& model, const std::string& out, const ConvertOptions& options) {
  std::error_code error;
  fs::create_directories(out, error);
  if (fs::equivalent(model.folder, out, error)) return ok_status();  // they are there
  for (const char* name : kCopied) {
    const fs::path source = fs::path(model::companions_of(model.folder)) / name;
    if (!fs::exists(source, error)) continue;
    fs::copy_file(source, fs::path(out) / name, fs::copy_options::overwrite_existing, error);
    if (error) return absl::UnavailableError(str_cat(out, "/", name, ": cannot write: ", error.message()));
  }
  if (model.architecture().scoring.answers) RETURN_IF_ERROR(copy_modules(model::companions_of(model.folder), out));
  return write_config(model, out, options);
}

}  // namespace rerank::convert
