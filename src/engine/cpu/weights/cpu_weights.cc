#include "engine/cpu/weights/cpu_weights.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

#include "engine/attention_pattern.h"
#include "engine/encoder.h"

namespace rerank::engine::cpu {

void release_pages(const model::TensorView& tensor) {
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
      kernels.pack(rows.data(), count, matrix_.in, matrix_.in, panels + panel * bytes);
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
  const model::Architecture& a = model->architecture();
  for (const model::Block& block : a.blocks) {
    const model::Attention& attention = block.attention;
    if (attention.position != model::PositionKind::kRope || angles.contains(attention.rope)) continue;
    angles[attention.rope] = rope_table(attention.rope, attention.head_size, a.max_length);
  }
}

CpuWeights::CpuWeights(std::shared_ptr<const model::Model> m, const KernelTable& kernels, const Packing& packing)
    : SharedWeights(std::move(m), kernels, packing) {
  // Of a quantized model, what was kept from it stays exact.
  const bool int8 = std::string_view(kernels.precision) == "int8", mixed = model->weights.quantized && int8;
  const auto pack = [&](std::initializer_list<const model::Linear*> parts) {
    const bool exact = mixed && std::any_of(parts.begin(), parts.end(), [](const model::Linear* part) {
                         return part->weight.dtype != model::DType::kI8;
                       });
    return PackedLinear(exact ? kernels.exact : kernels.linear, packing, parts);
  };
  for (const model::LayerWeights& l : model->weights.layers) {
    // Where the head reads one row of each sequence, the last layer is computed for it alone, but for keys and values:
    // fp32 costs little there.
    const bool last = int8 && &l == &model->weights.layers.back() && last_rows(model->architecture()) == Rows::kScored;
    const auto pack_rest = [&](const model::Linear& part) {
      return last ? PackedLinear(kernels.exact, packing, {&part}) : pack({&part});
    };
    layers.push_back({.query_key_value = pack({&l.query, &l.key, &l.value}),
                      .attention_output = pack_rest(l.attention_output),
                      .gate = l.gate ? pack_rest(*l.gate) : PackedLinear(),
                      .up = pack_rest(l.up),
                      .down = pack_rest(l.down),
                      .scored_query = last ? pack_rest(l.query) : PackedLinear(),
                      .attention_norm = CpuNorm(l.attention_norm),
                      .output_norm = CpuNorm(l.output_norm),
                      .query_norm = CpuNorm(l.query_norm),
                      .key_norm = CpuNorm(l.key_norm),
                      .attention_sum_norm = CpuNorm(l.attention_sum_norm),
                      .output_sum_norm = CpuNorm(l.output_sum_norm)});
  }
}

}  // namespace rerank::engine::cpu
