#include "rank/service/request_settings.h"

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::rank {

Status check_request(const ServiceParts& parts, const RerankRequest& request) {
  if (request.documents.size() > parts.max_documents) {
    return absl::OutOfRangeError(str_cat(request.documents.size(), " documents are more than the limit of ",
                                         parts.max_documents, " (--max-documents)"));
  }
  RETURN_IF_ERROR(parts.texts->check_instruction(request.instruction.has_value()));
  if (request.instruction && request.instruction->size() > kMaxInstructionBytes)
    return absl::OutOfRangeError(str_cat("`instruction` has ", request.instruction->size(), " bytes; ",
                                         kMaxInstructionBytes, " is the limit: it is said again with each pair"));
  if (request.layers > parts.model_layers) {
    return absl::OutOfRangeError(str_cat("`layers` is ", request.layers, ", and this model has ", parts.model_layers));
  }
  if (request.layers != 0 && request.layers < parts.first_output) {
    return absl::OutOfRangeError(str_cat("`layers` is ", request.layers, ", and this model has outputs after layers ",
                                         parts.first_output, " to ", parts.model_layers));
  }
  if (!parts.depth && request.layers != 0 && request.layers < parts.model_layers) {
    return absl::InvalidArgumentError(
        str_cat("`layers`: engine ", parts.info.engine, ", which serves this model, computes all layers"));
  }
  if (request.deadline && Clock::now() > *request.deadline)
    return absl::DeadlineExceededError("the deadline has passed");
  const Truncation how = fit_spec(parts, request).truncation;
  if (parts.lists && how != Truncation::kHead && how != Truncation::kTail) {
    return absl::InvalidArgumentError(
        "`truncation`: of documents that are scored together this model keeps the beginning (head) or the end (tail)");
  }
  return ok_status();
}

uint8_t layers_of(const ServiceParts& parts, const RerankRequest& request) {
  return static_cast<uint8_t>(request.layers != 0 ? request.layers : parts.layers);
}

text::FitSpec fit_spec(const ServiceParts& parts, const RerankRequest& request) {
  text::FitSpec spec;
  spec.max_length = parts.info.max_length;
  spec.strategy = parts.texts->strategy();
  if (request.max_length > 0) spec.max_length = std::min(spec.max_length, request.max_length);
  spec.max_document_tokens = request.max_document_tokens;
  const bool left = request.truncation_side == TruncationSide::kLeft;
  spec.truncation = request.truncation.value_or(left ? Truncation::kTail : parts.truncation);
  spec.chunking.overlap = request.chunk_overlap.value_or(parts.chunking.overlap);
  spec.chunking.best = request.chunk_best.value_or(parts.chunking.best);
  spec.chunking.max_chunks = parts.chunking.max_chunks;
  if (request.max_chunks > 0) spec.chunking.max_chunks = std::min(spec.chunking.max_chunks, request.max_chunks);
  return spec;
}

}  // namespace rerank::rank
