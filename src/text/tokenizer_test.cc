#include "text/tokenizer.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/mapped_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace rerank::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kTiny[] = R"({
  "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
  "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
  "added_tokens": [{"id": 1, "content": "[SEP]", "special": true, "normalized": false}, {"id": 6, "content": "new"}],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
                 "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[UNK]", 0]},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 8,
            "vocab": {"[UNK]": 0, "[SEP]": 1, "a": 2, "##b": 3, "c": 4, "你": 5}}})";

std::shared_ptr<const Tokenizer> tiny() { return *Tokenizer::from_json(kTiny, "tiny"); }

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, ids);
  return ids;
}

TEST(Tokenizer, EncodesAndAppends) {
  const auto tokenizer = tiny();
  std::vector<int32_t> ids{42};
  tokenizer->encode("Ább a c你", ids);
  EXPECT_THAT(ids, ElementsAre(42, 2, 3, 3, 2, 4, 5));
  EXPECT_THAT(encode(*tokenizer, ""), ElementsAre());
  EXPECT_THAT(encode(*tokenizer, "abbbbbbbb"), ElementsAre(0));  // longer than max_input_chars_per_word
  EXPECT_THAT(encode(*tokenizer, "a[SEP]c NEW"), ElementsAre(2, 1, 4, 6));
}

TEST(Tokenizer, ReadsBadBytesAsReplacementCharacters) {
  const auto tokenizer = tiny();
  EXPECT_EQ(encode(*tokenizer, "a\xff c"), encode(*tokenizer, "a\uFFFD c"));
  EXPECT_EQ(encode(*tokenizer, std::string_view("a\0c", 3)), encode(*tokenizer, "ac"));
}

TEST(Tokenizer, KnowsItsTokens) {
  const auto tokenizer = tiny();
  EXPECT_EQ(tokenizer->token_text(3), "##b");
  EXPECT_EQ(tokenizer->token_text(6), "new");
  EXPECT_EQ(tokenizer->token_text(7), "");
  EXPECT_EQ(tokenizer->token_text(-1), "");
  EXPECT_EQ(tokenizer->id_of("[SEP]"), 1);
  EXPECT_EQ(tokenizer->id_of("new"), 6);
  EXPECT_EQ(tokenizer->id_of("nope"), std::nullopt);
  EXPECT_EQ(tokenizer->vocab_size(), 7u);
  EXPECT_TRUE(tokenizer->is_special(1));
  EXPECT_FALSE(tokenizer->is_special(6));
  EXPECT_FALSE(tokenizer->is_special(100));
  EXPECT_EQ(tokenizer->pair_template().added_to_pair(), 3u);
}

TEST(Tokenizer, ThreadsAgree) {
  const auto tokenizer = tiny();
  const std::vector<int32_t> want = encode(*tokenizer, "abb c a 你 ab");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) EXPECT_EQ(encode(*tokenizer, "abb c a 你 ab"), want);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Two tokenizers used in turns by one thread do not see each other's words.
TEST(Tokenizer, CachesAreApart) {
  std::string other_json = kTiny;
  other_json.replace(other_json.find("\"c\": 4"), 6, "\"c\": 3");
  other_json.replace(other_json.find("\"##b\": 3"), 8, "\"##b\": 4");
  const auto one = tiny(), other = *Tokenizer::from_json(other_json, "other");
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(encode(*one, "c ab"), ElementsAre(4, 2, 3));
    EXPECT_THAT(encode(*other, "c ab"), ElementsAre(3, 2, 4));
  }
}

std::string error_of(std::string_view json) {
  const auto result = Tokenizer::from_json(json, "tokenizer.json");
  return result.ok() ? "no error" : result.status().ToString();
}

std::string with(std::string_view part, std::string_view value) {
  std::string json = R"({"model":{"type":"WordLevel","unk_token":"u","vocab":{"u":0}})";
  return json + ",\"" + std::string(part) + "\":" + std::string(value) + "}";
}

TEST(TokenizerErrors, NameFileAndField) {
  EXPECT_THAT(error_of(""), HasSubstr("INVALID_ARGUMENT: tokenizer.json: not valid JSON"));
  EXPECT_THAT(error_of("[]"), HasSubstr("tokenizer.json: expected an object, found an array"));
  EXPECT_THAT(error_of("{}"), HasSubstr("tokenizer.json: model: expected an object, found nothing"));
  EXPECT_THAT(error_of(R"({"model":{"type":"WordPiece","vocab":[]}})"),
              HasSubstr("tokenizer.json: model.vocab: expected an object, found an array"));
  EXPECT_THAT(error_of(R"({"model":{"type":"WordPiece","vocab":{"a":-1}}})"), HasSubstr("model.vocab: expected an id"));
  EXPECT_THAT(error_of(R"({"model":{"type":"WordPiece","vocab":{"a":99999999999}}})"),
              HasSubstr("model.vocab: expected an id"));
  EXPECT_THAT(error_of(R"({"model":{"type":"WordLevel","unk_token":"x","vocab":{"a":1}}})"),
              HasSubstr("model.unk_token: \"x\" is not in the vocabulary"));
  EXPECT_THAT(error_of(R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["a"]]}})"),
              HasSubstr("model.vocab: expected [token, score] at position 0"));
  EXPECT_THAT(error_of(R"({"model":{"type":"Unigram","unk_id":2,"vocab":[["a",0]]}})"),
              HasSubstr("model.unk_id: expected an integer"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})"),
              HasSubstr("model.merges: merge 0: token \"b\" is not in the vocabulary"));
  EXPECT_THAT(error_of(with("normalizer", R"({"type":"Replace","pattern":{"Regex":"("},"content":""})")),
              HasSubstr("normalizer.pattern.Regex: bad regular expression"));
  EXPECT_THAT(error_of(with("normalizer", R"({"type":"Precompiled","precompiled_charsmap":"AAAA"})")),
              HasSubstr("normalizer.precompiled_charsmap: character map is cut short"));
  EXPECT_THAT(error_of(with("pre_tokenizer", R"({"type":"Sequence","pretokenizers":[{"type":"Digits"}]})")),
              HasSubstr("pre_tokenizer.pretokenizers[0].individual_digits: expected a boolean, found nothing"));
  EXPECT_THAT(error_of(with("post_processor", R"({"type":"BertProcessing","sep":["a",1],"cls":["b"]})")),
              HasSubstr("post_processor.cls"));
  EXPECT_THAT(error_of(with("added_tokens", R"([{"content":5}])")),
              HasSubstr("added_tokens[0].content: expected a string"));
}

TEST(TokenizerErrors, SayWhatIsNotSupported) {
  EXPECT_THAT(error_of(with("normalizer", R"({"type":"Nope"})")),
              HasSubstr("UNIMPLEMENTED: tokenizer.json: normalizer.type"));
  EXPECT_THAT(error_of(with("pre_tokenizer", R"({"type":"UnicodeScripts"})")),
              HasSubstr("\"UnicodeScripts\" is not supported"));
  EXPECT_THAT(error_of(R"({"model":{"type":"CharLevel","vocab":{}}})"), HasSubstr("\"CharLevel\" is not supported"));
}

TEST(TokenizerErrors, HostileFiles) {
  std::string nested;
  for (int i = 0; i < 200; ++i) nested += R"({"type":"Sequence","normalizers":[)";
  nested += R"({"type":"NFC"})";
  for (int i = 0; i < 200; ++i) nested += "]}";
  EXPECT_THAT(error_of(with("normalizer", nested)), HasSubstr("nested too deeply"));
  EXPECT_THAT(error_of(std::string(100000, '[')), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of(std::string(kTiny, 300)), HasSubstr("not valid JSON"));
  // Any prefix and any byte changed gives a tokenizer or a Status, never worse.
  const std::string good = kTiny;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = char(bad[i] ^ (1 << i % 7));
    const auto result = Tokenizer::from_json(bad, "bad");
    if (result.ok()) encode(**result, "ab c 你 [SEP]");
  }
}

std::string repeated(const char* list, const std::string& item, int times) {
  std::string all = item;
  for (int i = 1; i < times; ++i) all += "," + item;
  return std::string(R"({"type":"Sequence",")") + list + "\":[" + all + "]}";
}

TEST(TokenizerErrors, FilesThatMakeTextsMuchLongerAreRefused) {
  const std::string twice = R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  const std::string empty =
      R"({"type":"Replace","pattern":{"String":""},"content":")" + std::string(100000, 'x') + "\"}";
  const std::string bytes = R"({"type":"ByteLevel"})", spaces = R"({"type":"Metaspace","replacement":"_"})";
  const std::string moved =
      R"({"type":"Replace","pattern":{"Regex":"aaaa\\K"},"content":")" + std::string(600, 'x') + "\"}";
  for (const std::string& normalizer :
       {repeated("normalizers", twice, 34), empty, repeated("normalizers", bytes, 34), moved})
    EXPECT_THAT(error_of(with("normalizer", normalizer)), HasSubstr("times as long; 512 is the limit"));
  EXPECT_THAT(error_of(with("pre_tokenizer", repeated("pretokenizers", spaces, 34))), HasSubstr("512 is the limit"));
  EXPECT_TRUE(Tokenizer::from_json(with("normalizer", repeated("normalizers", twice, 3)), "t").ok());
}

class Folder : public testing::Test {
 protected:
  Folder() : path_(std::filesystem::temp_directory_path() / ("rerankd_text_test_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() override { std::filesystem::remove_all(path_); }
  void write(const char* name, std::string_view text) { std::ofstream(path_ / name) << text; }

  std::filesystem::path path_;
};

TEST_F(Folder, SaysWhatIsMissing) {
  const auto result = Tokenizer::from_folder(path_.string());
  EXPECT_EQ(result.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("tokenizer.json: not found"));
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("vocab.txt"));
}

TEST_F(Folder, ReadsTheModelsLengthWhenItSaysAny) {
  write("tokenizer.json", kTiny);
  EXPECT_EQ((*Tokenizer::from_folder(path_.string()))->model_max_length(), std::nullopt);
  write("tokenizer_config.json", R"({"model_max_length": 512})");
  EXPECT_EQ((*Tokenizer::from_folder(path_.string()))->model_max_length(), 512u);
  write("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})");
  EXPECT_EQ((*Tokenizer::from_folder(path_.string()))->model_max_length(), std::nullopt);
  write("tokenizer_config.json", "{");
  EXPECT_THAT(std::string(Tokenizer::from_folder(path_.string()).status().message()),
              HasSubstr("tokenizer_config.json: not a JSON object"));
  write("tokenizer_config.json",
        "\xEF\xBB\xBF"
        R"({"model_max_length": "512", "x": NaN})");
  EXPECT_EQ((*Tokenizer::from_folder(path_.string()))->model_max_length(), 512u);
  write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer", "do_lower_case": "no"})");
  EXPECT_THAT(std::string(Tokenizer::from_folder(path_.string()).status().message()),
              HasSubstr("do_lower_case: expected a boolean"));
}

// The ids are those of transformers 5.23 for the same two files.
TEST_F(Folder, AClassThatIsNamedBesideTheFileAppliesItsFields) {
  const auto ids = [&](const std::string& model, const std::string& config) {
    const std::string source = RERANKD_SOURCE_DIR "/tests/data/models/" + model + "/tokenizer.json";
    std::filesystem::copy_file(source, path_ / "tokenizer.json", std::filesystem::copy_options::overwrite_existing);
    write("tokenizer_config.json", config);
    const auto tokenizer = Tokenizer::from_folder(path_.string());
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return encode(**tokenizer, "Rain Café 北京 where");
  };
  const std::vector<int32_t> plain = {25, 144, 77, 10, 86, 98, 76, 60, 58, 128, 133};
  EXPECT_EQ(ids("bert-a", R"({"tokenizer_class":"BertTokenizer"})"), plain);
  EXPECT_EQ(ids("bert-a", R"({"tokenizer_class":"PreTrainedTokenizerFast","do_lower_case":false})"), plain);
  EXPECT_THAT(ids("bert-a", R"({"tokenizer_class":"BertTokenizer","do_lower_case":false})"),
              ElementsAre(1, 1, 60, 58, 128, 133));
  EXPECT_THAT(ids("bert-a", R"({"tokenizer_class":"BertTokenizerFast","strip_accents":false})"),
              ElementsAre(25, 144, 77, 1, 60, 58, 128, 133));
  EXPECT_THAT(ids("bert-a", R"({"tokenizer_class":"BertTokenizerFast","tokenize_chinese_chars":false})"),
              ElementsAre(25, 144, 77, 10, 86, 98, 76, 1, 128, 133));
  EXPECT_THAT(ids("electra-a", R"({"tokenizer_class":"ElectraTokenizer","do_lower_case":false})"),
              ElementsAre(1, 1, 60, 58, 128, 135));
  EXPECT_THAT(ids("distilbert-a", R"({"tokenizer_class":"DistilBertTokenizer","do_lower_case":false})"),
              ElementsAre(1, 1, 60, 58, 186));
  const std::vector<int32_t> roberta = {54, 69, 308, 225, 39, 69, 74, 132, 107, 452, 263, 336};
  EXPECT_EQ(ids("roberta-a", R"({"tokenizer_class":"RobertaTokenizer"})"), roberta);
  EXPECT_EQ(ids("roberta-a", R"({"tokenizer_class":"PreTrainedTokenizerFast","add_prefix_space":true})"), roberta);
  std::vector<int32_t> prefixed = roberta;
  prefixed.insert(prefixed.begin(), 225);
  EXPECT_EQ(ids("roberta-a", R"({"tokenizer_class":"RobertaTokenizer","add_prefix_space":true})"), prefixed);
}

// Fields with which transformers 5.24 gives other ids, and that we do not apply.
TEST_F(Folder, AFieldThatIsNotAppliedIsRefusedByName) {
  const auto status = [&](const std::string& model, const std::string& config, const std::string& from = "",
                          const std::string& to = "") {
    std::string json = *read_file(RERANKD_SOURCE_DIR "/tests/data/models/" + model + "/tokenizer.json", 1u << 24);
    if (!from.empty()) json.replace(json.find(from), from.size(), to);
    write("tokenizer.json", json);
    write("tokenizer_config.json", config);
    return Tokenizer::from_folder(path_.string()).status();
  };
  EXPECT_TRUE(status("deberta-a", R"({"tokenizer_class":"DebertaV2Tokenizer","do_lower_case":false})").ok());
  EXPECT_TRUE(status("xlm-roberta-a", R"({"tokenizer_class":"XLMRobertaTokenizer","add_prefix_space":true})").ok());
  EXPECT_TRUE(status("xlm-roberta-a", R"({"tokenizer_class":"GemmaTokenizer","add_prefix_space":false})").ok());
  for (const char* field : {"do_lower_case", "split_by_punct"}) {
    const Status refused =
        status("deberta-a", std::string(R"({"tokenizer_class":"DebertaV2TokenizerFast",")") + field + "\":true}");
    EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr(field));
  }
  const std::string plain = R"({"tokenizer_class":"XLMRobertaTokenizer","add_prefix_space":false})";
  EXPECT_THAT(std::string(status("xlm-roberta-a", plain).message()), HasSubstr("add_prefix_space: false"));
  EXPECT_TRUE(status("xlm-roberta-a", plain, R"("prepend_scheme": "always")", R"("prepend_scheme": "never")").ok())
      << "tokenizer.json says the same";
}

TEST_F(Folder, ReadsTheLengthByItsOldName) {
  write("tokenizer.json", kTiny);
  write("tokenizer_config.json", R"({"max_len": 256})");
  EXPECT_EQ((*Tokenizer::from_folder(path_.string()))->model_max_length(), 256u);
}

}  // namespace
}  // namespace rerank::text
