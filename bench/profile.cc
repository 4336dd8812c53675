#include "bench/profile.h"

#include <algorithm>
#include <cstdio>

#include "bench/peak.h"
#include "engine/cpu/amx/tile_ops.h"
#include "engine/cpu/pick_tier.h"
#include "engine/cpu/vector/cpu_ops.h"

namespace rerank::bench {
namespace {

enum Verb { kEmbed, kNorm, kProject, kAttend, kSelect, kOutput, kFeedForward, kHead, kVerbs };
constexpr const char* kNames[] = {"embed",       "norms",         "project",          "attend",
                                  "select_rows", "add_attention", "add_feed_forward", "score"};

// The verbs of another, timed.
template <class Ops>
class TimedOps {
 public:
  explicit TimedOps(Ops& ops) : ops_(ops) {}
  double seconds[kVerbs] = {};

  void embed(const engine::Batch& b) {
    timed(kEmbed, [&] { ops_.embed(b); });
  }
  void project(size_t layer, const engine::Batch& b, engine::Rows r) {
    timed(kProject, [&] { ops_.project(layer, b, r); });
  }
  void attend(const engine::Batch& b, engine::Rows r) {
    timed(kAttend, [&] { ops_.attend(b, r); });
  }
  void select_rows(const engine::Batch& b, engine::Rows r) {
    timed(kSelect, [&] { ops_.select_rows(b, r); });
  }
  void add_attention(size_t layer) {
    timed(kOutput, [&] { ops_.add_attention(layer); });
  }
  void norm_attention(size_t layer) {
    timed(kNorm, [&] { ops_.norm_attention(layer); });
  }
  void norm_feed_forward(size_t layer) {
    timed(kNorm, [&] { ops_.norm_feed_forward(layer); });
  }
  void norm_final() {
    timed(kNorm, [&] { ops_.norm_final(); });
  }
  void add_feed_forward(size_t layer) {
    timed(kFeedForward, [&] { ops_.add_feed_forward(layer); });
  }
  void score(const engine::Batch& b, std::span<float> logits) {
    timed(kHead, [&] { ops_.score(b, logits); });
  }
  engine::BlockOrder order(size_t layer) const { return ops_.order(layer); }

 private:
  template <class Body>
  void timed(Verb verb, const Body& body) {
    const double begin = thread_seconds();
    body();
    seconds[verb] += thread_seconds() - begin;
  }
  Ops& ops_;
};

// Keys that the queries of a sequence see, together.
double keys_seen(const model::Attention& attention, double length) {
  const double window = attention.window != 0 ? static_cast<double>(attention.window) : length;
  if (attention.mask == model::MaskKind::kWindow) return length * std::min(length, 2 * window + 1);
  if (attention.mask != model::MaskKind::kCausal) return length * length;
  const double most = std::min(length, window);  // of a query; those before have one less each
  return most * (most + 1) / 2 + (length - most) * most;
}

// Operations that have to be done, without padding.
void count_operations(const model::Architecture& a, const engine::Batch& batch, double* operations) {
  const double tokens = static_cast<double>(batch.tokens()), pairs = static_cast<double>(batch.size());
  const double h = static_cast<double>(a.hidden);
  for (size_t layer = 0; layer < a.layers(); ++layer) {
    const model::Attention& attention = a.blocks[layer].attention;
    const model::FeedForward& ff = a.blocks[layer].feed_forward;
    const bool scored = layer + 1 == a.layers() && engine::last_rows(a) == engine::Rows::kScored;
    const double rows = scored ? pairs : tokens;  // that are computed but for keys and values
    const double queries = static_cast<double>(attention.heads * attention.head_size);
    const double keys = static_cast<double>(attention.kv_heads * attention.head_size);
    double seen = 0;
    for (size_t s = 0; s < batch.size(); ++s) {
      const double length = static_cast<double>(batch.length(s));
      seen += scored ? length : keys_seen(attention, length);
    }
    const double matrices = ff.gate == model::GateHalf::kNone ? 2 : 3;
    const double chosen = ff.experts ? static_cast<double>(ff.experts->chosen) : 1;
    operations[kProject] += 2 * h * (2 * keys * tokens + queries * rows);
    operations[kAttend] += 4 * queries * seen;
    operations[kOutput] += 2 * h * queries * rows;
    operations[kFeedForward] += 2 * matrices * chosen * h * static_cast<double>(ff.width) * rows;
  }
}

template <class PackedWeights, class Ops>
void profile(std::shared_ptr<const model::Model> model, const engine::cpu::KernelTable& table,
             const engine::Batch& batch) {
  constexpr int kRounds = 5;
  const model::Architecture& architecture = model->architecture();
  Team team(1);
  engine::cpu::OwnWeights store;
  PackedWeights weights(model, table, {team, store});
  Ops ops(weights, table, nullptr);
  std::vector<float> logits(batch.size());
  const Unit unit = unit_of(table);
  std::vector<double> seconds[kVerbs], peaks, totals;
  for (int round = 0; round < kRounds; ++round) {
    peaks.push_back(measure_peak(unit, 1));
    TimedOps<Ops> timed(ops);
    timed.embed(batch);
    engine::run_blocks(architecture, batch, timed, 0, architecture.layers());
    engine::score_stream(architecture, batch, timed, architecture.layers(), logits);
    double total = 0;
    for (int v = 0; v < kVerbs; ++v) {
      seconds[v].push_back(timed.seconds[v]);
      total += timed.seconds[v];
    }
    totals.push_back(total);
  }
  auto median = [](std::vector<double> x) {
    std::sort(x.begin(), x.end());
    return x[x.size() / 2];
  };
  double operations[kVerbs] = {};
  count_operations(architecture, batch, operations);
  double all = 0;
  for (double o : operations) all += o;
  const double peak = median(peaks), time = median(totals);
  std::printf("%s %s, %zu pairs, %zu tokens, 1 thread: %.1f ms (best %.1f), %.1f Gop/s of a peak of %.1f: %.1f %%\n",
              std::string(word_of(table.tier)).c_str(), std::string(word_of(table.precision)).c_str(), batch.size(),
              batch.tokens(), time * 1e3, *std::min_element(totals.begin(), totals.end()) * 1e3, all / time * 1e-9,
              peak * 1e-9, all / time / peak * 100);
  for (int v = 0; v < kVerbs; ++v) {
    const double s = median(seconds[v]), best = *std::min_element(seconds[v].begin(), seconds[v].end());
    std::printf("  %-17s %8.2f ms (best %8.2f) %5.1f %%", kNames[v], s * 1e3, best * 1e3, s / time * 100);
    if (operations[v] != 0) {
      std::printf("   %7.1f Gop/s, %.1f %% of peak (best %.1f)", operations[v] / s * 1e-9,
                  operations[v] / s / peak * 100, operations[v] / best * 1e-9);
    }
    std::printf("\n");
  }
}

}  // namespace

void print_profile(std::shared_ptr<const model::Model> model, const engine::BackendOptions& options,
                   const engine::Batch& batch) {
  const auto table = engine::cpu::pick_tier(*model, options);
  if (!table.ok()) {
    std::printf("%s\n", std::string(table.status().message()).c_str());
  } else if ((*table)->tiles != nullptr) {
    profile<engine::cpu::TileWeights, engine::cpu::TileOps>(model, **table, batch);
  } else {
    profile<engine::cpu::CpuWeights, engine::cpu::CpuOps>(model, **table, batch);
  }
}

}  // namespace rerank::bench
