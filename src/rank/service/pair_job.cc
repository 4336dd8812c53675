#include "rank/service/pair_job.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/strings.h"
#include "engine/depth/seen_outputs.h"
#include "rank/service/request_settings.h"

namespace rerank::rank {
namespace {

// A token of a pair: its id and its segment. A query of 8,000 tokens is in each pair of 10,000 documents.
constexpr size_t kBytesPerToken = 2 * sizeof(int32_t);

// Adaptive depth: where only some of the documents are wanted, those that are surely not among them need not be
// computed to the end. Documents in several chunks are: their best chunk is not known before.
void compete(const ServiceParts& parts, const Work& work, schedule::Job& job) {
  const RerankRequest& request = *work.request;
  if ((parts.exit_margin <= 0 && parts.exit_keep <= 0) || layers_of(parts, request) != 0) return;
  if (request.top_n == 0 || request.top_n >= request.documents.size()) return;
  if (std::any_of(work.sequences.begin(), work.sequences.end(), [](uint32_t n) { return n != 1; })) return;
  const double stay = std::ceil(static_cast<double>(request.top_n) * parts.exit_keep);
  if (stay >= static_cast<double>(job.pairs.size())) return;  // nobody would leave
  job.keep = static_cast<uint32_t>(request.top_n);
  job.margin = parts.exit_margin;
  job.stay = static_cast<uint32_t>(stay);
  if (job.stay != 0) job.seen = std::make_shared<engine::SeenOutputs>();
  auto missing = work.missing.begin();
  for (size_t i = 0; i < work.documents.size(); ++i) {
    if (missing != work.missing.end() && *missing == i) {
      ++missing;
    } else {
      job.known.push_back(work.documents[i].logit);
    }
  }
}

}  // namespace

Result<std::unique_ptr<schedule::Job>> job_of_pairs(const ServiceParts& parts, const schedule::Scheduler& scheduler,
                                                    Work& work) {
  const RerankRequest& request = *work.request;
  const text::FitSpec spec = fit_spec(parts, request);
  auto job = std::make_unique<schedule::Job>();
  const text::PairTemplate& pieces = parts.texts->pieces();
  size_t tokens = 0;
  for (size_t i : work.missing)
    tokens += text::fitted_tokens(pieces, work.query->ids().size(), work.document_ids[i].size(), spec);
  if (tokens > parts.planner.max_queued_tokens) {  // a long query may make them many: before memory is taken
    RETURN_IF_ERROR(scheduler.check(tokens, request.priority, request.deadline));
  }
  RETURN_IF_ERROR(work.held.add(tokens * kBytesPerToken));
  job->pairs.ids.reserve(tokens);
  job->pairs.segments.reserve(tokens);
  for (size_t i : work.missing) {
    text::FittedDocument fitted = text::fit_document(pieces, work.query->terms(), work.document_ids[i], spec);
    if (fitted.too_long && !request.truncate) {
      const size_t given = work.query->ids().size() + work.document_ids[i].size() + pieces.added_to_pair();
      return absl::OutOfRangeError(str_cat("`inputs` must have less than ", spec.max_length + 1,
                                           " tokens. Given: ", given, " (document ", i, ")"));
    }
    ScoredDocument& d = work.documents[i];
    for (const text::EncodedPair& pair : fitted.pairs) {
      job->pairs.add(pair.ids, pair.type_ids);
      d.tokens += static_cast<uint32_t>(pair.ids.size());
    }
    work.sequences.push_back(static_cast<uint32_t>(fitted.pairs.size()));
    d.truncated = fitted.truncated || work.query->cut();
    d.document_tokens = static_cast<uint32_t>(work.document_ids[i].size());
    if (request.explain_cuts) d.kept = std::move(fitted.kept);
    work.document_ids[i] = {};
  }
  if (!parts.segments) std::fill(job->pairs.segments.begin(), job->pairs.segments.end(), 0);
  compete(parts, work, *job);
  return job;
}

void take_logits(const ServiceParts& parts, ServiceMetrics* metrics, const schedule::Job& job, Work& work) {
  const size_t best = fit_spec(parts, *work.request).chunking.best;
  for (size_t m = 0, begin = 0; m < work.missing.size(); begin += work.sequences[m++]) {
    ScoredDocument& d = work.documents[work.missing[m]];
    const auto logits = std::span(job.logits).subspan(begin, work.sequences[m]);
    d.logit = aggregate_chunks(logits, best);
    d.best_chunk = static_cast<uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    d.dropped = job.keep > 0 && job.depths[begin] != 0;
    if (metrics == nullptr) continue;
    metrics->lengths.observe(d.tokens);
    const size_t depth = job.depths[begin];
    metrics->layers.observe(static_cast<double>(depth != 0 ? depth : parts.model_layers));
  }
}

}  // namespace rerank::rank
