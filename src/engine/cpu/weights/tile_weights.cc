#include "engine/cpu/weights/tile_weights.h"

#include <algorithm>
#include <cstring>
#include <numbers>

#include "engine/attention_pattern.h"
#include "engine/cpu/bf16.h"
#include "engine/encoder.h"

namespace rerank::engine::cpu {
namespace {

// Row `row` of a linear layer, its inputs where the padding puts them.
void read_row(const model::Linear& linear, size_t row, const Widths& in, float* out) {
  for (size_t g = 0; g < in.groups; ++g) {
    linear.weight.read_floats(row * linear.in() + g * in.width, {out + g * in.padded, in.width});
  }
}

struct TileWidths {
  Widths hidden, heads, key_heads, inner;
};

TileWidths tile_widths(const model::Architecture& a) {
  const auto pad = [](size_t width) { return round_up(width, kPanelColumns); };
  const model::Attention& attention = a.blocks[0].attention;
  const size_t head = attention.head_size, inner = a.blocks[0].feed_forward.width;
  return {{1, a.hidden, pad(a.hidden)},
          {attention.heads, head, pad(head)},
          {attention.kv_heads, head, pad(head)},
          {1, inner, pad(inner)}};
}

}  // namespace

TileLinear::TileLinear(const TileKernels& kernels, const Packing& packing, const model::Linear& from, const Widths& out,
                       const Widths& in) {
  panels_.kernels = &kernels;
  const size_t inputs = round_up(in.total(), kernels.inputs_per_tile);
  panels_.steps = inputs / kernels.inputs_per_tile;
  panels_.panels = out.total() / kPanelColumns;
  const size_t panel_bytes = panels_.steps * kStepBytes;
  bias_.resize(out.total());
  for (size_t g = 0; from.bias && g < out.groups; ++g)
    from.bias->read_floats(g * out.width, {bias_.data() + g * out.padded, out.width});
  // After the panels, of int8: the columns' scales, and the sums of their weights.
  const size_t all_panels = panels_.panels * panel_bytes, chunks = (panels_.steps + kChunkSteps - 1) / kChunkSteps;
  const size_t behind = kernels.int8 ? (1 + chunks) * out.total() * sizeof(float) : 0;
  panels_.data = packing.store.place(all_panels + behind, [&](std::byte* data) {
    auto* const scales = reinterpret_cast<float*>(data + all_panels);
    float* const sums = scales + out.total();
    packing.team.run(panels_.panels, [&](size_t panel, size_t) {
      std::vector<float> rows(kPanelColumns * inputs);
      for (size_t i = 0; i < kPanelColumns; ++i) {
        const size_t column = panel * kPanelColumns + i, group = column / out.padded, inside = column % out.padded;
        if (inside < out.width) read_row(from, group * out.width + inside, in, rows.data() + i * inputs);
      }
      kernels.pack(rows.data(), inputs, data + panel * panel_bytes, scales + panel * kPanelColumns,
                   sums + panel * chunks * kPanelColumns);
    });
    release_pages(from.weight);
  });
  if (from.bias) panels_.bias = bias_.data();
  if (!kernels.int8) return;
  panels_.scales = reinterpret_cast<const float*>(panels_.data + all_panels);
  panels_.sums = panels_.scales + out.total();
}

TileNormWeights::TileNormWeights(const model::Norm& norm, size_t padded) : gamma(padded), beta(padded) {
  norm.gamma.read_floats(0, {gamma.data(), norm.gamma.elements()});
  if (norm.beta) norm.beta->read_floats(0, {beta.data(), norm.beta->elements()});
}

TileNormWeights::TileNormWeights(const std::optional<model::Norm>& norm, size_t padded) {
  if (norm) *this = TileNormWeights(*norm, padded);
}

TileAngles::TileAngles(const std::vector<float>& angles, size_t head_size) {
  const size_t half = head_size / 2, positions = angles.size() / head_size;
  if (half % kPanelColumns != 0) return;
  panels = half / kPanelColumns;
  const size_t tiles = round_up(positions, kRowTile) / kRowTile;
  values.resize(tiles * panels * 2 * kLayoutFloats);  // zero: after the last position nothing is read
  for (size_t position = 0; position < positions; ++position) {
    const size_t row = position % kRowTile;
    for (size_t c = 0; c < half; ++c) {
      const size_t block = (position / kRowTile * panels + c / kPanelColumns) * 2, column = c % kPanelColumns;
      float* queries = values.data() + block * kLayoutFloats + row * 32 + column;
      float* keys = values.data() + (block + 1) * kLayoutFloats + column / 2 * 32 + row * 2 + column % 2;
      for (size_t part = 0; part < 2; ++part)
        queries[part * 512] = keys[part * 512] = angles[position * head_size + part * half + c];
    }
  }
}

TileWeights::TileWeights(std::shared_ptr<const model::Model> m, const KernelTable& table, const Packing& packing)
    : SharedWeights(std::move(m), table, packing) {
  const model::Architecture& a = model->architecture();
  const model::Attention& attention = a.blocks[0].attention;
  const model::Weights& w = model->weights;
  const TileWidths widths = tile_widths(a);
  hidden_columns = widths.hidden.total();
  head_columns = widths.heads.padded;
  inner_columns = widths.inner.total();
  if (projection.panels() == 0) tile_embedding_norm = TileNormWeights(w.embedding_norm, hidden_columns);
  for (const auto& [rope, table] : angles) tile_angles[rope] = TileAngles(table, attention.head_size);
  tile_convolution_norm = TileNormWeights(w.convolution_norm, hidden_columns);
  tile_final_norm = TileNormWeights(w.final_norm, hidden_columns);
  std::vector<float> positions_table;
  if (w.relative && distance_bias.empty()) {
    positions_table = relative_table(w, a);
    position_half = round_up(relative_reach(attention, a.max_length), kRowTile) / kRowTile + 1;
  }
  for (const std::vector<float>& bias : distance_bias) {
    distance_stride = bias.size();
    for (const float value : bias) tile_distances.push_back(value * kScoreUnits);
  }
  for (size_t i = 0; i < w.layers.size(); ++i) {
    const size_t first = w.first_with_tensors_of(i);
    const bool same = first < i && !(table.tiles->int8 && is_for_scored_rows(i));
    layers.push_back(same ? layers[first] : pack_layer(table, packing, positions_table, i));
  }
}

// Where the head reads one row of each sequence, the last layer is computed for it alone, but for keys and values: bf16
// costs nothing there.
bool TileWeights::is_for_scored_rows(size_t block) const {
  return block + 1 == model->weights.layers.size() && last_rows(model->architecture()) == Rows::kScored;
}

std::shared_ptr<const TileLayer> TileWeights::pack_layer(const KernelTable& table, const Packing& packing,
                                                         const std::vector<float>& positions_table,
                                                         size_t block) const {
  const model::LayerWeights& l = model->weights.layers[block];
  const auto [hidden, heads, key_heads, inner] = tile_widths(model->architecture());
  const TileKernels& kernels = *table.tiles;
  // Of a quantized model, what was kept from it stays bf16.
  const bool mixed = model->weights.quantized && kernels.int8;
  const bool exact_rest = is_for_scored_rows(block) && kernels.int8;
  const auto pack = [&](const model::Linear& from, const Widths& out, const Widths& in) {
    return TileLinear(mixed && from.weight.dtype != model::DType::kI8 ? *kernels.exact : kernels, packing, from, out,
                      in);
  };
  const auto pack_rest = [&](const model::Linear& from, const Widths& out, const Widths& in) {
    return exact_rest ? TileLinear(*kernels.exact, packing, from, out, in) : pack(from, out, in);
  };
  const auto positions = [&](const std::optional<model::Linear>& projection, bool of_queries) {
    return projection ? pack_positions(packing, positions_table, *projection, block, of_queries) : nullptr;
  };
  auto packed =
      std::make_shared<TileLayer>(TileLayer{.query = pack_rest(l.query, heads, hidden),
                                            .key = pack(l.key, key_heads, hidden),
                                            .value = pack(l.value, key_heads, hidden),
                                            .attention_output = pack_rest(l.attention_output, hidden, heads),
                                            .gate = l.gate ? pack_rest(*l.gate, inner, hidden) : TileLinear(),
                                            .up = l.router ? TileLinear() : pack_rest(l.up, inner, hidden),
                                            .down = l.router ? TileLinear() : pack_rest(l.down, hidden, inner),
                                            .attention_norm = TileNormWeights(l.attention_norm, hidden_columns),
                                            .output_norm = TileNormWeights(l.output_norm, hidden_columns),
                                            .position_keys = positions(l.position_key, false),
                                            .position_queries = positions(l.position_query, true)});
  if (l.router) packed->router = PackedLinear(table.exact, packing, {&*l.router});
  for (const model::ExpertWeights& expert : l.experts) {
    packed->experts.push_back({expert.gate ? pack_rest(*expert.gate, inner, hidden) : TileLinear(),
                               pack_rest(expert.up, inner, hidden), pack_rest(expert.down, hidden, inner)});
  }
  if (l.experts_bias) packed->experts_bias = l.experts_bias->floats();
  if (l.global_query) {
    packed->global_query = pack_rest(*l.global_query, heads, hidden);
    packed->global_key = pack(*l.global_key, heads, hidden);
    packed->global_value = pack(*l.global_value, heads, hidden);
  }
  return packed;
}

const std::byte* TileWeights::pack_positions(const Packing& packing, const std::vector<float>& table,
                                             const model::Linear& projection, size_t block, bool of_queries) const {
  const model::Attention& attention = model->architecture().blocks[block].attention;
  const size_t d = attention.head_size, head_tiles = head_columns / kPanelColumns;
  const size_t head_bytes = head_tiles * 2 * position_half * kTileBytes;
  const float factor = of_queries ? score_scale(attention) * std::numbers::log2e_v<float> * kScoreUnits : 1;
  return packing.store.place(attention.heads * head_bytes, [&](std::byte* tiles) {
    const std::vector<float> rows = projected_positions(table, projection);
    packing.team.run(attention.heads, [&](size_t head, size_t) {
      for (size_t i = 0; i < 2 * position_half * kRowTile; ++i) {
        const ptrdiff_t away = static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(position_half * kRowTile);
        const float* from = &rows[relative_row(attention, of_queries ? away : -away) * projection.out() + head * d];
        for (size_t c = 0; c < d; ++c) {
          const size_t tile = c / kPanelColumns * 2 * position_half + i / kRowTile;
          const uint16_t value = to_bf16(from[c] * factor);
          std::memcpy(tiles + head * head_bytes + tile * kTileBytes + c % kPanelColumns / 2 * kTileRow +
                          i % kRowTile * 4 + c % 2 * 2,
                      &value, 2);
        }
      }
    });
  });
}

}  // namespace rerank::engine::cpu
