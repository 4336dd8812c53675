#include "rank/service/tokenizing.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "rank/service/request_settings.h"

namespace rerank::rank {
namespace {

// Documents are handed to the pool in portions of about this many bytes: some 100 us of tokenizing each.
constexpr size_t kUnitBytes = 16384;

// No language has more bytes to a token, on the average of a text: a request has at least this many tokens.
constexpr size_t kBytesPerToken = 8;

// One unknown token of so many is told: names and signs that a vocabulary lacks are not.
constexpr size_t kMostUnknown = 5;

// What a request's transport counts for the ids of a text, for each of its bytes (transport::kWorkBytesPerByte, without
// the text itself).
constexpr size_t kCountedForIds = 8;
// Texts below this size are encoded without being measured: what they become is bounded by the tokenizer
// (text::Tokenizer::normalized_bytes()) and the number of threads.
constexpr size_t kSmallText = 16384;
// Beside each byte of a normalized text, while it is encoded: a copy in the making, its words, and the best
// segmentations that end at each of them.
constexpr size_t kEncodingBytesPerByte = 12;

// Encodes a text by `encode`, which appends to `ids`, and counts what that takes, where a text becomes much longer than
// it is: U+FDFA, of 3 bytes, becomes 18 letters.
template <class Encode>
Status encode_counted(const ServiceParts& parts, Work& work, std::string_view text, const std::vector<int32_t>& ids,
                      const Encode& encode) {
  HeldMemory meanwhile(work.request->memory);
  if (text.size() >= kSmallText && work.request->memory) {
    const size_t normalized = parts.texts->tokenizer().normalized_bytes(text);
    if (normalized > 2 * text.size())
      RETURN_IF_ERROR(meanwhile.add((normalized - 2 * text.size()) * kEncodingBytesPerByte));
  }
  RETURN_IF_ERROR(encode());
  const size_t taken = ids.capacity() * sizeof(int32_t), counted = kCountedForIds * text.size();
  return taken > counted ? work.held.add(taken - counted) : ok_status();
}

Status tokenize_query(const ServiceParts& parts, Work& work) {
  const RerankRequest& request = *work.request;
  const text::FitSpec spec = fit_spec(parts, request);
  return encode_counted(parts, work, request.query_text(), work.query->ids(), [&] {
    return work.query->tokenize(*parts.texts, {.query = request.query_text(),
                                               .instruction = request.instruction,
                                               // Of lists the text is cut, not its ids.
                                               .max_query_tokens = parts.lists ? 0 : request.max_query_tokens,
                                               .max_length = spec.max_length,
                                               .truncation = spec.truncation});
  });
}

Status tokenize_document(const ServiceParts& parts, ServiceMetrics* metrics, Work& work, size_t document,
                         std::vector<int32_t>& ids) {
  const RerankRequest& request = *work.request;
  cache::TokenCache& cache = *parts.token_cache;
  const std::string& text = request.documents[document];
  const auto encode = [&] {
    return encode_counted(parts, work, text, ids, [&] {
      parts.texts->encode_document(text, ids);
      return ok_status();
    });
  };
  if (!cache.enabled() || !request.use_cache) return encode();
  const Hash128 key = work.texts.empty() ? keyed_hash(parts.hash_key, text) : work.texts[document];
  const bool known = cache.find(key, ids);
  if (metrics) (known ? metrics->token_hits : metrics->token_misses).add();
  if (known) return ok_status();
  RETURN_IF_ERROR(encode());
  cache.insert(key, ids);
  return ok_status();
}

}  // namespace

void prepare_query(const ServiceParts& parts, Work& work) {
  const RerankRequest& request = *work.request;
  const auto make = [&] { return std::make_unique<const PreparedQuery>(request.query_text(), parts.hash_key); };
  if (!request.shared_query) work.own_query = make();
  work.query = request.shared_query ? request.shared_query->prepared<std::unique_ptr<const PreparedQuery>>(make).get()
                                    : work.own_query.get();
}

size_t least_tokens(const ServiceParts& parts, const Work& work) {
  size_t tokens = 0;
  for (size_t i : work.missing)
    tokens += std::min(work.request->documents[i].size() / kBytesPerToken + 1, parts.info.max_length / 2);
  return tokens;
}

void divide_into_units(Work& work) {
  const RerankRequest& request = *work.request;
  size_t first = 0, bytes = request.query_text().size();
  for (size_t i = 0; i < work.missing.size(); ++i) {
    bytes += request.documents[work.missing[i]].size();
    if (bytes < kUnitBytes && i + 1 < work.missing.size()) continue;
    work.units.emplace_back(first, i + 1);
    first = i + 1;
    bytes = 0;
  }
  work.units_left = work.units.size();
}

void tokenize_unit(const ServiceParts& parts, ServiceMetrics* metrics, size_t unit, Work& work) {
  const auto fail = [&](Status status) { std::call_once(work.failed, [&] { work.failure = std::move(status); }); };
  if (work.is_late()) return fail(late());
  if (work.is_cancelled()) return;
  Status status = guarded([&] {
    if (unit == 0) RETURN_IF_ERROR(tokenize_query(parts, work));
    for (size_t m = work.units[unit].first; m < work.units[unit].second; ++m) {
      const size_t i = work.missing[m];
      RETURN_IF_ERROR(tokenize_document(parts, metrics, work, i, work.document_ids[i]));
    }
    return ok_status();
  });
  if (!status.ok()) fail(std::move(status));
}

// A text in a language that the model was not made for is scored, but its score means little: who asks should hear of
// it. Of cached documents nothing is known.
bool count_unknown(const ServiceParts& parts, ServiceMetrics* metrics, Work& work) {
  const auto unknown = parts.texts->tokenizer().unknown_id();
  if (!unknown) return false;
  size_t count = 0, all = 0;
  const auto look_at = [&](const std::vector<int32_t>& ids) {
    count += static_cast<size_t>(std::count(ids.begin(), ids.end(), *unknown));
    all += ids.size();
  };
  look_at(work.query->ids());
  for (size_t i : work.missing) look_at(work.document_ids[i]);
  if (metrics) metrics->unknown.add(static_cast<double>(count));
  if (count == 0 || count * kMostUnknown < all) return false;
  work.warnings.push_back(str_cat(count * 100 / all, " % of the tokens are unknown to ", parts.info.id,
                                  ": scores mean little where a model was not made for a text's language"));
  return true;
}

}  // namespace rerank::rank
