#include "rank/lists/list_job.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/strings.h"
#include "rank/lists/list_scores.h"
#include "rank/service/request_settings.h"

namespace rerank::rank {

Result<std::unique_ptr<schedule::Job>> job_of_lists(const ServiceParts& parts, const schedule::Scheduler& scheduler,
                                                    Work& work) {
  const RerankRequest& request = *work.request;
  const text::FitSpec spec = fit_spec(parts, request);
  const text::ListTexts texts = {.query = request.query_text(),
                                 .query_ids = work.query->ids(),
                                 .documents = request.documents,
                                 .document_ids = work.document_ids,
                                 .instruction = request.instruction,
                                 .max_length = spec.max_length,
                                 .max_query_tokens = request.max_query_tokens,
                                 .max_document_tokens = spec.max_document_tokens,
                                 .keep_end = spec.truncation == Truncation::kTail};
  ASSIGN_OR_RETURN(const auto limits, parts.lists->limits(texts));
  size_t tokens = 0;
  const bool query_cut = work.query->cut() || work.query->ids().size() > limits.query;
  for (size_t i = 0; i < work.documents.size(); ++i) {
    ScoredDocument& d = work.documents[i];
    const size_t all = work.document_ids[i].size(), kept = std::min(all, limits.document);
    if (kept < all && !request.truncate) {
      return absl::OutOfRangeError(
          str_cat("document ", i, " has ", all, " tokens; this model reads ", limits.document, " of each"));
    }
    tokens += kept;
    d.truncated = query_cut || kept < all;
    d.document_tokens = static_cast<uint32_t>(all);
    const size_t first = texts.keep_end ? all - kept : 0;
    if (request.explain_cuts) d.kept = {{static_cast<uint32_t>(first), static_cast<uint32_t>(first + kept)}};
  }
  if (tokens > parts.planner.max_queued_tokens) {  // before memory is taken
    RETURN_IF_ERROR(scheduler.check(tokens, request.priority, request.deadline));
  }
  ASSIGN_OR_RETURN(std::vector<text::ListBlock> blocks, parts.lists->blocks(texts));
  auto job = std::make_unique<schedule::Job>();
  job->result_offsets.push_back(0);
  for (text::ListBlock& block : blocks) {
    job->pairs.add(block.ids);
    job->result_offsets.push_back(job->result_offsets.back() +
                                  static_cast<uint32_t>((block.count + 1) * parts.vector_width));
    for (size_t i = 0; i < block.count; ++i) work.documents[block.first + i].tokens = block.tokens[i];
    block.ids = {};
  }
  work.blocks = std::move(blocks);
  for (std::vector<int32_t>& ids : work.document_ids) ids = {};
  return job;
}

void take_list_scores(const ServiceParts& parts, ServiceMetrics* metrics, const schedule::Job& job, Work& work) {
  const std::vector<float> scores = list_scores(work.blocks, job.logits, parts.vector_width);
  for (size_t i = 0; i < scores.size(); ++i) work.documents[i].logit = scores[i];
  for (size_t b = 0; metrics && b < work.blocks.size(); ++b)
    metrics->lengths.observe(static_cast<double>(job.pairs.length(b)));
}

}  // namespace rerank::rank
