// Metrics of the queue and the batches.
#pragma once

#include "base/metrics.h"

namespace rerank::schedule {

struct ScheduleMetrics {
  explicit ScheduleMetrics(Metrics& m)
      : batches(m.counter("rerankd_batches_total", "Batches computed.")),
        failures(m.counter("rerankd_batch_failures_total", "Batches whose computation failed.")),
        overlapped(m.counter("rerankd_overlapped_batches_total",
                             "Batches handed to the engine while it computed the one before.")),
        interrupting(m.counter("rerankd_interrupting_batches_total", "Batches computed in the midst of a longer one.")),
        idle_gap(m.counter("rerankd_engine_gap_seconds_total",
                           "Time between two batches in which the engine was idle although work waited.")),
        tokens(m.counter("rerankd_batch_tokens_total", "Tokens computed.")),
        pairs(m.counter("rerankd_batch_pairs_total", "Pairs computed.")),
        cancelled(m.counter("rerankd_cancelled_tokens_total", "Tokens not computed because the client had gone.")),
        expired(m.counter("rerankd_expired_tokens_total", "Tokens not computed because their deadline had passed.")),
        expired_requests(m.counter("rerankd_expired_requests_total", "Requests admitted and not computed in time.")),
        overloaded(m.counter("rerankd_refused_requests_total", "Requests refused when they came, by reason.",
                             {{"reason", "overloaded"}})),
        impossible(m.counter("rerankd_refused_requests_total", "Requests refused when they came, by reason.",
                             {{"reason", "deadline"}})),
        joined(m.counter("rerankd_joined_pairs_total",
                         "Pairs not computed because an equal pair waited or ran at the same time.")),
        joined_tokens(m.counter("rerankd_joined_tokens_total", "Tokens of such pairs.")),
        queued(m.gauge("rerankd_queue_tokens", "Tokens that wait for the engine.")),
        requests(m.gauge("rerankd_queue_requests", "Requests that wait for the engine.")),
        held(m.gauge("rerankd_held_requests", "Requests held until the queue has room (--queue-policy wait).")),
        backlog(m.gauge("rerankd_queue_backlog_seconds", "Predicted time until all that waits is done.")),
        seconds(m.histogram("rerankd_batch_seconds", "Time of one batch in the engine.", latency_buckets_seconds())),
        size_pairs(
            m.histogram("rerankd_batch_size_pairs", "Pairs of one batch.", {1, 2, 4, 8, 16, 32, 64, 128, 256, 512})),
        fill(m.histogram("rerankd_batch_fill_ratio", "Tokens of one batch over --max-batch-tokens.",
                         {0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1})),
        padding(m.counter("rerankd_padding_tokens_total",
                          "Tokens computed only because the engine pads a batch to its longest pair.")),
        size(m.histogram("rerankd_batch_size_tokens", "Tokens of one batch.",
                         {16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384})),
        surprise(m.histogram("rerankd_batch_prediction_ratio", "Time of one batch over its predicted time.",
                             {0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2, 4})) {}

  Counter &batches, &failures, &overlapped, &interrupting, &idle_gap, &tokens, &pairs, &cancelled, &expired,
      &expired_requests, &overloaded, &impossible, &joined, &joined_tokens;
  Gauge &queued, &requests, &held, &backlog;
  Histogram &seconds, &size_pairs, &fill;
  Counter& padding;
  Histogram &size, &surprise;
};

}  // namespace rerank::schedule
