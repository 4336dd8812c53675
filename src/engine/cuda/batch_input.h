// The batch that is under way, as the device sees it: ids, places and tiles, which go there in one copy.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/cuda/device.h"
#include "engine/cuda/tiles.h"

namespace rerank::cuda {

class BatchInput {
 public:
  // A whole batch.
  void load(const BatchSpec& spec, cudaStream_t stream) {
    const uint32_t tokens = spec.offsets[spec.sequences];
    offsets_there_.assign(spec.offsets, spec.offsets + spec.sequences + 1);
    queries_there_.assign(spec.queries, spec.queries + spec.sequences);
    const Layout layout = place(tokens, 0);
    std::memcpy(pinned_.as<void>(layout.ids), spec.ids, tokens * size_t{4});
    std::memcpy(pinned_.as<void>(layout.kinds), spec.segments, tokens * size_t{4});
    auto* places = pinned_.as<uint32_t>(layout.places);
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
    const Layout layout = place(0, rows.size());
    std::memcpy(pinned_.as<void>(layout.rows), rows.data(), rows.size() * 4);
    send(layout, stream);
  }

  Batch batch() const { return {{}, {}, offsets_there_}; }
  uint32_t sequences() const { return static_cast<uint32_t>(offsets_there_.size() - 1); }
  uint32_t tokens() const { return offsets_there_.back(); }

  // On the device.
  const int32_t* ids() const { return ids_; }  // this and the next two: of a whole batch
  const int32_t* kinds() const { return kinds_; }
  const uint32_t* places() const { return places_; }
  const uint32_t* rows() const { return rows_; }  // behind keep()
  const uint32_t* queries() const { return queries_; }
  const uint32_t* offsets() const { return offsets_; }
  const QueryTile* tiles() const { return tiles_; }
  uint32_t tile_count() const { return tile_count_; }

  // That such a batch needs there, also when sequences leave it.
  static size_t device_bytes(size_t tokens, size_t sequences) {
    return Layout(tokens, tokens, sequences, tokens / kTileQueries + sequences).bytes;
  }

 private:
  // The parts in one block of memory, the same on host and device.
  struct Layout {
    size_t ids, kinds, places, rows, queries, offsets, tiles, bytes;

    // tokens: that are embedded; kept: rows of a batch before that go on.
    Layout(size_t tokens, size_t kept, size_t sequences, size_t tile_count) {
      size_t at = 0;
      const auto part = [&](size_t part_bytes) {
        const size_t begin = at;
        at += (part_bytes + 255) / 256 * 256;
        return begin;
      };
      ids = part(tokens * 4);
      kinds = part(tokens * 4);
      places = part(tokens * 4);
      rows = part(kept * 4);
      queries = part(sequences * 4);
      offsets = part((sequences + 1) * 4);
      tiles = part(tile_count * sizeof(QueryTile));
      bytes = at;
    }
  };

  template <class P>
  P* at(size_t offset) const {
    return reinterpret_cast<P*>(device_.data() + offset);
  }

  // Where the parts of the batch that offsets_there_ describes lie, and those parts that all batches have.
  Layout place(size_t tokens, size_t kept) {
    const std::vector<QueryTile> tiles = attention_tiles(offsets_there_.data(), sequences());
    const Layout layout(tokens, kept, sequences(), tiles.size());
    pinned_.resize(layout.bytes);
    device_.resize(layout.bytes);
    std::memcpy(pinned_.as<void>(layout.queries), queries_there_.data(), queries_there_.size() * 4);
    std::memcpy(pinned_.as<void>(layout.offsets), offsets_there_.data(), offsets_there_.size() * 4);
    std::memcpy(pinned_.as<void>(layout.tiles), tiles.data(), tiles.size() * sizeof(QueryTile));
    ids_ = at<int32_t>(layout.ids);
    kinds_ = at<int32_t>(layout.kinds);
    places_ = at<uint32_t>(layout.places);
    rows_ = at<uint32_t>(layout.rows);
    queries_ = at<uint32_t>(layout.queries);
    offsets_ = at<uint32_t>(layout.offsets);
    tiles_ = at<QueryTile>(layout.tiles);
    tile_count_ = static_cast<uint32_t>(tiles.size());
    return layout;
  }

  void send(const Layout& layout, cudaStream_t stream) {
    check(cudaMemcpyAsync(device_.data(), pinned_.as<void>(), layout.bytes, cudaMemcpyHostToDevice, stream), "a batch");
  }

  PinnedBuffer pinned_;
  DeviceBuffer<unsigned char> device_;
  std::vector<uint32_t> offsets_there_{0}, queries_there_;  // of the sequences that are still there
  const int32_t *ids_ = nullptr, *kinds_ = nullptr;
  const uint32_t *places_ = nullptr, *rows_ = nullptr, *queries_ = nullptr, *offsets_ = nullptr;
  const QueryTile* tiles_ = nullptr;
  uint32_t tile_count_ = 0;
};

}  // namespace rerank::cuda
