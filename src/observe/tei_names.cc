#include "observe/tei_names.h"

namespace rerank::observe {

void add_tei_names(Metrics& metrics) {
  const MetricLabels batch = {{"method", "batch"}};  // TEI counts a rerank request as one of its batches
  const std::string http = "rerankd_http_requests_total", stages = "rerankd_stage_seconds";
  for (const std::string requests : {"rerankd_http_requests_total", "rerankd_grpc_requests_total"}) {
    metrics.add_alias({"te_request_count", requests, {{"kind", "rank"}}, batch});
    metrics.add_alias({"te_request_success", requests, {{"kind", "rank"}, {"reason", "ok"}}, batch});
    for (const auto& [reason, error] :
         {std::pair("overloaded", "overloaded"), std::pair("deadline", "overloaded"),
          std::pair("invalid", "validation"), std::pair("malformed", "validation"),
          std::pair("too_large", "batch_size"), std::pair("failed", "inference"), std::pair("cancelled", "dropped")}) {
      metrics.add_alias({"te_request_failure", requests, {{"kind", "rank"}, {"reason", reason}}, {{"err", error}}});
    }
  }
  metrics.add_alias({"te_request_duration", "rerankd_rank_seconds"});
  metrics.add_alias({"te_request_tokenization_duration", stages, {{"stage", "tokenize"}}});
  metrics.add_alias({"te_request_queue_duration", stages, {{"stage", "queue"}}});
  metrics.add_alias({"te_request_inference_duration", stages, {{"stage", "compute"}}});
  metrics.add_alias({"te_request_input_length", "rerankd_pair_tokens"});
  metrics.add_alias({"te_predict_count", http, {{"dialect", "predict"}}});
  metrics.add_alias({"te_predict_success", http, {{"dialect", "predict"}, {"reason", "ok"}}});
  metrics.add_alias({"te_queue_size", "rerankd_queue_requests"});
  metrics.add_alias({"te_batch_next_size", "rerankd_batch_size_pairs"});
  metrics.add_alias({"te_batch_next_tokens", "rerankd_batch_size_tokens"});
}

}  // namespace rerank::observe
