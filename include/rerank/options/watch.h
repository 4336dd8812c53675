// What is measured of requests besides their answers.
#pragma once

#include <cstddef>

#include "rerank/options/option_info.h"

namespace rerank {

struct WatchOptions {
  double shadow_rate = 0;
  static constexpr OptionInfo kShadowRate =
      OptionInfo{
          "shadow-rate", "SHARE", "Watching",
          "Share of requests (0.01: one in a hundred) scored again in idle time at full depth and in fp32, to measure "
          "what precision and depth cost in agreement on your own traffic; see docs/metrics.md. Takes the memory of a "
          "second engine. 0: none."}
          .within(0, 1);

  size_t shadow_queue_bytes = 8u << 20;
  static constexpr OptionInfo kShadowQueueBytes =
      OptionInfo{"shadow-queue-bytes", "BYTES", "Watching",
                 "Texts of such requests that may wait for idle time; more are not scored again."}
          .within(0, kMostBytes);

  template <class O, class Visit>
  static void visit(O& options, Visit&& visit_field) {
    visit_field(kShadowRate, options.shadow_rate);
    visit_field(kShadowQueueBytes, options.shadow_queue_bytes);
  }
};

}  // namespace rerank
