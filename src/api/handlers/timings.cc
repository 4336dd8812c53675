// Headers that say where the time went.
#include <string>

#include "absl/strings/str_format.h"
#include "api/dialect.h"

namespace rerank::api {

// https://www.w3.org/TR/server-timing/: milliseconds per stage, for browsers and for whoever looks.
void write_server_timing(const Timings& timings, transport::HttpResponse& response) {
  const auto ms = [](int64_t us) { return static_cast<double>(us) / 1000; };
  response.headers.emplace_back(
      "Server-Timing",
      absl::StrFormat("cache;dur=%.2f, tokenize;dur=%.2f, queue;dur=%.2f, compute;dur=%.2f, total;dur=%.2f",
                      ms(timings.cache_us), ms(timings.tokenize_us), ms(timings.queue_us), ms(timings.compute_us),
                      ms(timings.total_us)));
}

void write_tei_timings(const TeiCost& cost, const Timings& timings, const ModelInfo& model,
                       transport::HttpResponse& response) {
  const auto add = [&](const char* name, int64_t value) { response.headers.emplace_back(name, std::to_string(value)); };
  const auto mean_ms = [&](int64_t us) { return us / 1000 / static_cast<int64_t>(cost.texts); };
  response.headers.emplace_back("x-compute-type", model.engine);
  add("x-compute-time", timings.total_us / 1000);
  add("x-compute-characters", static_cast<int64_t>(cost.characters));
  add("x-compute-tokens", static_cast<int64_t>(cost.tokens));
  add("x-total-time", timings.total_us / 1000);
  add("x-tokenization-time", mean_ms(timings.tokenize_us));
  add("x-queue-time", mean_ms(timings.queue_us));
  add("x-inference-time", mean_ms(timings.compute_us));
}

size_t count_characters(std::string_view utf8) {
  size_t count = 0;
  for (const char byte : utf8) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  return count;
}

}  // namespace rerank::api
