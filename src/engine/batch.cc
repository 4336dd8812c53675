#include "base/strings.h"
#include "engine/backend.h"
#include "engine/encoder.h"

namespace rerank::engine {

Status check_batch(const model::Architecture& a, const Batch& batch) {
  if (batch.segments.size() != batch.ids.size())
    return absl::InvalidArgumentError("batch: segments and ids differ in length");
  if (batch.offsets.empty() || batch.offsets.front() != 0 || batch.offsets.back() != batch.ids.size()) {
    return absl::InvalidArgumentError("batch: offsets do not span the ids");
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch.offsets[i] >= batch.offsets[i + 1])
      return absl::InvalidArgumentError("batch: empty or unordered sequence");
    if (batch.length(i) > a.max_length) {
      return absl::InvalidArgumentError(
          str_cat("batch: sequence of ", batch.length(i), " tokens, the model takes ", a.max_length));
    }
  }
  if (!batch.layers.empty() && batch.layers.size() != batch.size())
    return absl::InvalidArgumentError("batch: layers are not given for each sequence");
  if (!batch.shared_tokens.empty() && batch.shared_tokens.size() != batch.size())
    return absl::InvalidArgumentError("batch: shared tokens are not given for each sequence");
  for (uint8_t layers : batch.layers) {
    if (layers > a.layers())
      return absl::InvalidArgumentError(str_cat("batch: ", layers, " layers of a model that has ", a.layers()));
  }
  const int32_t segment_rows = a.embedding.segment_rows == 0 ? 1 : static_cast<int32_t>(a.embedding.segment_rows);
  for (size_t i = 0; i < batch.ids.size(); ++i) {
    if (batch.ids[i] < 0 || static_cast<size_t>(batch.ids[i]) >= a.embedding.vocabulary) {
      return absl::InvalidArgumentError(str_cat("batch: token id ", batch.ids[i], " is outside the vocabulary of ",
                                                a.embedding.vocabulary,
                                                " (does tokenizer.json belong to this model?)"));
    }
    if (batch.segments[i] < 0 || batch.segments[i] >= segment_rows) {
      return absl::InvalidArgumentError(
          str_cat("batch: segment ", batch.segments[i], " is outside the table of ", segment_rows));
    }
  }
  return ok_status();
}

std::vector<uint32_t> marked_rows(const model::Architecture& a, const Batch& batch) {
  std::vector<uint32_t> rows;
  const auto document = static_cast<int32_t>(a.scoring.marks->document_id),
             query = static_cast<int32_t>(a.scoring.marks->query_id);
  for (uint32_t t = 0; t < batch.tokens(); ++t)
    if (batch.ids[t] == document || batch.ids[t] == query) rows.push_back(t);
  return rows;
}

size_t result_count(const model::Architecture& a, const Batch& batch) {
  return a.scoring.marks ? marked_rows(a, batch).size() * a.scoring.labels : batch.size();
}

Status check_full_depth(const model::Architecture& a, const Batch& batch, std::string_view engine) {
  for (uint8_t layers : batch.layers) {
    if (layers != 0 && layers < a.layers())
      return absl::UnimplementedError(str_cat(engine, " engine: computes all layers; it cannot stop after ", layers));
  }
  return ok_status();
}

Status Backend::forward_contests(const Batch& batch, std::span<const Contest>, std::span<float> logits,
                                 std::span<uint8_t> depths) {
  for (size_t i = 0; i < batch.size(); ++i) depths[i] = batch.layers.empty() ? 0 : batch.layers[i];
  return forward(batch, logits);
}

}  // namespace rerank::engine
