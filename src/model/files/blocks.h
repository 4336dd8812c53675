// Blocks of quantized weights as GGUF files have them: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 of 32 weights, Q4_K, Q5_K, Q6_K of
// 256. Layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/safetensors.h"

namespace rerank::model {

float half_to_float(uint16_t bits);

// Elements [begin, begin + out.size()) of `blocks`, which hold them.
void read_blocks(DType dtype, std::span<const std::byte> blocks, size_t begin, std::span<float> out);

// The scale of block number `block` of Q4_0.
float block_scale(std::span<const std::byte> blocks, size_t block);

}  // namespace rerank::model
