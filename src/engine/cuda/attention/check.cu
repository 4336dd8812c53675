#include "engine/cuda/attention/check.h"

#include <cmath>
#include <vector>

#include "engine/cuda/device.h"
#include "engine/cuda/kernels/instructions.h"
#include "engine/cuda/kernels/kernels.h"
#include "engine/cuda/kernels/tiles.h"

namespace rerank::engine::cuda {
namespace {

// One head over two sequences, full tiles and parts of them: what each way makes of it.
template <class T>
std::vector<T> attention_of_two_sequences(uint32_t head_size, bool group_products, uint32_t queries,
                                          cudaStream_t stream) {
  const std::vector<Run> runs = {{.begin = 0, .length = 150}, {.begin = 150, .length = 64}};
  constexpr uint32_t kRows = 214;
  std::vector<T> qkv(size_t{kRows} * 3 * head_size);
  uint32_t state = 1;
  for (T& x : qkv) {  // Marsaglia 2003, "Xorshift RNGs"; in [-2, 2)
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    x = from_float<T>(static_cast<float>(state >> 8) * 0x1p-22f - 2);
  }
  const std::vector<QueryTile> tiles = attention_tiles(runs, queries);
  DeviceBuffer<T> input(qkv.size()), context(size_t{kRows} * head_size);
  DeviceBuffer<QueryTile> there(tiles.size());
  check(cudaMemcpyAsync(input.data(), qkv.data(), qkv.size() * sizeof(T), cudaMemcpyHostToDevice, stream), "copying");
  check(cudaMemcpyAsync(there.data(), tiles.data(), tiles.size() * sizeof(QueryTile), cudaMemcpyHostToDevice, stream),
        "copying");
  AttentionShape shape{1, 1, head_size, 3 * head_size, 3 * head_size};
  shape.group_products = group_products;
  shape.tile_queries = queries;
  const T* data = input.data();
  attend_all<T>({data, data + head_size, data + 2 * head_size, context.data()}, there.data(),
                static_cast<uint32_t>(tiles.size()), shape, stream);
  std::vector<T> result(size_t{kRows} * head_size);
  check(cudaMemcpyAsync(result.data(), context.data(), result.size() * sizeof(T), cudaMemcpyDeviceToHost, stream),
        "copying");
  check(cudaStreamSynchronize(stream), "comparing attention by wgmma with mma.sync");
  return result;
}

}  // namespace

template <class T>
std::string why_no_group_products(uint32_t head_size, cudaStream_t stream) {
  if (sizeof(T) != 2) return "wgmma is for numbers of 16 bits";
  if (head_size != 64 && head_size != 128) return "wgmma is for heads of 64 and 128";
  if (!is_hopper()) return "wgmma is Hopper's";
  const std::vector<T> expected = attention_of_two_sequences<T>(head_size, false, kTileQueries, stream);
  for (const uint32_t queries : {kTileQueries, kLongTileQueries}) {
    const std::vector<T> found = attention_of_two_sequences<T>(head_size, true, queries, stream);
    constexpr float kAllowed = 0.02f;  // contexts lie in [-2, 2): some units of bf16's last place
    for (size_t i = 0; i < found.size(); ++i) {
      if (!(std::fabs(to_float(found[i]) - to_float(expected[i])) <= kAllowed)) return "wgmma gave other numbers here";
    }
  }
  return "";
}

template std::string why_no_group_products<float>(uint32_t, cudaStream_t);
template std::string why_no_group_products<__half>(uint32_t, cudaStream_t);
template std::string why_no_group_products<__nv_bfloat16>(uint32_t, cudaStream_t);

}  // namespace rerank::engine::cuda
