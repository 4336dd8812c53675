// The CPU engine's kernels one by one: products of the shapes of MiniLM, base and large, attention, norms,
// quantization. Reports for each its rate and its share of the peak that this program measures at start (one thread).
#include <benchmark/benchmark.h>

#include "base/strings.h"
#include "bench/peak.h"
#include "engine/cpu/buffers.h"
#include "engine/cpu/vector/kernels.h"

namespace rerank::bench {
namespace {

using namespace engine::cpu;

struct Peaks {
  double of[kUnits];
  Peaks() {
    for (size_t unit = 0; unit < kUnits; ++unit) of[unit] = measure_peak(static_cast<Unit>(unit), 1);
  }
};
double peak_of(Unit unit) {
  static const Peaks kPeaks;
  return kPeaks.of[static_cast<size_t>(unit)];
}

void report(benchmark::State& state, double operations, double peak) {
  using benchmark::Counter;
  state.counters["op/s"] = Counter(operations, Counter::kIsIterationInvariantRate, Counter::kIs1000);
  state.counters["%peak"] = Counter(operations / peak * 100, Counter::kIsIterationInvariantRate);
}

void fill(std::byte* bytes, size_t n, bool int8) {  // bf16 of about 1, or small whole numbers
  for (size_t i = 0; i < n; ++i) {
    bytes[i] = static_cast<std::byte>(int8 ? i * 37 % 64 : (i % 2 == 0 ? i * 37 : 0x3f));
  }
}

void tile_product(benchmark::State& state, const TileKernels* kernels, TileResult result) {
  const size_t rows = state.range(0), in = state.range(1), out = state.range(2);
  const size_t steps = in / kernels->inputs_per_tile, panels = out / 32, row_tiles = rows / 16;
  Buffer<std::byte> weights(panels * steps * kStepBytes), a(row_tiles * steps * kTileBytes), scratch(kProductScratch);
  Buffer<std::byte> c(rows * out * 4);
  Buffer<float> bias(out), scales(out), sums(out * ((steps + kChunkSteps - 1) / kChunkSteps));
  Buffer<RowRange> ranges(rows);
  fill(weights.data(), weights.size(), kernels->int8);
  fill(a.data(), a.size(), kernels->int8);
  const TilePanels w = {
      weights.data(), bias.data(), kernels->int8 ? scales.data() : nullptr, kernels->int8 ? sums.data() : nullptr,
      panels,         steps};
  TileProduct job;
  job.a_stride = steps * kTileBytes;
  job.weights = &w;
  job.last_panel = panels;
  job.steps = steps;
  job.result = result;
  const bool add = result == TileResult::kAdd, inner = result == TileResult::kInner;
  job.out_panel_stride = add ? 2 * kTileBytes : inner ? kTileBytes : row_tiles * kTileBytes;
  job.out_row_stride = add                             ? panels * 2 * kTileBytes
                       : inner                         ? panels * kTileBytes
                       : result == TileResult::kValues ? 512
                                                       : 1024;
  job.scratch = scratch.data();
  for (auto _ : state) {
    for (size_t row = 0; row < row_tiles; row += kBlockRowTiles) {
      job.row_tiles = std::min(kBlockRowTiles, row_tiles - row);
      job.a = a.data() + row * job.a_stride;
      job.a_ranges = ranges.data() + row * 16;
      job.out = c.data() + row * job.out_row_stride;
      kernels->product(job);
    }
  }
  report(state, 2.0 * static_cast<double>(rows * in * out), peak_of(kernels->int8 ? Unit::kAmxInt8 : Unit::kAmxBf16));
}

void tile_attention(benchmark::State& state, const TileKernels* kernels) {
  const size_t length = state.range(0), head_tiles = state.range(1) / 32, row_tiles = (length + 15) / 16 + 1;
  const size_t stride = row_tiles * kTileBytes;
  Buffer<std::byte> q(head_tiles * stride), k(head_tiles * stride), v(head_tiles * stride),
      context(head_tiles * stride);
  Buffer<std::byte> scratch(kernels->attention_scratch(head_tiles));
  fill(v.data(), v.size(), false);
  TileAttention job;
  job.queries = q.data();
  job.keys = k.data();
  job.values = v.data();
  job.query_stride = job.key_stride = stride;
  job.query_rows = job.length = length;
  job.head_tiles = head_tiles;
  job.context = context.data();
  job.context_stride = head_tiles * kTileBytes;
  job.scratch = scratch.data();
  for (auto _ : state) kernels->attention(job);
  report(state, 4.0 * static_cast<double>(length * length * state.range(1)), peak_of(Unit::kAmxBf16));
}

void tile_norm(benchmark::State& state, const TileKernels* kernels) {
  const size_t columns = state.range(0), row_tiles = 32;
  Buffer<float> c(row_tiles * 16 * columns), gamma(columns), beta(columns);
  Buffer<std::byte> a(row_tiles * 16 * columns * 2);
  for (size_t i = 0; i < c.size(); ++i) c.data()[i] = static_cast<float>(i % 97);
  TileNorm job;
  job.columns = columns;
  job.column_tiles = columns / 16;
  job.gamma = gamma.data();
  job.beta = beta.data();
  job.epsilon = 1e-5f;
  for (auto _ : state) {
    for (size_t t = 0; t < row_tiles; ++t) {
      job.c = c.data() + t * 16 * columns;
      job.a = a.data() + t * 16 * columns * 2;
      kernels->norm(job);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * row_tiles * 16));
}

void tile_quantize(benchmark::State& state, const TileKernels* kernels) {
  const size_t tiles = state.range(0) / 32, row_tiles = 32;
  Buffer<std::byte> from(row_tiles * tiles * kTileBytes), to(from.size() / 2);
  Buffer<RowRange> ranges(16);
  fill(from.data(), from.size(), false);
  for (auto _ : state) {
    for (size_t t = 0; t < row_tiles; ++t) {
      kernels->quantize(from.data() + t * tiles * kTileBytes, tiles, to.data() + t * tiles / 2 * kTileBytes,
                        ranges.data());
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * row_tiles * 16));
}

void matmul(benchmark::State& state, const KernelTable* table, ActivationFunction* activation) {
  const ProductKernels& product = table->linear;
  const size_t rows = state.range(0), in = state.range(1), out = state.range(2);
  const size_t panels = (out + product.tile_columns - 1) / product.tile_columns;
  PaddedMatrix a, c;
  a.resize(rows, in, product.tile_columns);
  c.resize(rows, out, product.tile_columns);
  for (size_t r = 0; r < rows; ++r) std::fill_n(a.row(r), in, 0.5f);
  Buffer<float> weights(product.tile_columns * in);
  Buffer<std::byte> packed(panels * product.panel_bytes(in)), scratch(product.matmul_scratch(in));
  for (size_t p = 0; p < panels; ++p) {
    product.pack({weights.data(), product.tile_columns, in, in}, packed.data() + p * product.panel_bytes(in));
  }
  const PackedMatrix matrix = {packed.data(), nullptr, out, in};
  MatMulArgs args;
  args.a = a.row(0), args.a_stride = a.stride(), args.rows = rows;
  args.weights = &matrix, args.last_panel = panels;
  args.c = c.row(0), args.c_stride = c.stride();
  args.activation = activation;
  args.scratch = scratch.data();
  for (auto _ : state) product.matmul(args);
  report(state, 2.0 * static_cast<double>(rows * in * out), peak_of(unit_of(*table)));
}

using Shapes = std::vector<std::array<int64_t, 2>>;
const Shapes& shapes() {
  static const Shapes kShapes = {{384, 384},   {384, 1536},  {768, 768},   {768, 3072},  {1024, 1024},
                                 {1024, 4096}, {4096, 1024}, {2048, 1024}, {1024, 3072}, {3072, 1024}};
  return kShapes;
}

void add_tiles(const KernelTable* table) {
  const TileKernels* k = table->tiles;
  const std::string name = str_cat(word_of(table->tier), "/", word_of(table->precision), "/");
  for (const auto& [in, out] : shapes()) {
    for (int64_t rows : {64, 256, 512, 4096}) {
      benchmark::RegisterBenchmark((name + "gelu").c_str(), tile_product, k, TileResult::kInner)->Args({rows, in, out});
      benchmark::RegisterBenchmark((name + "residual").c_str(), tile_product, k, TileResult::kAdd)
          ->Args({rows, in, out});
    }
  }
  for (int64_t in : {384, 768, 1024}) {
    benchmark::RegisterBenchmark((name + "queries").c_str(), tile_product, k, TileResult::kQueries)
        ->Args({512, in, in});
    benchmark::RegisterBenchmark((name + "keys").c_str(), tile_product, k, TileResult::kKeys)->Args({512, in, in});
    benchmark::RegisterBenchmark((name + "values").c_str(), tile_product, k, TileResult::kValues)->Args({512, in, in});
    benchmark::RegisterBenchmark((name + "norm").c_str(), tile_norm, k)->Arg(in);
  }
  if (k->int8) {
    for (int64_t in : {384, 1024}) benchmark::RegisterBenchmark((name + "quantize").c_str(), tile_quantize, k)->Arg(in);
    return;
  }
  for (int64_t head : {32, 64}) {
    for (int64_t length : {128, 512, 4096}) {
      benchmark::RegisterBenchmark((name + "attention").c_str(), tile_attention, k)->Args({length, head});
    }
  }
}

void vector_attention(benchmark::State& state, const KernelTable* table) {
  const size_t length = state.range(0), head = state.range(1), width = 3 * 12 * head;
  PaddedMatrix projected, context;
  projected.resize(length, width, 32);
  context.resize(length, 12 * head, 32);
  for (size_t r = 0; r < length; ++r) {
    for (size_t c = 0; c < width; ++c) projected.row(r)[c] = 0.01f * static_cast<float>((r * 7 + c * 3) % 100);
  }
  Buffer<std::byte> scratch(table->attention_scratch(length, head));
  AttentionArgs args;
  args.queries = projected.row(0);
  const KeyRows keys = {args.queries + 12 * head, args.queries + 24 * head, projected.stride(), length};
  args.pieces = {&keys, 1};
  args.query_stride = projected.stride();
  args.query_rows = args.length = length;
  args.head_size = head;
  args.scale = 0.1f;
  args.context = context.row(0);
  args.context_stride = context.stride();
  args.scratch = scratch.data();
  for (auto _ : state) table->attention(args);
  const bool bf16 = table->tier == KernelTier::kAvx512Bf16 || table->tier == KernelTier::kAvx512VnniBf16;
  report(state, 4.0 * static_cast<double>(length * length * head), peak_of(bf16 ? Unit::kVectorBf16 : Unit::kFp32));
}

void vector_function(benchmark::State& state, ActivationFunction* function) {
  Buffer<float> x(state.range(0));
  for (auto _ : state) {
    for (size_t i = 0; i < x.size(); ++i) x.data()[i] = 0.01f * static_cast<float>(i % 500) - 2;
    function(x.data(), x.size());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * x.size()));
}

void vector_norm(benchmark::State& state, const KernelTable* table) {
  const size_t width = state.range(0);
  Buffer<float> x(64 * width), gamma(width), beta(width);
  for (size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i % 97);
  std::fill_n(gamma.data(), width, 1.0f);
  for (auto _ : state) {
    for (size_t r = 0; r < 64; ++r) table->layer_norm(x.data() + r * width, width, gamma.data(), beta.data(), 1e-5f);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * 64));
}

void add_vectors(const KernelTable* table) {
  const std::string name = str_cat(word_of(table->tier), "/", word_of(table->precision), "/");
  for (const auto& [in, out] : shapes()) {
    for (int64_t rows : {64, 512, 4096, 8192}) {
      benchmark::RegisterBenchmark((name + "product").c_str(), matmul, table, nullptr)->Args({rows, in, out});
    }
    if (out <= in) continue;
    benchmark::RegisterBenchmark((name + "product+gelu").c_str(), matmul, table, table->gelu)->Args({512, in, out});
  }
  for (int64_t head : {32, 64}) {
    for (int64_t length : {32, 128, 512, 4096}) {
      benchmark::RegisterBenchmark((name + "attention").c_str(), vector_attention, table)->Args({length, head});
    }
  }
  benchmark::RegisterBenchmark((name + "gelu").c_str(), vector_function, table->gelu)->Arg(1024);
  for (int64_t width : {384, 768, 1024}) {
    benchmark::RegisterBenchmark((name + "norm").c_str(), vector_norm, table)->Arg(width);
  }
}

void add_all() {
  for (const KernelTable* table : compiled_kernels()) {
    if (!unsupported_reason(*table).empty() || traits_of(table->tier).use == TierUse::kTests) continue;
    if (table->tiles != nullptr) {
      add_tiles(table);
      continue;
    }
    add_vectors(table);
  }
}

}  // namespace
}  // namespace rerank::bench

int main(int argc, char** argv) {
  using rerank::bench::Unit;
  const auto peak = [](Unit unit) { return rerank::bench::peak_of(unit) * 1e-9; };
  std::printf("peak, 1 thread, Gop/s: fp32 %.0f, vector bf16 %.0f, vector int8 %.0f, AMX bf16 %.0f, AMX int8 %.0f\n",
              peak(Unit::kFp32), peak(Unit::kVectorBf16), peak(Unit::kVectorInt8), peak(Unit::kAmxBf16),
              peak(Unit::kAmxInt8));
  rerank::bench::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
