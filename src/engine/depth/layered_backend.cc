#include "engine/depth/layered_backend.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "engine/depth/contests.h"
#include "engine/encoder.h"

namespace rerank::engine {
namespace {

class LayeredBackend : public Backend {
 public:
  LayeredBackend(std::shared_ptr<const model::Model> model, std::shared_ptr<const model::Exits> exits,
                 std::unique_ptr<LayeredEngine> engine)
      : model_(std::move(model)), exits_(std::move(exits)), engine_(std::move(engine)) {
    if (info().batch_tokens != 0) most_tokens_ = info().batch_tokens;
  }

  const BackendInfo& info() const override { return engine_->info(); }
  std::shared_ptr<const PrefixCounters> prefix_counters() const override { return engine_->prefix_counters(); }

  Status forward(const Batch& batch, std::span<float> logits) override {
    RETURN_IF_ERROR(check_batch(architecture(), batch));
    return architecture().scoring.marks ? compute_one_by_one(batch, logits) : compute(batch, logits);
  }

  // Contests are run as a whole. Where they do not fit, all are computed to the full depth, in pieces.
  Status forward_contests(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                          std::span<uint8_t> depths) override {
    if (contests.empty() || !decides(contests[0])) return Backend::forward_contests(batch, contests, logits, depths);
    RETURN_IF_ERROR(check_batch(architecture(), batch));
    const std::vector<uint32_t> others = outside_contests(batch, contests, depths);
    RETURN_IF_ERROR(compute_some(batch, others, logits));
    if (batch.tokens() <= most_tokens_) {
      Status status = compete(batch, contests, logits, depths);
      if (!absl::IsResourceExhausted(status)) return status;
    }
    outside_contests(batch, contests, depths);
    return compute_some(batch, ContestRun(contests, exits_.get(), architecture()).alive(), logits);
  }

  Status forward_with_states(const Batch& batch, std::span<float> logits, std::span<float> states) override {
    RETURN_IF_ERROR(check_batch(architecture(), batch));
    if (architecture().scoring.marks) return Backend::forward_with_states(batch, logits, states);
    const size_t width = model::exit_width(architecture()), steps = architecture().layers() - 1;
    return in_pieces(batch, 0, batch.size(), [&](const Batch& piece, size_t first) {
      Turn turn(*this);
      RETURN_IF_ERROR(engine_->start(turn.slot(), piece));
      std::vector<float> pooled(piece.size() * width);
      for (size_t layer = 0; layer < steps; ++layer) {
        RETURN_IF_ERROR(engine_->step(pooled));
        for (size_t i = 0; i < piece.size(); ++i)
          std::copy_n(&pooled[i * width], width, &states[((first + i) * steps + layer) * width]);
      }
      return finish(turn, architecture().layers(), logits.subspan(first, piece.size()));
    });
  }

 private:
  using Alive = std::vector<uint32_t>;

  // One thread's turn to start a batch, and the batch's slot, which it keeps until its results are there.
  class Turn {
   public:
    explicit Turn(LayeredBackend& backend)
        : backend_(backend), lock_(backend.turn_), slot_(std::countr_one(backend.slots_taken_)) {
      backend_.slots_taken_ |= 1u << slot_;
    }
    ~Turn() {
      if (!lock_.owns_lock()) lock_.lock();
      backend_.slots_taken_ &= ~(1u << slot_);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    uint32_t slot() const { return slot_; }
    void pass_on() { lock_.unlock(); }
    // Batch::between, for which others may have the turn. `batch` and this must outlive it.
    std::function<void()> between(const Batch& batch) {
      return [this, &batch] {
        lock_.unlock();
        (*batch.between)();
        lock_.lock();
      };
    }

   private:
    LayeredBackend& backend_;
    std::unique_lock<std::mutex> lock_;
    const uint32_t slot_;
  };

  // Of a model that makes vectors, as many as a sequence has marked tokens. They are long: each fills the engine.
  Status compute_one_by_one(const Batch& batch, std::span<float> results) {
    OwnedBatch one;
    for (uint32_t s = 0, at = 0; s < batch.size(); ++s) {
      if (batch.stopped()) return absl::CancelledError("no request waits for this batch any more");
      one.assign(batch, {&s, 1});
      const Depth depth = depth_of(architecture(), batch, s, nullptr);
      const size_t count = result_count(architecture(), one);
      if (count == 0) continue;
      Turn turn(*this);
      const auto between = turn.between(batch);
      Batch view = one.view(batch.stop);
      if (batch.between != nullptr) view.between = &between;
      RETURN_IF_ERROR(engine_->start(turn.slot(), view));
      RETURN_IF_ERROR(finish(turn, depth.layers, results.subspan(at, count)));
      at += static_cast<uint32_t>(count);
    }
    return ok_status();
  }

  // Sequences of one depth go together.
  Status compute(const Batch& batch, std::span<float> logits) {
    std::vector<std::vector<uint32_t>> by_depth(architecture().layers() + 1);
    for (uint32_t s = 0; s < batch.size(); ++s)
      by_depth[depth_of(architecture(), batch, s, exits_.get()).layers].push_back(s);
    for (const auto& sequences : by_depth) {
      if (sequences.empty()) continue;
      const Depth depth = depth_of(architecture(), batch, sequences[0], exits_.get());
      if (sequences.size() == batch.size()) return compute_to(depth, batch, logits);
      OwnedBatch part;
      part.assign(batch, sequences);
      std::vector<float> results(sequences.size());
      RETURN_IF_ERROR(compute_to(depth, part.view(batch.stop), results));
      for (size_t i = 0; i < sequences.size(); ++i) logits[sequences[i]] = results[i];
    }
    return ok_status();
  }

  Status compute_to(const Depth& depth, const Batch& batch, std::span<float> logits) {
    return in_pieces(batch, 0, batch.size(), [&](const Batch& piece, size_t first) {
      Turn turn(*this);
      const auto between = turn.between(batch);
      Batch view = piece;
      if (batch.between != nullptr) view.between = &between;
      RETURN_IF_ERROR(engine_->start(turn.slot(), view));
      if (depth.exit == nullptr) return finish(turn, depth.layers, logits.subspan(first, piece.size()));
      const size_t width = model::exit_width(architecture());
      std::vector<float> pooled(piece.size() * width);
      for (size_t layer = 1; layer <= depth.layers; ++layer) {
        const bool last = layer == depth.layers;
        RETURN_IF_ERROR(engine_->step(last ? std::span(pooled) : std::span<float>()));
      }
      for (size_t i = 0; i < piece.size(); ++i) logits[first + i] = depth.exit->apply(&pooled[i * width]);
      return ok_status();
    });
  }

  Status compute_some(const Batch& batch, const std::vector<uint32_t>& sequences, std::span<float> logits) {
    if (sequences.empty()) return ok_status();
    OwnedBatch part;
    part.assign(batch, sequences);
    std::vector<float> results(sequences.size());
    RETURN_IF_ERROR(compute(part.view(batch.stop), results));
    for (size_t i = 0; i < sequences.size(); ++i) logits[sequences[i]] = results[i];
    return ok_status();
  }

  // Block by block, all contests side by side; a competitor that leaves after one leaves the engine's batch too.
  Status compete(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                 std::span<uint8_t> depths) {
    ContestRun contest(contests, exits_.get(), architecture());
    OwnedBatch part;
    part.assign(batch, contest.alive());
    Turn turn(*this);
    RETURN_IF_ERROR(engine_->start(turn.slot(), part.view(batch.stop)));
    for (size_t layer = 0; layer + 1 < architecture().layers() && contest.open(); ++layer) {
      const Alive before = contest.alive();
      std::vector<float> guesses(before.size());
      if (contests[0].stay != 0 && layer + 1 < architecture().scoring.first_output) {
        RETURN_IF_ERROR(engine_->step({}));
        continue;
      }
      RETURN_IF_ERROR(contests[0].stay != 0 ? engine_->step_to_output(guesses) : step_to_exit(layer, guesses));
      contest.drop(layer, guesses, logits, depths);
      if (contest.alive().empty()) return ok_status();
      RETURN_IF_ERROR(keep(before, contest.alive()));
    }
    const Alive& alive = contest.alive();
    std::vector<float> results(alive.size());
    RETURN_IF_ERROR(finish(turn, architecture().layers(), results));
    for (size_t i = 0; i < alive.size(); ++i) logits[alive[i]] = results[i];
    return ok_status();
  }

  // Whether somebody may leave such contests here. All of a batch are of one kind.
  bool decides(const Contest& contest) const {
    return contest.stay != 0 ? architecture().scoring.first_output != 0 : exits_ != nullptr;
  }

  // The next block, number `layer`, and the guesses of the exit after it.
  Status step_to_exit(size_t layer, std::span<float> guesses) {
    const size_t width = model::exit_width(architecture());
    std::vector<float> pooled(guesses.size() * width);
    RETURN_IF_ERROR(engine_->step(pooled));
    for (size_t i = 0; i < guesses.size(); ++i) guesses[i] = exits_->heads[layer].apply(&pooled[i * width]);
    return ok_status();
  }

  // body(piece, its first sequence) for sequences [first, last), in as few pieces as the engine's memory has room for.
  // What did not fit once is not tried again in one piece.
  template <class Body>
  Status in_pieces(const Batch& batch, size_t first, size_t last, const Body& body) {
    if (first == last) return ok_status();
    const size_t begin = batch.offsets[first], tokens = batch.offsets[last] - begin;
    if (tokens <= most_tokens_ || last - first == 1) {
      std::vector<uint32_t> offsets(batch.offsets.begin() + first, batch.offsets.begin() + last + 1);
      for (uint32_t& offset : offsets) offset -= static_cast<uint32_t>(begin);
      const Batch piece = {.ids = batch.ids.subspan(begin, tokens),
                           .segments = batch.segments.subspan(begin, tokens),
                           .offsets = offsets,
                           .shared_tokens = batch.shared_tokens.empty()
                                                ? std::span<const uint32_t>()
                                                : batch.shared_tokens.subspan(first, last - first),
                           .stop = batch.stop};
      Status status = body(piece, first);
      if (!absl::IsResourceExhausted(status) || last - first == 1) return status;
      most_tokens_ = tokens / 2;
      log_warning(
          str_cat(message_of(status), "; batches of ", tokens, " tokens do not fit: ", tokens / 2, " from now on"));
    }
    size_t middle = first + 1;
    while (middle + 1 < last && batch.offsets[middle + 1] - begin <= tokens / 2) ++middle;
    RETURN_IF_ERROR(in_pieces(batch, first, middle, body));
    return in_pieces(batch, middle, last, body);
  }

  Status keep(const Alive& before, const Alive& after) {
    if (before.size() == after.size()) return ok_status();
    std::vector<uint32_t> numbers;
    for (uint32_t i = 0; i < before.size(); ++i) {
      if (numbers.size() < after.size() && before[i] == after[numbers.size()]) numbers.push_back(i);
    }
    return engine_->keep(numbers);
  }

  // The next batch is started while this one is waited for.
  Status finish(Turn& turn, size_t layers, std::span<float> logits) {
    RETURN_IF_ERROR(engine_->launch(layers));
    turn.pass_on();
    return engine_->finish(turn.slot(), logits);
  }

  const model::Architecture& architecture() const { return model_->architecture(); }

  std::shared_ptr<const model::Model> model_;
  std::shared_ptr<const model::Exits> exits_;  // may be null
  std::unique_ptr<LayeredEngine> engine_;
  std::atomic<size_t> most_tokens_ = SIZE_MAX;  // of one piece
  std::mutex turn_;                             // who may call the engine; finish() needs none
  uint32_t slots_taken_ = 0;                    // bits; guarded by turn_
};

}  // namespace

std::unique_ptr<Backend> make_layered_backend(std::shared_ptr<const model::Model> model,
                                              std::shared_ptr<const model::Exits> exits,
                                              std::unique_ptr<LayeredEngine> engine) {
  return std::make_unique<LayeredBackend>(std::move(model), std::move(exits), std::move(engine));
}

}  // namespace rerank::engine
