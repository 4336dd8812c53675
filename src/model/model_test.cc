// What a wrong model folder can hold, and that the message names file and field.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/log.h"
#include "base/strings.h"
#include "model/weights.h"
#include "support/tiny_model.h"

namespace rerank::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TinyModelSpec;

std::string error_of(const std::string& folder) {
  auto model = load_model(folder);
  return model.ok() ? "ok" : std::string(message_of(model.status()));
}

std::string folder_with_config(const std::string& json) {
  const std::string folder = testing::write_tiny_model({}, "model_test_config");
  std::ofstream(folder + "/config.json") << json;
  return folder;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// A folder whose model.safetensors is `header` after its length, then `data` zero bytes.
std::string folder_with_header(const std::string& header, size_t data = 64, std::optional<uint64_t> length = {}) {
  const std::string folder = testing::write_tiny_model({}, "model_test_header");
  const uint64_t size = length.value_or(header.size());
  std::ofstream file(folder + "/model.safetensors", std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), 8);
  file << header << std::string(data, '\0');
  return folder;
}

TEST(ConfigTest, EveryFamilyLoads) {
  for (const char* name : {"BertForSequenceClassification", "RobertaForSequenceClassification",
                           "XLMRobertaForSequenceClassification", "CamembertForSequenceClassification",
                           "DistilBertForSequenceClassification", "ElectraForSequenceClassification"}) {
    TinyModelSpec spec;
    spec.architecture = name;
    auto model = load_model(testing::write_tiny_model(spec, "model_test_family"));
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->config.architecture_name, name);
    const bool offset = std::string(name).find("oberta") != std::string::npos || std::string(name).starts_with("Camem");
    EXPECT_EQ((*model)->config.max_length(), offset ? 62u : 64u);
  }
}

TEST(ConfigTest, SaysWhatIsWrong) {
  const std::string good = testing::make_config_json({});
  EXPECT_THAT(error_of(folder_with_config("not json")), HasSubstr("config.json"));
  EXPECT_THAT(error_of(folder_with_config("{}")), HasSubstr("architectures"));
  EXPECT_THAT(error_of(folder_with_config(replaced(good, "BertForSequenceClassification", "MambaForCausalLM"))),
              AllOf(HasSubstr("MambaForCausalLM"), HasSubstr("Supported")));
  EXPECT_THAT(error_of(folder_with_config(replaced(good, "\"hidden_size\":32", "\"hidden_size\":\"32\""))),
              HasSubstr("hidden_size"));
  EXPECT_THAT(error_of(folder_with_config(replaced(good, "\"hidden_size\":32", "\"hidden_size\":33"))),
              HasSubstr("num_attention_heads"));
  EXPECT_THAT(error_of(folder_with_config(replaced(good, "\"num_hidden_layers\":2", "\"num_hidden_layers\":99999999"))),
              HasSubstr("num_hidden_layers"));
  EXPECT_THAT(error_of(folder_with_config(replaced(good, "\"gelu\"", "\"mish\""))), HasSubstr("mish"));
  EXPECT_THAT(error_of(folder_with_config(replaced(good, "\"0\":\"LABEL_0\"", "\"0\":\"a\",\"1\":\"b\",\"2\":\"c\""))),
              HasSubstr("3 labels"));
  for (const char* bad : {R"({"max_length":4})", R"({"max_length":"256"})", R"({"max_length":100000})",
                          R"({"truncation":"middle"})", R"({"truncation":1})", R"({"max_lenght":256})"}) {
    EXPECT_THAT(error_of(folder_with_config(replaced(good, "{", std::string(R"({"rerankd":)") + bad + ","))),
                HasSubstr("rerankd."))
        << bad;
  }
  EXPECT_THAT(error_of(folder_with_config(replaced(good, "{", R"({"rerankd":256,)"))),
              HasSubstr("rerankd is not an object"));
  EXPECT_THAT(error_of("/nonexistent"), HasSubstr("/nonexistent/config.json"));
}

// A recorded model in a folder of the test's own, with its config.json changed.
std::string recorded_with(const std::string& name, const std::string& from, const std::string& to) {
  const std::filesystem::path source = std::string(RERANKD_SOURCE_DIR "/tests/data/models/") + name,
                              folder = ::testing::TempDir() + "/model_test_recorded";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(source, folder);
  const std::string config = *read_file((source / "config.json").string(), 1u << 20);
  std::ofstream(folder / "config.json") << (from.empty() ? config : replaced(config, from, to));
  return folder.string();
}

TEST(FamilyTest, ModernBertReadsBothFormsOfItsConfig) {
  for (const char* name : {"modernbert-a", "modernbert-b"}) {  // layer_types; global_attn_every_n_layers
    auto model = load_model(recorded_with(name, "", ""));
    ASSERT_TRUE(model.ok()) << model.status();
    const Architecture& a = (*model)->architecture();
    const size_t window = std::string(name) == "modernbert-a" ? 4 : 64;
    for (size_t i = 0; i < a.layers(); ++i) {
      const Block& block = a.blocks[i];
      EXPECT_EQ(block.attention.mask, i % 3 == 0 ? MaskKind::kFull : MaskKind::kWindow) << name << i;
      EXPECT_EQ(block.attention.window, i % 3 == 0 ? 0 : window) << name << i;
      EXPECT_EQ(block.attention.rope.theta, i % 3 == 0 ? 160000.0f : 10000.0f) << name << i;
      EXPECT_EQ(block.attention_norm, i != 0) << name << i;
    }
    EXPECT_EQ(a.scoring.rows, std::string(name) == "modernbert-a" ? ScoredRows::kFirst : ScoredRows::kMean);
    EXPECT_EQ(a.max_length, 512u);
  }
}

TEST(FamilyTest, WhatWouldChangeScoresIsRefusedByName) {
  const auto error = [](const char* name, const char* from, const char* to) {
    return error_of(recorded_with(name, from, to));
  };
  EXPECT_THAT(error("modernbert-a", R"("classifier_pooling": "cls")", R"("classifier_pooling": "max")"),
              HasSubstr("classifier_pooling: max"));
  EXPECT_THAT(error("modernbert-a", R"("rope_type": "default")", R"("rope_type": "yarn")"), HasSubstr("yarn"));
  EXPECT_THAT(error("modernbert-a", R"("sliding_attention",)", R"("chunked_attention",)"), HasSubstr("layer_types[1]"));
  EXPECT_THAT(error("modernbert-a", R"("num_hidden_layers": 5)", R"("num_hidden_layers": 4)"),
              HasSubstr("layer_types has 5 entries for 4 layers"));
  EXPECT_THAT(error("modernbert-a", R"("norm_bias": false)", R"("norm_bias": true)"),
              HasSubstr("norm.bias is missing"));
  EXPECT_THAT(error("gte-a", R"("logn_attention_scale": false)", R"("logn_attention_scale": true)"),
              HasSubstr("logn_attention_scale"));
  EXPECT_THAT(error("gte-a", R"("type": "ntk")", R"("type": "dynamic")"), HasSubstr("rope_scaling"));
  EXPECT_THAT(error("gte-a", R"("layer_norm_type": "layer_norm")", R"("layer_norm_type": "rms_norm")"),
              HasSubstr("layer_norm_type: rms_norm"));
  EXPECT_THAT(error("gte-a", R"("position_embedding_type": "rope")", R"("position_embedding_type": "absolute")"),
              HasSubstr("position_embedding_type"));
  EXPECT_THAT(error("jina-bert-a", R"("feed_forward_type": "geglu")", R"("feed_forward_type": "original")"),
              HasSubstr("feed_forward_type: original"));
}

TEST(FamilyTest, NamesThatAreMissingAreTakenFromTheRest) {
  // Without `architectures`, or with the encoder's own name, the model type and the weights tell.
  EXPECT_EQ(error_of(recorded_with("modernbert-a", "ModernBertForSequenceClassification", "ModernBertModel")), "ok");
  EXPECT_EQ(error_of(recorded_with("bert-a", R"("BertForSequenceClassification")", "")), "ok");
  // config.json of jina-reranker-v1 has no id2label: the head's rows are its labels.
  auto model = load_model(recorded_with("jina-bert-a", "", ""));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->architecture().scoring.labels, 1u);
  // An encoder without its head is not guessed at.
  const std::string folder = testing::write_tiny_model({}, "model_test_headless");
  auto tensors = testing::make_tensors({});
  std::erase_if(tensors, [](const auto& tensor) { return tensor.name.starts_with("classifier"); });
  testing::write_safetensors(folder + "/model.safetensors", tensors, DType::kF32);
  EXPECT_THAT(error_of(folder), HasSubstr("classifier.weight is missing"));
}

TEST(WeightsTest, MissingAndMisshapenTensorsAreNamedAndOthersPassedOver) {
  const std::string folder = testing::write_tiny_model({}, "model_test_tensors");
  auto tensors = testing::make_tensors({});
  auto write = [&](std::vector<testing::NamedTensor> t) {
    testing::write_safetensors(folder + "/model.safetensors", t, DType::kF32);
    return error_of(folder);
  };
  auto missing = tensors;
  missing.erase(missing.begin() + 7);
  EXPECT_THAT(write(missing), AllOf(HasSubstr(tensors[7].name), HasSubstr("missing")));
  auto extra = tensors;
  extra.push_back({"bert.encoder.layer.2.output.dense.bias", {32}, std::vector<float>(32)});
  std::string line;
  set_log_sink([&](LogLevel, std::string_view message, std::span<const LogField>) { line = message; });
  EXPECT_EQ(write(extra), "ok") << "as transformers has it, whose warning this is, too";
  set_log_sink(nullptr);
  EXPECT_THAT(line, HasSubstr("1 tensor(s) that this architecture does not have are passed over, first "
                              "bert.encoder.layer.2.output.dense.bias"));
  auto misshapen = tensors;
  misshapen[0].shape = {50, 64};
  EXPECT_THAT(write(misshapen), AllOf(HasSubstr(tensors[0].name), HasSubstr("[50,64]"), HasSubstr("[100,32]")));
  auto pretraining = tensors;
  pretraining.push_back({"cls.predictions.bias", {100}, std::vector<float>(100)});
  EXPECT_EQ(write(pretraining), "ok");
}

// The file of tensors with another type for each whose name `as` gives one.
std::string retyped(const std::vector<testing::NamedTensor>& tensors, const std::map<std::string, std::string>& as) {
  std::string header = "{", bytes;
  for (const auto& t : tensors) {
    const auto found = as.find(t.name);
    const std::string type = found == as.end() ? "F32" : found->second;
    const size_t begin = bytes.size();
    for (const float value : t.values) {
      const double wide = value;
      if (type == "F64") bytes.append(reinterpret_cast<const char*>(&wide), sizeof wide);
      if (type == "F32") bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
      if (type == "BOOL" || type == "U8") bytes += '\1';
    }
    std::string shape;
    for (const size_t size : t.shape) shape += str_cat(shape.empty() ? "" : ",", size);
    header += str_cat(header.size() > 1 ? "," : "", "\"", t.name, "\":{\"dtype\":\"", type, "\",\"shape\":[", shape,
                      "],\"data_offsets\":[", begin, ",", bytes.size(), "]}");
  }
  header += "}";
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + bytes;
}

TEST(WeightsTest, OtherTypesAndNamesWithoutAPrefixAreReadAsTransformersDoes) {
  const std::string folder = testing::write_tiny_model({}, "model_test_types");
  auto tensors = testing::make_tensors({});
  const auto write = [&](const std::map<std::string, std::string>& as) {
    std::ofstream(folder + "/model.safetensors", std::ios::binary) << retyped(tensors, as);
    return load_model(folder);
  };
  tensors.push_back({"bert.embeddings.mask", {3}, {1, 1, 1}});
  tensors.push_back({"bert.some.flags", {2}, {1, 1}});
  const std::map<std::string, std::string> buffers = {{"bert.embeddings.mask", "BOOL"}, {"bert.some.flags", "U8"}};
  EXPECT_TRUE(write(buffers).ok()) << write(buffers).status();
  const std::string wide = "bert.encoder.layer.1.output.dense.weight";
  auto doubles = buffers;
  doubles[wide] = "F64";
  const auto converted = write(doubles);
  ASSERT_TRUE(converted.ok()) << converted.status();
  const auto original = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == wide; });
  EXPECT_EQ((*converted)->weights.files->tensors().at(wide).floats(), original->values);
  auto wrong = buffers;
  wrong[wide] = "U8";
  EXPECT_THAT(std::string(message_of(write(wrong).status())), HasSubstr(wide + " has type U8"));
  for (auto& tensor : tensors) {
    if (tensor.name.starts_with("bert.")) tensor.name.erase(0, 5);
  }
  EXPECT_TRUE(write({{"embeddings.mask", "BOOL"}, {"some.flags", "U8"}}).ok());
}

TEST(ConfigTest, JsonAsPythonWritesItStopsNoModel) {
  const std::string good = testing::make_config_json({});
  const auto with = [&](const std::string& field) {
    return error_of(folder_with_config("\xEF\xBB\xBF{" + field + "," + good.substr(good.find('{') + 1)));
  };
  for (const char* field :
       {"\"router_z\": Infinity", "\"a\": NaN", "\"a\": [-Infinity, 1e999]", "\"a\": 123456789012345678901234567890",
        "\"a\": \"NaN \\\" Infinity\"", "\"a\": \"\\ud83d\""})
    EXPECT_EQ(with(field), "ok") << field;
  EXPECT_THAT(error_of(folder_with_config(replaced(good, "\"hidden_size\":32", "\"hidden_size\":NaN"))),
              AllOf(HasSubstr("hidden_size"), HasSubstr("found a string")));
}

TEST(ConfigTest, TheLabelIsThatOfTheScore) {
  const auto label = [&](const std::string& names, size_t labels) {
    testing::TinyModelSpec spec;
    spec.labels = labels;
    const std::string folder = testing::write_tiny_model(spec, "model_test_label");
    std::string json = testing::make_config_json(spec);
    const size_t at = json.find("\"id2label\""), end = json.find('}', at);
    EXPECT_NE(at, std::string::npos);
    std::ofstream(folder + "/config.json") << json.replace(at, end + 1 - at, "\"id2label\": " + names);
    const auto model = load_model(folder);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? (*model)->config.label : "";
  };
  EXPECT_EQ(label(R"({"0":"irrelevant","1":"relevant"})", 2), "relevant");
  EXPECT_EQ(label(R"({"0":"score"})", 1), "score");
}

TEST(SafetensorsTest, HostileFilesAreRefused) {
  EXPECT_THAT(error_of(folder_with_header("", 0, 0)), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of(folder_with_header("{}", 0, 1u << 30)), HasSubstr("limit"));
  EXPECT_THAT(error_of(folder_with_header("{}", 0, 1000)), HasSubstr("truncated"));
  EXPECT_THAT(error_of(folder_with_header("[1]")), HasSubstr("not a JSON object"));
  auto tensor = [](const std::string& fields) { return "{\"w\":{" + fields + "}}"; };
  EXPECT_THAT(error_of(folder_with_header(tensor(R"("dtype":"F32","shape":[4],"data_offsets":[0,16000])"))),
              HasSubstr("outside the file"));
  EXPECT_THAT(error_of(folder_with_header(tensor(R"("dtype":"F32","shape":[4],"data_offsets":[16,0])"))),
              HasSubstr("data_offsets"));
  EXPECT_THAT(error_of(folder_with_header(tensor(R"("dtype":"F32","shape":[5],"data_offsets":[0,16])"))),
              HasSubstr("does not fit"));
  EXPECT_THAT(
      error_of(folder_with_header(tensor(R"("dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16])"))),
      HasSubstr("overflow"));
  EXPECT_THAT(error_of(folder_with_header(tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,16])"))),
              HasSubstr("shape"));
  EXPECT_THAT(
      error_of(folder_with_header(
          R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}})")),
      HasSubstr("overlap"));
  const std::string folder = testing::write_tiny_model({}, "model_test_short");
  std::filesystem::resize_file(folder + "/model.safetensors", 3);
  EXPECT_THAT(error_of(folder), HasSubstr("shorter"));
  std::filesystem::remove(folder + "/model.safetensors");
  EXPECT_THAT(error_of(folder), HasSubstr("model.safetensors.index.json"));
}

TEST(SafetensorsTest, EveryHeaderCutOrFlippedIsAnErrorNotACrash) {
  const std::string folder = testing::write_tiny_model(
      {.layers = 1, .hidden = 8, .heads = 2, .intermediate = 8, .vocabulary = 10, .positions = 8}, "model_test_fuzz");
  const std::string path = folder + "/model.safetensors";
  const std::string good = *read_file(path, 1u << 20);
  uint64_t header = 0;
  std::memcpy(&header, good.data(), 8);
  for (size_t i = 0; i < header + 8; i += 3) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    std::ofstream(path, std::ios::binary) << bad;
    (void)load_model(folder);
    std::ofstream(path, std::ios::binary) << good.substr(0, i);
    EXPECT_FALSE(load_model(folder).ok()) << i;
  }
}

TEST(SafetensorsTest, HalfTypesConvertExactly) {
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    const std::string path = ::testing::TempDir() + "/model_test_half.safetensors";
    testing::write_safetensors(path, {{"w", {6}, {0.0f, 1.0f, -2.5f, 0.099975586f, 6.1035156e-05f, -65504.0f}}}, dtype);
    auto files = TensorFiles::open_file(path);
    ASSERT_TRUE(files.ok()) << files.status();
    const auto values = (*files)->tensors().at("w").floats();
    EXPECT_EQ(values[1], 1.0f);
    EXPECT_EQ(values[2], -2.5f);
    EXPECT_EQ(values[4], 6.1035156e-05f);
    if (dtype == DType::kF16) {
      EXPECT_EQ(values[3], 0.099975586f);
      EXPECT_EQ(values[5], -65504.0f);
    }
  }
}

}  // namespace
}  // namespace rerank::model
