#include "model/answers.h"

#include <filesystem>
#include <optional>

#include "base/json/reader.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/files/gguf_model.h"

namespace rerank::model {
namespace {

constexpr size_t kMaxTokenizerBytes = 256u << 20;  // ten times the largest that is known

// The number of the token that is spelt so, in a tokenizer.json: among added tokens, or in the model's vocabulary,
// which is an object of numbers, or (Unigram) a list of pairs whose place is the number.
std::optional<size_t> token_number(const JsonFile& tokenizer, std::string_view spelling) {
  simdjson::dom::array added, pairs;
  uint64_t id = 0;
  if (tokenizer.root()["added_tokens"].get(added) == simdjson::SUCCESS) {
    for (const simdjson::dom::element token : added) {
      std::string_view content;
      if (!token["content"].get(content) && content == spelling && !token["id"].get(id)) return id;
    }
  }
  const auto vocabulary = tokenizer.root()["model"]["vocab"];
  simdjson::dom::object names;
  if (vocabulary.get(names) == simdjson::SUCCESS) {
    if (names.at_key(spelling).get(id)) return {};
    return id;
  }
  if (vocabulary.get(pairs)) return {};
  size_t place = 0;
  for (const simdjson::dom::element pair : pairs) {
    std::string_view content;
    if (!pair.at(0).get(content) && content == spelling) return place;
    ++place;
  }
  return {};
}

// sentence-transformers: modules.json lists modules; a LogitScore has the numbers of one or two tokens.
Status read_logit_score(const std::string& folder, Answers& answers) {
  std::error_code error;
  const std::string home = companions_of(folder), list = home + "/modules.json";
  if (!std::filesystem::exists(list, error)) return ok_status();
  ASSIGN_OR_RETURN(auto text, read_file(list, 1u << 20));
  simdjson::dom::parser parser;
  simdjson::dom::array modules;
  if (parser.parse(text).get(modules)) return absl::InvalidArgumentError(list + ": not a JSON array");
  for (const simdjson::dom::element module : modules) {
    std::string_view type, path;
    if (module["type"].get(type) || !type.ends_with(".LogitScore") || module["path"].get(path)) continue;
    if (path.find("..") != std::string_view::npos || path.starts_with('/'))
      return absl::InvalidArgumentError(str_cat(list, ": path: ", path, " leaves the model's folder"));
    JsonFile settings;
    RETURN_IF_ERROR(settings.load(str_cat(home, "/", path, "/config.json")));
    ASSIGN_OR_RETURN(auto positive, settings.get_size("true_token_id"));
    answers = {};
    answers.positive_id = positive;
    if (settings.at("false_token_id").is_null()) return ok_status();
    ASSIGN_OR_RETURN(auto negative, settings.get_size("false_token_id"));
    answers.negative_id = negative;
    return ok_status();
  }
  return ok_status();
}

Status find_numbers(const std::string& folder, Answers& answers) {
  if (answers.positive_id) return ok_status();
  JsonFile tokenizer;
  RETURN_IF_ERROR(tokenizer.load(companions_of(folder) + "/tokenizer.json", kMaxTokenizerBytes));
  const auto find = [&](const std::string& spelling, std::optional<size_t>& id) {
    id = token_number(tokenizer, spelling);
    if (id) return ok_status();
    return absl::InvalidArgumentError(str_cat(tokenizer.origin(), ": the answer \"", spelling,
                                              "\" is not one token of it: this model cannot be scored by its logit"));
  };
  RETURN_IF_ERROR(find(answers.positive, answers.positive_id));
  return answers.negative.empty() ? ok_status() : find(answers.negative, answers.negative_id);
}

}  // namespace

Status find_answers(const std::string& folder, Scoring& scoring) {
  Answers& answers = *scoring.answers;
  RETURN_IF_ERROR(read_logit_score(folder, answers));
  RETURN_IF_ERROR(find_numbers(folder, answers));
  scoring.labels = answers.two() && scoring.softcap != 0 ? 2 : 1;
  return ok_status();
}

Status find_marks(const std::string& folder, Architecture& a) {
  Marks& marks = *a.scoring.marks;
  JsonFile tokenizer;
  RETURN_IF_ERROR(tokenizer.load(companions_of(folder) + "/tokenizer.json", kMaxTokenizerBytes));
  const auto find = [&](const std::string& spelling, size_t& id) {
    const auto found = token_number(tokenizer, spelling);
    if (found && *found < a.embedding.vocabulary) {
      id = *found;
      return ok_status();
    }
    return absl::InvalidArgumentError(str_cat(tokenizer.origin(), ": the token \"", spelling,
                                              "\", which this model's vectors are read at, is not one of the ",
                                              a.embedding.vocabulary, " that it has"));
  };
  RETURN_IF_ERROR(find(marks.document, marks.document_id));
  return find(marks.query, marks.query_id);
}

std::vector<float> answer_rows(const Scoring& scoring, const TensorView& vocabulary) {
  const size_t width = vocabulary.shape[1];
  const auto row = [&](size_t token) {
    std::vector<float> values(width);
    vocabulary.read_floats(token * width, values);
    return values;
  };
  std::vector<float> positive = row(*scoring.answers->positive_id);
  if (!scoring.answers->negative_id) return positive;
  std::vector<float> negative = row(*scoring.answers->negative_id);
  if (scoring.labels == 2) {
    negative.insert(negative.end(), positive.begin(), positive.end());
    return negative;
  }
  for (size_t i = 0; i < width; ++i) positive[i] -= negative[i];
  return positive;
}

}  // namespace rerank::model
