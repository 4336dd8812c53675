// Whether attention by wgmma (products.h) gives on this device what attention by mma.sync gives.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <string>

namespace rerank::engine::cuda {

// Empty where it does, over a head of two random sequences; else why wgmma is not taken for heads of this size and the
// type T of their numbers. Waits for the stream.
template <class T>
std::string why_no_group_products(uint32_t head_size, cudaStream_t stream);

}  // namespace rerank::engine::cuda
