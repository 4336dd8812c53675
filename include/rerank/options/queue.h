// How requests share batches, and how much may wait.
#pragma once

#include <cstddef>

#include "rerank/choice.h"
#include "rerank/options/option_info.h"

namespace rerank {

struct QueueOptions {
  size_t max_batch_tokens = 8192;
  static constexpr OptionInfo kMaxBatchTokens =
      OptionInfo{"max-batch-tokens", "TOKENS", "Limits",
                 "Tokens computed together. Larger: more throughput under load, longer waits for small requests. Where "
                 "a GPU's "
                 "free memory holds less, that is the bound, and the log says so."}
          .within(1, 1073741824);

  size_t max_batch_ms = 250;
  static constexpr OptionInfo kMaxBatchMs =
      OptionInfo{"max-batch-ms", "MS", "Limits",
                 "Predicted time of one batch at most: a small request that comes while a batch runs waits that long. "
                 "Lower it "
                 "for shorter waits; below about 20 ms batches get too small to fill many cores."}
          .within(1, 600000);

  size_t max_wait_us = 0;
  static constexpr OptionInfo kMaxWaitUs =
      OptionInfo{
          "max-wait-us", "US", "Limits",
          "How long an idle engine waits for more work, when requests come closer together than that. 0: it starts at "
          "once. The packed CPU engine computes small batches as efficiently as large ones, so that waiting gains "
          "nothing; raise it for an engine that needs large batches."}
          .within(0, 10000000);

  size_t queue_stretch = 2;
  static constexpr OptionInfo kQueueStretch =
      OptionInfo{
          "queue-stretch", "N", "Limits",
          "A request's queue position is its arrival plus a size penalty: this many times its own predicted time. "
          "Larger: small requests overtake large ones that came longer before them. 0: first come, first served. At 2, "
          "a large request takes at most three times as long as alone because of small ones."}
          .within(0, 1000);

  QueuePolicy queue_policy = QueuePolicy::kShed;
  static constexpr OptionInfo kQueuePolicy{
      "queue-policy", "POLICY", "Limits",
      "shed: a request over the bounds of the queue is refused, 429 with Retry-After, so that its client can try "
      "another server. wait: it is held, whole, until there is room or its deadline passes; for clients that cannot "
      "try again."};

  size_t max_queued_tokens = 4u << 20;
  static constexpr OptionInfo kMaxQueuedTokens =
      OptionInfo{"max-queued-tokens", "TOKENS", "Limits",
                 "Tokens that may wait, which bounds their memory (8 bytes each); see --queue-policy."}
          .within(1, kMostBytes);

  size_t max_queue_ms = 20000;
  static constexpr OptionInfo kMaxQueueMs =
      OptionInfo{
          "max-queue-ms", "MS", "Limits",
          "Predicted wait up to which a request is queued; see --queue-policy. Many clients give up after 30 s: work "
          "that would begin later is wasted. 0: no bound."}
          .within(0, kDayMs);

  size_t max_held_requests = 1000;
  static constexpr OptionInfo kMaxHeldRequests =
      OptionInfo{"max-held-requests", "N", "Limits",
                 "Requests held at once under --queue-policy wait; further ones are refused."}
          .within(0, 10000000);

  size_t max_documents = 10000;
  static constexpr OptionInfo kMaxDocuments =
      OptionInfo{"max-documents", "N", "Limits", "Documents in one request; more is an error."}.within(1, 10000000);

  template <class O, class Visit>
  static void visit(O& options, Visit&& visit_field) {
    visit_field(kMaxBatchTokens, options.max_batch_tokens);
    visit_field(kMaxBatchMs, options.max_batch_ms);
    visit_field(kMaxWaitUs, options.max_wait_us);
    visit_field(kQueueStretch, options.queue_stretch);
    visit_field(kQueuePolicy, options.queue_policy);
    visit_field(kMaxQueuedTokens, options.max_queued_tokens);
    visit_field(kMaxQueueMs, options.max_queue_ms);
    visit_field(kMaxHeldRequests, options.max_held_requests);
    visit_field(kMaxDocuments, options.max_documents);
  }
};

}  // namespace rerank
