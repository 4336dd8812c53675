// The batch that is under way, as the device sees it: ids, places and tiles, which go there in one copy.
//
// A whole batch is laid out for its class: as many rows and sequences as row_classes.h gives, and tiles for any batch
// of so many. What fills it up does no harm where it is computed: tokens and positions 0, sequences that are row 0
// alone, tiles without rows. So the launches of two batches of a class may be the same (graph.h).
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
  };

  // A whole batch.
  void load(const BatchSpec& spec, cudaStream_t stream) {
    offsets_there_.assign(spec.offsets, spec.offsets + spec.sequences + 1);
    queries_there_.assign(spec.queries, spec.queries + spec.sequences);
    const uint32_t tokens = offsets_there_.back();
    const Layout layout = place(whole(tokens, spec.sequences), 0);
    fill(layout.ids, spec.ids, tokens, full_.tokens);
    fill(layout.kinds, spec.segments, tokens, full_.tokens);
    auto* places = pinned_.as<uint32_t>(layout.places);
    std::fill(places + tokens, places + full_.tokens, 0u);
    for (uint32_t s = 0; s < spec.sequences; ++s) {
      for (uint32_t i = spec.offsets[s]; i < spec.offsets[s + 1]; ++i) places[i] = i - spec.offsets[s];
    }
    send(layout, stream);
  }

  // Only these of the sequences that are there stay; rows() then says which rows of before.
  void keep(std::span<const uint32_t> sequences, cudaStream_t stream) {
    std::vector<uint32_t> offsets{0}, queries, rows;
    for (uint32_t s : sequences) {
      for (uint32_t row = offsets_there_[s]; row < offsets_there_[s + 1]; ++row) rows.push_back(row);
      offsets.push_back(static_cast<uint32_t>(rows.size()));
      queries.push_back(queries_there_[s]);
    }
    offsets_there_ = std::move(offsets);
    queries_there_ = std::move(queries);
    check(cudaStreamSynchronize(stream), "before a batch is packed anew");  // what is pinned may still be read
    const auto kept = static_cast<uint32_t>(rows.size());
    const Layout layout = place({0, static_cast<uint32_t>(sequences.size()), tiles_of(kept, sequences.size())}, kept);
    fill(layout.rows, rows.data(), kept, kept);
    send(layout, stream);
  }

  Batch batch() const { return {{}, {}, offsets_there_}; }

  // What launches are for: the batch's own counts, or those of its class.
  const Counts& counts() const { return filled_up_ ? full_ : exact_; }
  // Of a whole batch.
  void fill_up(bool on) { filled_up_ = on; }
  const Counts& full() const { return full_; }

  // On the device.
  const void* data() const { return device_.data(); }
  const int32_t* ids() const { return ids_; }  // this and the next two: of a whole batch
  const int32_t* kinds() const { return kinds_; }
  const uint32_t* places() const { return places_; }
  const uint32_t* rows() const { return rows_; }  // behind keep()
  const uint32_t* queries() const { return queries_; }
  const uint32_t* firsts() const { return firsts_; }  // each sequence's first row, and its tokens
  const uint32_t* lengths() const { return lengths_; }
  const QueryTile* tiles() const { return tiles_; }

  // That such a batch needs there, also when sequences leave it.
  static size_t device_bytes(uint32_t tokens, uint32_t sequences) {
    return Layout(whole(tokens, sequences), tokens).bytes;
  }

 private:
  // The parts in one block of memory, the same on host and device.
  struct Layout {
    size_t ids, kinds, places, rows, queries, firsts, lengths, tiles, bytes;

    // counts.tokens: that are embedded; kept: rows of a batch before that go on.
    Layout(const Counts& counts, size_t kept) {
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
      tiles = part(counts.tiles * sizeof(QueryTile));
      bytes = at;
    }
  };

  static uint32_t tiles_of(size_t tokens, size_t sequences) {  // at most
    return static_cast<uint32_t>(tokens / kTileQueries + sequences);
  }
  static Counts whole(uint32_t tokens, uint32_t sequences) {
    const uint32_t rows = padded_rows(tokens), full = padded_sequences(sequences);
    return {rows, full, tiles_of(rows, full)};
  }

  template <class P>
  P* at(size_t offset) const {
    return reinterpret_cast<P*>(device_.data() + offset);
  }

  // `count` values, and zeros behind them.
  template <class P>
  void fill(size_t offset, const P* values, size_t count, size_t full) {
    P* const to = pinned_.as<P>(offset);
    std::fill(std::copy_n(values, count, to), to + full, P());
  }

  // Where the parts of the batch that offsets_there_ describes lie, and those parts that all batches have.
  Layout place(const Counts& full, size_t kept) {
    const auto sequences = static_cast<uint32_t>(offsets_there_.size() - 1);
    const std::vector<QueryTile> tiles = attention_tiles(offsets_there_.data(), sequences);
    exact_ = {offsets_there_.back(), sequences, static_cast<uint32_t>(tiles.size())};
    full_ = full;
    filled_up_ = false;
    const Layout layout(full, kept);
    pinned_.resize(layout.bytes);
    device_.resize(layout.bytes);
    std::vector<uint32_t> lengths(full.sequences, 1);
    for (uint32_t s = 0; s < sequences; ++s) lengths[s] = offsets_there_[s + 1] - offsets_there_[s];
    fill(layout.queries, queries_there_.data(), sequences, full.sequences);
    fill(layout.firsts, offsets_there_.data(), sequences, full.sequences);
    fill(layout.lengths, lengths.data(), full.sequences, full.sequences);
    fill(layout.tiles, tiles.data(), tiles.size(), full.tiles);
    ids_ = at<int32_t>(layout.ids);
    kinds_ = at<int32_t>(layout.kinds);
    places_ = at<uint32_t>(layout.places);
    rows_ = at<uint32_t>(layout.rows);
    queries_ = at<uint32_t>(layout.queries);
    firsts_ = at<uint32_t>(layout.firsts);
    lengths_ = at<uint32_t>(layout.lengths);
    tiles_ = at<QueryTile>(layout.tiles);
    return layout;
  }

  void send(const Layout& layout, cudaStream_t stream) {
    check(cudaMemcpyAsync(device_.data(), pinned_.as<void>(), layout.bytes, cudaMemcpyHostToDevice, stream), "a batch");
  }

  PinnedBuffer pinned_;
  DeviceBuffer<unsigned char> device_;
  std::vector<uint32_t> offsets_there_{0}, queries_there_;  // of the sequences that are still there
  Counts exact_, full_;
  bool filled_up_ = false;
  const int32_t *ids_ = nullptr, *kinds_ = nullptr;
  const uint32_t *places_ = nullptr, *rows_ = nullptr, *queries_ = nullptr, *firsts_ = nullptr, *lengths_ = nullptr;
  const QueryTile* tiles_ = nullptr;
};

}  // namespace rerank::engine::cuda
