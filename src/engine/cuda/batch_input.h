// The batch that is under way, as the device sees it: ids, places and tiles, which go there in one copy. Prefixes that
// are put together are rows after those of its class, of which there are keys and values alone.
//
// A whole batch is laid out for its class: as many rows and sequences as row_classes.h gives, and tiles for any batch
// of so many, of one size. What fills it up does no harm where it is computed: tokens and positions 0, sequences that
// are row 0 alone, tiles without rows. So the launches of two batches of a class may be the same (graph.h).
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/cuda/device.h"
#include "engine/cuda/kernels/row_classes.h"
#include "engine/cuda/kernels/tiles.h"

namespace rerank::engine::cuda {

class BatchInput {
 public:
  struct Counts {
    uint32_t tokens = 0, sequences = 0, tiles = 0;
    uint32_t marked = 0;  // tokens whose vectors are computed
  };

  // Of batches from now on. `heads`: of the model, where its attention takes long tiles (tiles.h); 0: it does not.
  void set_long_tiles(uint32_t heads, uint32_t processors) {
    heads_ = heads;
    processors_ = processors;
  }

  // A whole batch. scores_last: the head reads each sequence's last row, else its first.
  void load(const BatchSpec& spec, bool scores_last, cudaStream_t stream) {
    scores_last_ = scores_last;
    const uint32_t* own = spec.offsets + spec.shared;
    offsets_there_.assign(own, own + spec.sequences + 1);
    queries_there_.assign(spec.queries, spec.queries + spec.sequences);
    marked_there_.assign(spec.marked_rows, spec.marked_rows + spec.marked_count);
    const uint32_t tokens = offsets_there_.back();
    set_runs(spec, padded_rows(tokens));
    set_moves(spec, padded_rows(tokens));
    const Layout layout = place(whole(tokens, spec.sequences, spec.marked_count, spec.shared), 0);
    fill(layout.ids, spec.ids, tokens, full_.tokens);
    fill(layout.kinds, spec.segments, tokens, full_.tokens);
    auto* places = pinned_.as<uint32_t>(layout.places);
    std::fill(places + tokens, places + full_.tokens, 0u);
    for (const Run& run : runs_) {
      for (uint32_t i = 0; i < run.length; ++i) places[run.begin + i] = run.prefix_length + i;
    }
    send(layout, stream);
  }

  // Only these of the sequences that are there stay; rows() then says which rows of before. Not of a batch with marked
  // tokens.
  void keep(std::span<const uint32_t> sequences, cudaStream_t stream) {
    std::vector<uint32_t> offsets{0}, queries, rows;
    for (uint32_t s : sequences) {
      for (uint32_t row = offsets_there_[s]; row < offsets_there_[s + 1]; ++row) rows.push_back(row);
      offsets.push_back(static_cast<uint32_t>(rows.size()));
      queries.push_back(queries_there_[s]);
    }
    offsets_there_ = std::move(offsets);
    queries_there_ = std::move(queries);
    runs_.clear();
    moves_.clear();
    shared_ = 0;
    prefix_rows_ = 0;
    for (size_t s = 0; s < sequences.size(); ++s)
      runs_.push_back({offsets_there_[s], offsets_there_[s + 1] - offsets_there_[s]});
    check(cudaStreamSynchronize(stream), "before a batch is packed anew");  // what is pinned may still be read
    const auto kept = static_cast<uint32_t>(rows.size());
    const Layout layout =
        place({kept, static_cast<uint32_t>(sequences.size()), tiles_of(kept, sequences.size()), 0}, kept);
    fill(layout.rows, rows.data(), kept, kept);
    auto* places = pinned_.as<uint32_t>(layout.places);
    for (const Run& run : runs_) {
      for (uint32_t i = 0; i < run.length; ++i) places[run.begin + i] = i;
    }
    send(layout, stream);
  }

  Batch batch() const { return {{}, {}, offsets_there_}; }

  // What launches are for: the batch's own counts, or those of its class.
  const Counts& counts() const { return filled_up_ ? full_ : exact_; }
  const Counts& exact() const { return exact_; }
  // Of a whole batch.
  void fill_up(bool on) { filled_up_ = on; }
  const Counts& full() const { return full_; }

  // On the device.
  const void* data() const { return device_.data(); }
  const int32_t* ids() const { return ids_; }  // this and the next: of a whole batch
  const int32_t* kinds() const { return kinds_; }
  const uint32_t* places() const { return places_; }  // each row's position; also after keep()
  const uint32_t* rows() const { return rows_; }      // after keep()
  const uint32_t* queries() const { return queries_; }
  const uint32_t* firsts() const { return firsts_; }  // each sequence's first row, and its tokens
  const uint32_t* lengths() const { return lengths_; }
  const Run* runs() const { return runs_there_; }                         // of each sequence
  const uint32_t* scored_rows() const { return scored_rows_; }            // what the head reads of it, and
  const uint32_t* scored_positions() const { return scored_positions_; }  // its position
  const uint32_t* marked_rows() const { return marked_rows_; }
  bool shares() const { return shared_ > 0 || !moves_.empty(); }
  uint32_t prefix_rows() const { return prefix_rows_; }
  const KeyMove* moves() const { return moves_there_; }  // of each block
  uint32_t move_count() const { return static_cast<uint32_t>(moves_.size()); }
  const QueryTile* tiles() const { return tiles_; }
  uint32_t tile_queries() const { return tile_queries_; }

  // That such a batch needs there, also when sequences leave it.
  static size_t device_bytes(uint32_t tokens, uint32_t sequences, uint32_t marked) {
    return Layout(whole(tokens, sequences, marked), tokens, 0).bytes;
  }

 private:
  // The parts in one block of memory, the same on host and device.
  struct Layout {
    size_t ids, kinds, places, rows, queries, firsts, lengths, runs, scored_rows, scored_positions, tiles, moves;
    size_t marked_rows, bytes;

    // counts.tokens: that are embedded; kept: rows of a batch before that go on.
    Layout(const Counts& counts, size_t kept, size_t move_count) {
      size_t at = 0;
      const auto part = [&](size_t part_bytes) {
        const size_t begin = at;
        at += (part_bytes + 255) / 256 * 256;
        return begin;
      };
      ids = part(counts.tokens * size_t{4});
      kinds = part(counts.tokens * size_t{4});
      places = part(counts.tokens * size_t{4});
      rows = part(kept * 4);
      queries = part(counts.sequences * size_t{4});
      firsts = part(counts.sequences * size_t{4});
      lengths = part(counts.sequences * size_t{4});
      runs = part(counts.sequences * sizeof(Run));
      scored_rows = part(counts.sequences * size_t{4});
      scored_positions = part(counts.sequences * size_t{4});
      tiles = part(counts.tiles * sizeof(QueryTile));
      moves = part(move_count * sizeof(KeyMove));
      marked_rows = part(counts.marked * size_t{4});
      bytes = at;
    }
  };

  // first: the row of the first of those that are put together.
  void set_runs(const BatchSpec& spec, uint32_t first) {
    runs_.clear();
    shared_ = spec.shared;
    for (uint32_t i = 0; i < spec.shared + spec.sequences; ++i) {
      Run run{spec.offsets[i], spec.offsets[i + 1] - spec.offsets[i]};
      const uint32_t behind = i < spec.shared || spec.shared == 0 ? UINT32_MAX : spec.behind[i - spec.shared];
      if (spec.prefix_counts != nullptr && spec.prefix_counts[i] > 0) {
        run.prefix_begin = first + spec.prefix_begins[i];
        run.prefix_length = spec.prefix_counts[i];
      } else if (behind != UINT32_MAX) {
        run.prefix_begin = runs_[behind].begin;
        run.prefix_length = runs_[behind].length;
      }
      runs_.push_back(run);
    }
  }
  void set_moves(const BatchSpec& spec, uint32_t first) {
    moves_.clear();
    prefix_rows_ = spec.prefix_row_count;
    for (uint32_t i = 0; i < spec.prefix_row_count; ++i) moves_.push_back({spec.prefix_rows[i], kOwnRow | (first + i)});
    for (uint32_t i = 0; i < spec.keep_count; ++i) moves_.push_back({kOwnRow | spec.keep_rows[i], spec.keep_slots[i]});
  }

  static uint32_t tiles_of(size_t tokens, size_t sequences, uint32_t queries = kTileQueries) {  // at most
    return static_cast<uint32_t>(tokens / queries + sequences);
  }
  static Counts whole(uint32_t tokens, uint32_t sequences, uint32_t marked, uint32_t shared = 0) {
    const uint32_t rows = padded_rows(tokens), full = padded_sequences(sequences);
    return {rows, full, tiles_of(rows, full + shared), marked == 0 ? 0 : padded_sequences(marked)};
  }

  template <class P>
  P* at(size_t offset) const {
    return reinterpret_cast<P*>(device_.data() + offset);
  }

  // `count` values, and zeros after them.
  template <class P>
  void fill(size_t offset, const P* values, size_t count, size_t full) {
    P* const to = pinned_.as<P>(offset);
    std::fill(std::copy_n(values, count, to), to + full, P());
  }

  // Where the parts of the batch that offsets_there_ describes lie, and those parts that all batches have.
  Layout place(const Counts& full, size_t kept) {
    const auto sequences = static_cast<uint32_t>(offsets_there_.size() - 1);
    tile_queries_ =
        heads_ == 0 ? kTileQueries : cuda::tile_queries(offsets_there_.back(), sequences, heads_, processors_);
    const std::vector<QueryTile> tiles = attention_tiles(runs_, tile_queries_);
    const auto marked = static_cast<uint32_t>(marked_there_.size());
    exact_ = {offsets_there_.back(), sequences, static_cast<uint32_t>(tiles.size()), marked};
    full_ = full;
    full_.tiles = tiles_of(full.tokens, full.tiles - full.tokens / kTileQueries, tile_queries_);
    filled_up_ = false;
    const Layout layout(full, kept, moves_.size());
    pinned_.resize(layout.bytes);
    device_.resize(layout.bytes);
    const std::span<const Run> own = std::span<const Run>(runs_).last(sequences);
    std::vector<uint32_t> lengths(full.sequences, 1), scored_rows(sequences), scored_positions(sequences);
    std::vector<Run> full_runs(full.sequences, Run{0, 1});
    for (uint32_t s = 0; s < sequences; ++s) {
      const uint32_t last = scores_last_ ? own[s].length - 1 : 0;
      lengths[s] = own[s].length;
      full_runs[s] = own[s];
      scored_rows[s] = own[s].begin + last;
      scored_positions[s] = own[s].prefix_length + last;
    }
    fill(layout.queries, queries_there_.data(), sequences, full.sequences);
    fill(layout.firsts, offsets_there_.data(), sequences, full.sequences);
    fill(layout.lengths, lengths.data(), full.sequences, full.sequences);
    fill(layout.runs, full_runs.data(), full.sequences, full.sequences);
    fill(layout.scored_rows, scored_rows.data(), sequences, full.sequences);
    fill(layout.scored_positions, scored_positions.data(), sequences, full.sequences);
    fill(layout.tiles, tiles.data(), tiles.size(), full_.tiles);
    fill(layout.moves, moves_.data(), moves_.size(), moves_.size());
    fill(layout.marked_rows, marked_there_.data(), marked, full_.marked);
    ids_ = at<int32_t>(layout.ids);
    kinds_ = at<int32_t>(layout.kinds);
    places_ = at<uint32_t>(layout.places);
    rows_ = at<uint32_t>(layout.rows);
    queries_ = at<uint32_t>(layout.queries);
    firsts_ = at<uint32_t>(layout.firsts);
    lengths_ = at<uint32_t>(layout.lengths);
    runs_there_ = at<Run>(layout.runs);
    scored_rows_ = at<uint32_t>(layout.scored_rows);
    scored_positions_ = at<uint32_t>(layout.scored_positions);
    tiles_ = at<QueryTile>(layout.tiles);
    moves_there_ = at<KeyMove>(layout.moves);
    marked_rows_ = at<uint32_t>(layout.marked_rows);
    return layout;
  }

  void send(const Layout& layout, cudaStream_t stream) {
    check(cudaMemcpyAsync(device_.data(), pinned_.as<void>(), layout.bytes, cudaMemcpyHostToDevice, stream), "a batch");
  }

  PinnedBuffer pinned_;
  DeviceBuffer<unsigned char> device_;
  std::vector<uint32_t> offsets_there_{0}, queries_there_;  // of the sequences that are still there
  std::vector<uint32_t> marked_there_;
  std::vector<Run> runs_;  // of what sequences share, then of sequences
  std::vector<KeyMove> moves_;
  uint32_t shared_ = 0, prefix_rows_ = 0;
  bool scores_last_ = false;
  uint32_t heads_ = 0, processors_ = 1, tile_queries_ = kTileQueries;
  Counts exact_, full_;
  bool filled_up_ = false;
  const int32_t *ids_ = nullptr, *kinds_ = nullptr;
  const uint32_t *places_ = nullptr, *rows_ = nullptr, *queries_ = nullptr, *firsts_ = nullptr, *lengths_ = nullptr;
  const uint32_t *scored_rows_ = nullptr, *scored_positions_ = nullptr, *marked_rows_ = nullptr;
  const Run* runs_there_ = nullptr;
  const QueryTile* tiles_ = nullptr;
  const KeyMove* moves_there_ = nullptr;
};

}  // namespace rerank::engine::cuda
