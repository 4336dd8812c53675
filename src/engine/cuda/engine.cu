#include "engine/cuda/engine.h"

#include <algorithm>

#include "engine/cuda/verbs.h"
#include "engine/layers.h"

namespace rerank::cuda {
namespace {

// Of the device's memory, what is left to others: kernels that the driver loads when they are first used, what blocks
// of memory are rounded up to, and processes beside this one.
size_t reserved_bytes(size_t total) { return std::max(size_t{256} << 20, total / 16); }

// How short sequences are taken to be when memory is shared out: a query and a document of a word each, with the marks
// around them. More and shorter ones may not fit; then the batch is split.
constexpr uint32_t kShortestSequence = 8;

constexpr uint32_t kMostTokens = 1u << 24;  // what products and launches are sure to take

struct Stream {
  Stream() { check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream"); }
  ~Stream() { (void)cudaStreamDestroy(stream); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t stream = nullptr;
};

template <class T>
class TypedEngine : public Engine {
 public:
  TypedEngine(const ModelSpec& spec, int device) : device_(device), layers_(spec.layers), ops_(spec, stream_.stream) {}

  ~TypedEngine() override {
    (void)cudaSetDevice(device_);
    (void)cudaStreamSynchronize(stream_.stream);
  }

  void start(const BatchSpec& spec) override {
    guard([&] {
      ops_.load(spec);
      ops_.embed(ops_.batch());
      layer_ = 0;
    });
  }

  void step(float* pooled) override {
    guard([&] {
      compute_layer(ops_.batch(), ops_, next_layer(layers_), Rows::kAll);
      if (pooled != nullptr) ops_.pool_states(pooled);
    });
  }

  void keep(std::span<const uint32_t> sequences) override {
    guard([&] { ops_.keep_sequences(sequences); });
  }

  void finish(uint32_t layers, float* logits) override {
    guard([&] {
      for (bool last = false; !last;) {
        const size_t layer = next_layer(layers);
        last = layer_ == layers;
        compute_layer(ops_.batch(), ops_, layer, last ? Rows::kFirst : Rows::kAll);
      }
      ops_.head({logits, ops_.batch().size()});
      layer_ = layers_;
    });
  }

  uint64_t batch_tokens() override {
    check(cudaSetDevice(device_), "the device");
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "the device's memory");
    const size_t room = free - std::min(free, reserved_bytes(total));
    uint32_t fits = 0, too_many = kMostTokens + 1;
    while (too_many - fits > 1) {
      const uint32_t tokens = fits + (too_many - fits) / 2;
      (ops_.batch_bytes(tokens, div_up(tokens, kShortestSequence)) <= room ? fits : too_many) = tokens;
    }
    return fits;
  }

  Tuning& tuning() override { return ops_.tuning(); }

 private:
  // Nothing of a batch that failed may still run when the next one begins.
  template <class Body>
  void guard(const Body& body) {
    check(cudaSetDevice(device_), "the device");  // per thread
    try {
      body();
    } catch (const Failure& failure) {
      (void)cudaStreamSynchronize(stream_.stream);
      (void)cudaGetLastError();
      layer_ = layers_;
      if (failure.code == Code::kOutOfMemory) ops_.release();
      throw;
    }
  }

  size_t next_layer(size_t end) {
    if (layer_ >= std::min(end, layers_)) throw Failure{Code::kFailed, "there is no batch that has a layer left"};
    return layer_++;
  }

  int device_;
  size_t layers_;
  size_t layer_ = layers_;  // of the batch that is under way: the next one
  Stream stream_;
  CudaOps<T> ops_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(const ModelSpec& model, Type precision, int device) {
  check(cudaSetDevice(device), "the device");
  switch (precision) {
    case Type::kF16:
      return std::make_unique<TypedEngine<__half>>(model, device);
    case Type::kBf16:
      return std::make_unique<TypedEngine<__nv_bfloat16>>(model, device);
    case Type::kF32:
      break;
  }
  return std::make_unique<TypedEngine<float>>(model, device);
}

}  // namespace rerank::cuda
