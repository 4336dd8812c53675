#include "cli/commands/calibration_pairs.h"

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"
#include "eval/data/collection.h"
#include "rank/texts.h"

namespace rerank::cli {
namespace {

constexpr size_t kMaxPairs = 64, kMaxTokens = 256;

// Questions with a text that answers and one that does not.
const std::vector<eval::LooseText>& own_texts() {
  static const std::vector<eval::LooseText> texts = {
      {"what do pandas eat?", "The giant panda lives on bamboo, of which it eats up to forty kilograms a day."},
      {"what do pandas eat?", "The city was founded in the twelfth century and has two million inhabitants today."},
      {"how do I reset my password",
       "Open the settings, choose Account, then Security, and press Reset password. A link is sent to the address that "
       "you signed up with; it is valid for one hour. If it does not arrive, look into the spam folder first."},
      {"how do I reset my password", "Invoices are sent on the first of each month, as PDF, to the billing contact."},
      {"boiling point of water at high altitude",
       "Since the pressure of the air falls with height, water boils below 100 °C in the mountains: at about 93 °C at "
       "2,000 m, and at 87 °C at 4,000 m. Food takes longer to cook there."},
      {"boiling point of water at high altitude",
       "SELECT name, price FROM items WHERE price > 100 ORDER BY price DESC;"},
      {"Was kostet der Versand nach Österreich?",
       "Nach Österreich liefern wir in drei Tagen; der Versand kostet 7,90 €."},
      {"Was kostet der Versand nach Österreich?", "Die Batterie lässt sich in wenigen Minuten ohne Werkzeug wechseln."},
      {"北京今天的天气怎么样", "北京今天晴，最高气温二十五度，微风，适合户外活动。"},
      {"北京今天的天气怎么样", "本公司成立于一九九八年，主要从事软件开发与咨询服务。"},
      {"TypeError: 'NoneType' object is not iterable",
       "The function returns None when nothing is found, and the caller loops over its result. Return an empty list "
       "instead, or check for None before the loop."},
      {"TypeError: 'NoneType' object is not iterable", "Tickets can be returned up to 24 hours before departure."},
  };
  return texts;
}

}  // namespace

Status CalibrationPairs::read(const std::string& path, const model::Model& model) {
  ASSIGN_OR_RETURN(const auto encoder, rank::open_texts(model.folder, model.config, {}));
  std::vector<eval::LooseText> texts = own_texts();
  if (!path.empty()) {
    ASSIGN_OR_RETURN(auto read, eval::read_texts(path, kMaxPairs));
    texts = std::move(read);
    if (texts.empty() || texts.front().query.empty())
      return absl::InvalidArgumentError(str_cat("--texts ", path, ": holds no {\"query\", \"document\"} lines"));
  }
  text::TruncationSpec spec{.strategy = encoder->strategy()};
  spec.max_length = std::min(model.config.max_length(), kMaxTokens);
  std::vector<int32_t> query, document;
  for (const eval::LooseText& text : texts) {
    query.clear();
    document.clear();
    RETURN_IF_ERROR(encoder->encode_query({.query = text.query, .max_length = spec.max_length}, query).status());
    encoder->encode_document(text.text, document);
    text::EncodedPair pair = text::join_pair(encoder->pieces(), query, document, spec);
    if (pair.ids.empty()) continue;
    if (model.config.architecture.embedding.segment_rows <= 1) pair.type_ids.clear();
    batch_.add(pair.ids, pair.type_ids);
  }
  return ok_status();
}

}  // namespace rerank::cli
