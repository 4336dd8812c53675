// Chat templates as prompts: the ids that Jinja and `tokenizers` make of them (tools/goldens/make_chat_goldens.py),
// what of a folder is taken, and templates that cannot be.
#include "text/chat/chat_template.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "simdjson.h"
#include "text/chat/jinja.h"
#include "text/pair_encoder.h"

namespace rerank::text {
namespace {

using testing::HasSubstr;

const std::string kData = std::string(RERANKD_SOURCE_DIR) + "/tests/data/";

std::shared_ptr<const Tokenizer> qwen3() {
  static const auto tokenizer = *Tokenizer::from_folder(kData + "decoders/qwen3-a");
  return tokenizer;
}

std::vector<int32_t> encode(const PairEncoder& encoder, const QueryText& query, std::string_view document) {
  std::vector<int32_t> first, second;
  const auto cut = encoder.encode_query(query, first);
  EXPECT_TRUE(cut.ok()) << cut.status();
  encoder.encode_document(document, second);
  return join_pair(encoder.pieces(), first, second, {.max_length = 4096, .strategy = encoder.strategy()}).ids;
}

TEST(ChatTemplate, MakesTheIdsOfJinjaAndTokenizers) {
  simdjson::dom::parser parser;
  simdjson::dom::document_stream lines = parser.load_many(kData + "chat/templates.jsonl");
  std::map<std::string, size_t> compared;
  std::string source;
  for (const simdjson::dom::element line : lines) {
    const std::string name(line["name"].get_string().value());
    if (!line["template"].is_null()) source = line["template"].get_string().value();
    const ChatSettings settings{.add_generation_prompt = bool(line["add_generation_prompt"]),
                                .eos_token = "<|im_end|>"};
    const auto prompt = prompt_of_chat(name, source, settings);
    ASSERT_TRUE(prompt.ok()) << prompt.status();
    const auto encoder = PairEncoder::with_prompt(qwen3(), *prompt, {});
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    QueryText query{.query = line["query"], .max_length = 4096};
    if (!line["instruction"].is_null()) query.instruction = std::string_view(line["instruction"]);
    // Where a template passes over the instruction, a request may not have one.
    if (query.instruction && !(*encoder)->takes_instruction()) continue;
    std::vector<int32_t> want;
    for (const int64_t id : line["ids"].get_array()) want.push_back(int32_t(id));
    EXPECT_EQ(encode(**encoder, query, line["document"]), want) << name << ": " << query.query;
    ++compared[name];
  }
  EXPECT_THAT(compared, testing::UnorderedElementsAre(testing::Pair("set", 20), testing::Pair("inline", 20),
                                                      testing::Pair("content", 10), testing::Pair("joined", 10),
                                                      testing::Pair("task", 20), testing::Pair("loop", 20)));
}

std::string repeated(const std::string& text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ChatTemplate, WhatIsNotTakenIsNamed) {
  const std::string query = "{{ messages[0].content }}", document = "<|im_end|>{{ messages[1].content }}";
  const std::pair<std::string, const char*> cases[] = {
      {query + document + "{% macro x() %}{% endmacro %}", "line 1: {% macro %} is not supported"},
      {query + "\n{{ messages | tojson }}", "line 2: filter `tojson` is not supported"},
      {"{{ messages[0].content | trim }}" + document, "trim of the query's, the document's or the instruction's text"},
      {"{% if messages[0].content == 'a' %}" + query + "{% endif %}", "`==` of the query's"},
      {"{% for c in messages[0].content %}{{ c }}{% endfor %}", "a loop through what is no list"},
      {query + "{{ strftime_now('%Y') }}", "`strftime_now()` is not supported"},
      {query + "{{ raise_exception('only chats') }}", "it says: only chats"},
      {query + document + "{% if true %}", "{% endif %} is missing"},
      {query + document + "{{ 'no end }}", "`{{` has no `}}`"},
      {query + document + "{{ 1 + }}", "a value is missing"},
      {query + document + "{{ nothing.content }}", "`content` of what is not there"},
      {query + document + "{{ '{query}' }}", "it prints {query}"},
      {query + document +
           "{% for a in [1,1,1,1,1,1,1,1] %}{% for b in [1,1,1,1,1,1,1,1] %}{% for c in [1,1,1,1,1,1,1,1] %}"
           "{% for d in [1,1,1,1,1,1,1,1] %}{% for e in [1,1,1,1,1,1,1,1] %}{% for f in [1,1,1,1,1,1,1,1] %}"
           "{{ a }}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
       "it takes too many steps"},
      {"{{ " + std::string(2000, '(') + " }}", "an expression is too deep"},
      {"{{ 1" + repeated("+1", 1000) + " }}", "an expression of more than 2000 names, values and signs"},
      {repeated("{% set a = [a] %}", 100), "too deeply nested"},
      {"{% set a = 'aaaaaaaa' %}" + repeated("{% set a = a ~ a %}", 20), "more than 1048576 bytes"},
      {"{% set a = 'aaaaaaaa' %}" + repeated("{% set a = a ~ a %}", 16) + repeated("{% set b = [a] %}", 1000),
       "it takes too many steps"},
  };
  for (const auto& [source, message] : cases) {
    const auto prompt = prompt_of_chat("t.jinja", source, {});
    ASSERT_FALSE(prompt.ok()) << source;
    EXPECT_THAT(prompt.status().ToString(), HasSubstr(message)) << source;
    EXPECT_THAT(prompt.status().ToString(), HasSubstr("t.jinja: this chat template: ")) << source;
  }
}

TEST(ChatTemplate, BracesThatOpenNothingAreText) {
  for (const std::string braces : {"{", "{ a }", "{}", "} %} }}"}) {
    const auto text = render_jinja(braces + " {{ 1 }}" + braces, {});
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_EQ(*text, braces + " 1" + braces);
  }
}

// A few hundred bytes that would make gigabytes, or run for hours.
TEST(ChatTemplate, WhatATemplateMakesIsBounded) {
  const auto error = [](const std::string& source) { return std::string(render_jinja(source, {}).status().message()); };
  std::string doubled = "{% set a = 'xxxxxxxxxxxxxxxx' %}";
  for (int i = 0; i < 15; ++i) doubled += "{% set a = a ~ a %}";
  EXPECT_THAT(error(doubled + "{% set l = [a, a, a, a] %}"), HasSubstr("a value of more than"));
  EXPECT_THAT(error(doubled + "{% set a = a ~ a ~ a %}"), HasSubstr("a text of more than"));
  EXPECT_THAT(error(doubled + "{{ [1, 2, 3, 4, 5, 6, 7, 8, 9] | join(a) }}"), HasSubstr("a text of more than"));
  std::string number = "{% set n = 999999999 %}";
  for (int i = 0; i < 40; ++i) number += "{% set n = n + n %}";
  EXPECT_THAT(error(number), HasSubstr("a number of more than 64 bits"));
  EXPECT_EQ(*render_jinja("{% for x in [1, 2] %}{% for x in [3] %}{{ x }}{% endfor %}{{ x }}{% endfor %}{{ x }}", {}),
            "3132");
}

TEST(ChatTemplate, WhatCannotBeDividedIsRefused) {
  const std::string query = "{{ messages[0].content }}", document = "{{ messages[1].content }}";
  const std::pair<std::string, const char*> cases[] = {
      {query + document, "what stands between {query} and {document}"},
      {document + "<|im_end|>" + query + query, "needs {query} once, has it 2 times"},
      {query + "<|im_end|>" + document + "\nIs it relevant?", "the end of {document}"},
      {query + "-" + document, "what stands between {query} and {document}"},
      {document + "\n<Query> " + query, "what stands between {document} and {query}"},
  };
  for (const auto& [source, message] : cases) {
    const auto prompt = prompt_of_chat("t.jinja", source, {});
    ASSERT_TRUE(prompt.ok()) << prompt.status();
    const auto encoder = PairEncoder::with_prompt(qwen3(), *prompt, {});
    ASSERT_FALSE(encoder.ok()) << source;
    EXPECT_THAT(encoder.status().ToString(), HasSubstr(message)) << source;
  }
}

class FolderPrompt : public testing::Test {
 protected:
  FolderPrompt() : folder_(testing::TempDir() + "chat_template_test." + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~FolderPrompt() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ + "/" + name) << text; }
  std::string prompt() {
    const auto found = folder_prompt(folder_);
    EXPECT_TRUE(found.ok()) << found.status();
    return !found.ok() ? "" : !*found ? "none" : (*found)->text;
  }
  const std::string folder_;
};

constexpr const char* kPairs =
    "{% for m in messages %}{{ m.content if m.role in [\\\"query\\\", \\\"document\\\"] }}|{% endfor %}";

TEST_F(FolderPrompt, ComesFromTheFilesThatTransformersReads) {
  EXPECT_EQ(prompt(), "none");
  write("tokenizer_config.json",
        R"({"chat_template": "{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}"})");
  EXPECT_EQ(prompt(), "none");  // of a chat
  write("tokenizer_config.json", std::string(R"({"chat_template": ")") + kPairs + "\"}");
  EXPECT_EQ(prompt(), "{query}|{document}|");
  write("tokenizer_config.json",
        std::string(R"({"bos_token": {"content": "<b>"}, "chat_template": [{"name": "default",)"
                    R"("template": "a chat's"}, {"name": "rerank", "template": "{{ bos_token }})") +
            kPairs + "\"}]}");
  EXPECT_EQ(prompt(), "<b>{query}|{document}|");
  const std::string own =
      "{{ (messages | selectattr('role', 'eq', 'query') | first).content }} - "
      "{{ (messages | selectattr('role', 'eq', 'document') | first).content }}{% if add_generation_prompt %}:{% endif "
      "%}\n";
  write("chat_template.jinja", own);
  EXPECT_EQ(prompt(), "{query} - {document}");
  write("sentence_bert_config.json", R"({"processing_kwargs": {"chat_template": {"add_generation_prompt": true}}})");
  EXPECT_EQ(prompt(), "{query} - {document}:");
  write("sentence_bert_config.json", R"({"processing_kwargs": {"chat_template": {"enable_thinking": true}}})");
  EXPECT_THAT(folder_prompt(folder_).status().ToString(),
              HasSubstr("sentence_bert_config.json: processing_kwargs.chat_template.enable_thinking: only"));
}

}  // namespace
}  // namespace rerank::text
