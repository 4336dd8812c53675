// Collections, runs and judgments; answers of a shared cache; files that engines keep.
#include <cstring>

#include "base/hash.h"
#include "cache/redis_link.h"
#include "cache/redis_url.h"
#include "cache/shared_cache.h"
#include "engine/cpu/weights/weight_cache.h"
#include "engine/cuda/tuning_file.h"
#include "eval/data/collection.h"
#include "eval/data/judgments.h"
#include "eval/data/score_store.h"
#include "observe/trace_context.h"
#include "targets/targets.h"
#include "transport/callers/keys.h"

namespace rerank::campaign {

void collection(Input input) {
  Reader reader(input);
  const uint8_t kind = reader.byte();
  const std::string path = file_with("texts", reader.rest());
  switch (kind % 5) {
    case 0:
      (void)eval::read_qrels(path);
      break;
    case 1:
      (void)eval::read_run(path);
      break;
    case 2:
      (void)eval::read_collection(path);
      break;
    case 3:
      (void)eval::read_texts(path, 1000);
      break;
    default:
      (void)eval::ScoreStore::open(path);
  }
}

// Answers that come in pieces; also the other small texts of settings and headers.
void redis_reply(Input input) {
  Reader reader(input);
  const uint8_t kind = reader.byte();
  if (kind == 1) return (void)cache::parse_redis_url(reader.rest());
  if (kind == 2) return (void)observe::parse_traceparent(reader.rest());
  if (kind == 3) return (void)transport::parse_key_file(reader.rest(), "keys");
  cache::RedisReplies replies;
  for (std::string_view rest = reader.rest(); !rest.empty();) {
    const size_t length = std::min<size_t>(rest.size(), kind % 32 + 1);
    replies.feed(rest.substr(0, length));
    rest.remove_prefix(length);
    while (true) {
      const auto reply = replies.next();
      if (!reply.ok()) return;
      if (!*reply) break;
      for (const cache::RedisReply& item : (*reply)->items) {
        const auto score = cache::read_shared_value(item.text);
        if (score) require(cache::shared_value_of(*score) == item.text);
      }
    }
  }
}

namespace {

// Makes the hash of what comes after a header right, so that not every input ends there.
void seal(std::string& file, size_t header, size_t hash_at) {
  if (file.size() < header) return;
  const Hash128 hash = hash128(std::string_view(file).substr(header));
  std::memcpy(file.data() + hash_at, &hash, sizeof hash);
}

}  // namespace

// A file of packed weights, or of tuned products.
void engine_file(Input input) {
  Reader reader(input);
  const uint8_t kind = reader.byte();
  std::string file(reader.rest());
  if (kind % 2 == 0) {
    const engine::cpu::WeightCacheOptions options{files_folder(), size_t{1} << 20, "key"};
    file.insert(std::min<size_t>(file.size(), 300), 4096, '\0');  // the header is a page
    const uint64_t bytes = file.size() - std::min<size_t>(file.size(), 4096);
    if (kind % 4 == 0 && file.size() > 4096) {
      std::memcpy(file.data() + 8, &bytes, sizeof bytes);
      seal(file, 4096, 16);
    }
    const std::string path = engine::cpu::weight_cache_file(options);
    file_with(path.substr(path.rfind('/') + 1), file);
    const auto weights = engine::cpu::MappedWeights::open(options);
    if (!weights.ok()) return;
    for (const size_t size : {size_t{1}, size_t{64}, (*weights)->bytes()}) {
      const std::byte* place = (*weights)->place(size, [](std::byte*) {});
      require(place != nullptr);
      (void)*(reinterpret_cast<const volatile unsigned char*>(place) + size - 1);
    }
    require((*weights)->check().ok());
  } else {
    if (kind % 4 == 1) seal(file, 32, 8);
    const engine::TuningFile tuning(files_folder(), "device");
    file_with(tuning.path().substr(tuning.path().rfind('/') + 1), file);
    (void)tuning.read();
  }
}

}  // namespace rerank::campaign
