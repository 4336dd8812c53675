#include "engine/cpu/weights/cpu_weights.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <numbers>

#include "engine/attention_pattern.h"
#include "engine/encoder.h"

namespace rerank::engine::cpu {

namespace {

// Panels on each side of distance 0: the outermost has one row of the table for all its columns.
size_t position_panels(const model::Architecture& a, const KernelTable& kernels) {
  const size_t columns = kernels.linear.tile_columns;
  return round_up(relative_reach(a.blocks[0].attention, a.max_length), columns) / columns + 1;
}

// Of the rows' groups of 32 inputs, where the weights are whole numbers of them: the packed ones of 4 bits are the same
// numbers then. Empty: they are not.
std::vector<float> units_of(const std::vector<std::pair<const model::Linear*, size_t>>& rows, size_t first,
                            size_t count) {
  std::vector<float> units;
  const size_t groups = rows[first].first->in() / kUnitInputs;
  for (size_t i = first; i < first + count; ++i) {
    if (!rows[i].first->weight.has_units()) return {};
    units.resize(units.size() + groups);
    rows[i].first->weight.read_units(rows[i].second, std::span(units).last(groups));
  }
  return units;
}

}  // namespace

void release_pages(const model::TensorView& tensor) {
  if (!tensor.mapped) return;  // nothing would bring it back
  constexpr uintptr_t kPage = 4096;
  const auto begin = reinterpret_cast<uintptr_t>(tensor.bytes.data());
  const uintptr_t first = round_up(begin, kPage), end = (begin + tensor.bytes.size()) / kPage * kPage;
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);  // whole pages of it only
}

PackedLinear::PackedLinear(const ProductKernels& kernels, const Packing& packing,
                           std::initializer_list<const model::Linear*> parts)
    : product_(&kernels) {
  matrix_.in = (*parts.begin())->in();
  for (const model::Linear* part : parts) matrix_.out += part->out();
  const size_t columns = kernels.tile_columns;
  panel_count_ = (matrix_.out + columns - 1) / columns;
  const size_t bytes = kernels.panel_bytes(matrix_.in);
  bias_.resize(panel_count_ * columns);

  // Where each output column comes from.
  std::vector<std::pair<const model::Linear*, size_t>> sources;
  for (const model::Linear* part : parts) {
    for (size_t row = 0; row < part->out(); ++row) sources.emplace_back(part, row);
    if (part->bias) part->bias->read_floats(0, {bias_.data() + sources.size() - part->out(), part->out()});
  }
  matrix_.panels = packing.store.place(panel_count_ * bytes, [&](std::byte* panels) {
    packing.team.run(panel_count_, [&](size_t panel, size_t) {
      const size_t first = panel * columns;
      const size_t count = std::min(columns, matrix_.out - first);
      std::vector<float> rows(count * matrix_.in);
      for (size_t i = 0; i < count; ++i) {
        const auto [linear, row] = sources[first + i];
        linear->weight.read_floats(row * matrix_.in, {rows.data() + i * matrix_.in, matrix_.in});
      }
      const std::vector<float> units = units_of(sources, first, count);
      kernels.pack({rows.data(), count, matrix_.in, matrix_.in, units.empty() ? nullptr : units.data()},
                   panels + panel * bytes);
    });
    for (const model::Linear* part : parts) release_pages(part->weight);
  });
  matrix_.bias = bias_.data();
}

SharedWeights::SharedWeights(std::shared_ptr<const model::Model> m, const KernelTable& kernels, const Packing& packing)
    : model(std::move(m)) {
  const model::Weights& w = model->weights;
  if (w.positions) positions = w.positions->floats();
  if (w.segments) segments = w.segments->floats();
  embedding_norm = CpuNorm(w.embedding_norm);
  final_norm = CpuNorm(w.final_norm);
  head_norm = CpuNorm(w.head_norm);
  if (w.embedding_projection) projection = PackedLinear(kernels.exact, packing, {&*w.embedding_projection});
  if (w.head_dense) head_dense = PackedLinear(kernels.exact, packing, {&*w.head_dense});
  head_output = PackedLinear(kernels.exact, packing, {&w.head_output});
  for (const model::Linear& output : w.outputs) outputs.push_back(PackedLinear(kernels.exact, packing, {&output}));
  const model::Architecture& a = model->architecture();
  for (const model::Block& block : a.blocks) {
    const model::Attention& attention = block.attention;
    if (attention.position != model::PositionKind::kRope || angles.contains(attention.rope)) continue;
    angles[attention.rope] = rope_table(attention.rope, attention.head_size, a.max_length);
  }
  if (w.convolution) {
    const std::vector<float> matrix = w.convolution_matrix();
    const model::Linear linear = {{.name = "convolution",
                                   .shape = {a.hidden, matrix.size() / a.hidden},
                                   .bytes = std::as_bytes(std::span(matrix))},
                                  w.convolution_bias};
    convolution = PackedLinear(kernels.exact, packing, {&linear});
    convolution_norm = CpuNorm(w.convolution_norm);
  }
  const model::Attention& first = a.blocks[0].attention;
  if (first.position != model::PositionKind::kBuckets) return;
  const std::vector<float> table = w.relative->floats();
  for (size_t head = 0; head < first.heads; ++head) {
    std::vector<float>& bias = distance_bias.emplace_back(bias_by_distance(first, table, head, a.max_length));
    for (float& value : bias) value *= std::numbers::log2e_v<float>;
    bias.resize(bias.size() + 2 * kernels.linear.tile_columns);  // read, and not used
  }
}

CpuWeights::CpuWeights(std::shared_ptr<const model::Model> m, const KernelTable& kernels, const Packing& packing)
    : SharedWeights(std::move(m), kernels, packing) {
  // Of a quantized model, what was kept from it stays exact.
  const model::Architecture& a = model->architecture();
  const model::Weights& w = model->weights;
  const bool int8 = kernels.precision == Precision::kInt8, mixed = w.quantized && int8;
  const auto pack = [&](std::initializer_list<const model::Linear*> parts) {
    const bool exact = mixed && std::any_of(parts.begin(), parts.end(), [](const model::Linear* part) {
                         return part->weight.dtype != model::DType::kI8;
                       });
    return PackedLinear(exact ? kernels.exact : kernels.linear, packing, parts);
  };
  if (w.relative && distance_bias.empty()) positions_table_ = relative_table(w, a);
  for (size_t i = 0; i < w.layers.size(); ++i) {
    const model::LayerWeights& l = w.layers[i];
    // Where the head reads one row of each sequence, the last layer is computed for it alone, but for keys and values:
    // fp32 costs little there.
    const bool last = int8 && i + 1 == w.layers.size() && last_rows(a) == Rows::kScored;
    if (const size_t first = w.first_with_tensors_of(i); first < i && !last) {
      layers.push_back(layers[first]);
      continue;
    }
    const auto pack_rest = [&](const model::Linear& part) {
      return last ? PackedLinear(kernels.exact, packing, {&part}) : pack({&part});
    };
    const auto positions = [&](const std::optional<model::Linear>& projection, bool of_queries) {
      return projection ? pack_positions(kernels, packing, *projection, i, of_queries) : PackedPositions();
    };
    auto packed = std::make_shared<CpuLayer>(CpuLayer{.query_key_value = pack({&l.query, &l.key, &l.value}),
                                                      .attention_output = pack_rest(l.attention_output),
                                                      .gate = l.gate ? pack_rest(*l.gate) : PackedLinear(),
                                                      .up = l.router ? PackedLinear() : pack_rest(l.up),
                                                      .down = l.router ? PackedLinear() : pack_rest(l.down),
                                                      .scored_query = last ? pack_rest(l.query) : PackedLinear(),
                                                      .attention_norm = CpuNorm(l.attention_norm),
                                                      .output_norm = CpuNorm(l.output_norm),
                                                      .query_norm = CpuNorm(l.query_norm),
                                                      .key_norm = CpuNorm(l.key_norm),
                                                      .attention_sum_norm = CpuNorm(l.attention_sum_norm),
                                                      .output_sum_norm = CpuNorm(l.output_sum_norm),
                                                      .position_keys = positions(l.position_key, false),
                                                      .position_queries = positions(l.position_query, true)});
    CpuLayer& layer = *packed;
    if (l.router) layer.router = PackedLinear(kernels.exact, packing, {&*l.router});
    for (const model::ExpertWeights& expert : l.experts) {
      layer.experts.push_back(
          {expert.gate ? pack_rest(*expert.gate) : PackedLinear(), pack_rest(expert.up), pack_rest(expert.down)});
    }
    if (l.experts_bias) layer.experts_bias = l.experts_bias->floats();
    if (l.global_query) {
      layer.global_query = pack_rest(*l.global_query);
      layer.global_key_value = pack({&*l.global_key, &*l.global_value});
    }
    layers.push_back(std::move(packed));
  }
  if (!positions_table_.empty()) position_half = position_panels(a, kernels);
  positions_table_ = {};
}

PackedPositions CpuWeights::pack_positions(const KernelTable& kernels, const Packing& packing,
                                           const model::Linear& projection, size_t block, bool of_queries) const {
  const model::Architecture& a = model->architecture();
  const model::Attention& attention = a.blocks[block].attention;
  const size_t d = attention.head_size, half = position_panels(a, kernels);
  const size_t columns = kernels.linear.tile_columns, count = 2 * half * columns;
  PackedPositions packed;
  packed.head_bytes = 2 * half * kernels.position_panel_bytes(d);
  const float factor = of_queries ? score_scale(attention) * std::numbers::log2e_v<float> : 1;
  packed.panels = packing.store.place(attention.heads * packed.head_bytes, [&](std::byte* panels) {
    const std::vector<float> rows = projected_positions(positions_table_, projection);
    packing.team.run(attention.heads, [&](size_t head, size_t) {
      std::vector<float> by_distance(count * d);
      for (size_t i = 0; i < count; ++i) {
        const ptrdiff_t away = static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(half * columns);
        const float* from = &rows[relative_row(attention, of_queries ? away : -away) * projection.out() + head * d];
        for (size_t c = 0; c < d; ++c) by_distance[i * d + c] = from[c] * factor;
      }
      kernels.pack_positions({by_distance.data(), count, d, d}, panels + head * packed.head_bytes);
    });
  });
  return packed;
}

}  // namespace rerank::engine::cpu
