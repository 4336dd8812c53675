// A query, tokenized once for all requests that share it. Included only within this room.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "text/long_document.h"
#include "text/pair_encoder.h"

namespace rerank::rank {

// A query as pairs and keys are made of it. Requests that share one have one of these, and each step is done once.
class PreparedQuery {
 public:
  PreparedQuery(const std::string& text, const HashKey& key) : hash(keyed_hash(key, text)) {}

  // Any thread. The first call's error is every call's.
  Status tokenize(const text::PairEncoder& texts, const text::QueryText& text) const {
    std::call_once(tokenized_, [&] {
      auto cut = texts.encode_query(text, ids_);
      if (!cut.ok()) {
        failure_ = cut.status();
        return;
      }
      cut_ = *cut;
      terms_.emplace(ids_);
    });
    return failure_;
  }

  const Hash128 hash;  // of the text
  // After tokenize():
  const std::vector<int32_t>& ids() const { return ids_; }
  const text::QueryTerms& terms() const { return *terms_; }
  bool cut() const { return cut_; }

 private:
  mutable std::once_flag tokenized_;
  mutable Status failure_;
  mutable std::vector<int32_t> ids_;
  mutable std::optional<text::QueryTerms> terms_;
  mutable bool cut_ = false;
};

}  // namespace rerank::rank
