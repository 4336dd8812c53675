// Element-wise functions and norms. Included once per target by kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class Function>
HWY_INLINE void map(float* x, size_t n, Function function) {
  const D d;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(function(d, hn::LoadU(d, x + i)), d, x + i);
  if (i == n) return;
  HWY_ALIGN float last[kLanes] = {};
  std::copy(x + i, x + n, last);
  hn::Store(function(d, hn::Load(d, last)), d, last);
  std::copy(last, last + (n - i), x + i);
}

void gelu(float* x, size_t n) {
  map(x, n, [](D d, V v) HWY_ATTR { return gelu_vector(d, v); });
}
void gelu_short(float* x, size_t n) {
#if HWY_TARGET <= HWY_AVX3
  map(x, n, [](D d, V v) HWY_ATTR { return gelu_short_vector(d, v); });
#else  // which has no permutation that looks up, and is slow to gather
  map(x, n, [](D d, V v) HWY_ATTR { return gelu_polynomial_vector(d, v); });
#endif
}
void gelu_tanh(float* x, size_t n) {
  map(x, n, [](D d, V v) HWY_ATTR { return gelu_tanh_vector(d, v); });
}
void silu(float* x, size_t n) {
  map(x, n, [](D d, V v) HWY_ATTR { return silu_vector(d, v); });
}
void relu(float* x, size_t n) {
  map(x, n, [](D d, V v) HWY_ATTR { return hn::Max(v, hn::Zero(d)); });
}

// x *= y
HWY_INLINE void multiply_by(float* x, const float* y, size_t n) {
  const D d;
  for (size_t i = 0; i < n; i += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, x + i);
}

void rotate(float* x, size_t heads, size_t head_size, const float* angles) {
  const D d;
  const size_t half = head_size / 2, whole = half / kLanes * kLanes;
  for (size_t head = 0; head < heads; ++head, x += head_size) {
    for (size_t c = 0; c < whole; c += kLanes) {
      const V a = hn::LoadU(d, x + c), b = hn::LoadU(d, x + c + half);
      const V cosine = hn::LoadU(d, angles + c), sine = hn::LoadU(d, angles + c + half);
      hn::StoreU(hn::MulSub(a, cosine, hn::Mul(b, sine)), d, x + c);
      hn::StoreU(hn::MulAdd(b, cosine, hn::Mul(a, sine)), d, x + c + half);
    }
    for (size_t c = whole; c < half; ++c) {
      const float a = x[c], b = x[c + half], cosine = angles[c], sine = angles[half + c];
      x[c] = a * cosine - b * sine;
      x[c + half] = b * cosine + a * sine;
    }
  }
}

void layer_norm(float* x, size_t n, const float* gamma, const float* beta, float epsilon) {
  const D d;
  const size_t whole = n / kLanes * kLanes;
  V sum = hn::Zero(d);
  for (size_t i = 0; i < whole; i += kLanes) sum = hn::Add(sum, hn::LoadU(d, x + i));
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (size_t i = whole; i < n; ++i) total += x[i];
  const float mean = total / static_cast<float>(n);
  const V mean_v = hn::Set(d, mean);
  V squares = hn::Zero(d);
  for (size_t i = 0; i < whole; i += kLanes) {
    const V centred = hn::Sub(hn::LoadU(d, x + i), mean_v);
    squares = hn::MulAdd(centred, centred, squares);
  }
  float square_total = hn::GetLane(hn::SumOfLanes(d, squares));
  for (size_t i = whole; i < n; ++i) square_total += (x[i] - mean) * (x[i] - mean);
  const float scale = 1 / std::sqrt(square_total / static_cast<float>(n) + epsilon);
  const V scale_v = hn::Set(d, scale);
  for (size_t i = 0; i < whole; i += kLanes) {
    const V normal = hn::Mul(hn::Sub(hn::LoadU(d, x + i), mean_v), scale_v);
    hn::StoreU(hn::MulAdd(normal, hn::LoadU(d, gamma + i), hn::LoadU(d, beta + i)), d, x + i);
  }
  for (size_t i = whole; i < n; ++i) x[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
}

void rms_norm(float* x, size_t n, const float* gamma, float epsilon) {
  const D d;
  const size_t whole = n / kLanes * kLanes;
  V squares = hn::Zero(d);
  for (size_t i = 0; i < whole; i += kLanes) {
    const V value = hn::LoadU(d, x + i);
    squares = hn::MulAdd(value, value, squares);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, squares));
  for (size_t i = whole; i < n; ++i) total += x[i] * x[i];
  const float scale = 1 / std::sqrt(total / static_cast<float>(n) + epsilon);
  const V scale_v = hn::Set(d, scale);
  for (size_t i = 0; i < whole; i += kLanes)
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, x + i), scale_v), hn::LoadU(d, gamma + i)), d, x + i);
  for (size_t i = whole; i < n; ++i) x[i] = x[i] * scale * gamma[i];
}

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
