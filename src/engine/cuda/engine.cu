#include "engine/cuda/engine.h"

#include <algorithm>

#include "engine/cuda/graph.h"
#include "engine/cuda/kernels/fp8_dense.h"
#include "engine/cuda/verbs.h"
#include "engine/layers.h"

namespace rerank::engine::cuda {
namespace {

// Of the device's memory, what is left to others: kernels that the driver loads when they are first used, graphs, what
// blocks of memory are rounded up to, and processes beside this one.
size_t reserved_bytes(size_t total) { return std::max(size_t{256} << 20, total / 16); }

// How short sequences are taken to be when memory is shared out: a query and a document of a word each, with the marks
// around them. More and shorter ones may not fit; then the batch is split.
constexpr uint32_t kShortestSequence = 8;

constexpr uint32_t kMostTokens = 1u << 24;  // what products and launches are sure to take

template <class T>
class TypedEngine : public Engine {
 public:
  TypedEngine(const ModelSpec& spec, int device)
      : device_(device),
        layers_(spec.layers),
        hidden_(spec.hidden),
        all_rows_scored_(spec.scored != Scored::kFirst && spec.scored != Scored::kLast),
        ops_(spec, stream_.get()) {}

  ~TypedEngine() override {
    (void)cudaSetDevice(device_);
    ops_.drain();
  }

  void start(uint32_t slot, const BatchSpec& spec) override {
    if (slot >= kSlots) throw Failure{Code::kFailed, "there is no such slot"};
    guard([&] {
      const BatchSpec known = known_part(spec, spec.struct_size);
      ops_.load(slot, known);
      slot_ = slot;
      layer_ = 0;
      embedded_ = false;
    });
  }

  void step(float* pooled) override {
    guard([&] {
      compute_block(ops_.batch(), ops_, next_layer(layers_), Rows::kAll);
      if (pooled != nullptr) ops_.pool_states(pooled);
    });
  }

  void keep(std::span<const uint32_t> sequences) override {
    guard([&] {
      embed();
      ops_.keep_sequences(sequences);
    });
  }

  void launch(uint32_t layers) override {
    guard([&] {
      if (!launch_graph(layers)) launch_to(layers);
      ops_.send_logits();
      layer_ = layers_;
    });
  }

  // Beside calls for another batch: it looks at nothing but the slot.
  void finish(uint32_t slot, float* logits) override {
    check(cudaSetDevice(device_), "the device");
    try {
      ops_.receive_logits(slot, logits);
    } catch (const Failure&) {
      ops_.drain(slot);
      (void)cudaGetLastError();
      throw;
    }
  }

  void use_graphs(bool on) override {
    graphs_on_ = on;
    graphs_.forget();
  }

  std::string use_wgmma(bool on) override {
    std::string attention;
    guard([&] { attention = ops_.use_wgmma(on); });
    graphs_.forget();
    return attention;
  }

  uint32_t keep_prefixes(uint64_t bytes) override {
    uint32_t slots = 0;
    guard([&] { slots = ops_.keep_prefixes(bytes); });
    return slots;
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
  // Nothing of a batch that failed may still run when the next one begins. One that is in flight ends before that.
  template <class Body>
  void guard(const Body& body) {
    check(cudaSetDevice(device_), "the device");  // per thread
    try {
      body();
    } catch (const Failure& failure) {
      ops_.drain();
      (void)cudaGetLastError();
      layer_ = layers_;
      graphs_.forget();
      if (failure.code == Code::kOutOfMemory) ops_.release();
      throw;
    }
  }

  void embed() {
    if (!std::exchange(embedded_, true)) ops_.embed(ops_.batch());
  }

  size_t next_layer(size_t end) {
    if (layer_ >= std::min(end, layers_)) throw Failure{Code::kFailed, "there is no batch that has a layer left"};
    embed();
    return layer_++;
  }

  // All that is left of the batch.
  void launch_to(size_t layers) {
    for (bool last = false; !last;) {
      const size_t layer = next_layer(layers);
      last = layer_ == layers;
      compute_block(ops_.batch(), ops_, layer, last && !all_rows_scored_ ? Rows::kScored : Rows::kAll);
    }
    ops_.score(layers);
  }

  // False where the batch has no graph, and nothing has been launched.
  bool launch_graph(size_t layers) {
    const BatchInput::Counts& full = ops_.full();
    if (!graphs_on_ || ops_.shares() || layer_ != 0 || embedded_ || layers != layers_ ||
        !worth_a_graph(full.tokens, hidden_))
      return false;
    const Graphs::Class of{slot_, full.tokens, full.sequences, ops_.tile_queries(), full.marked};
    const Graph* graph = graphs_.find(of, ops_.addresses(), stream_.get(), [&] {
      ops_.fill_up(true);
      launch_to(layers);
    });
    layer_ = 0;
    embedded_ = false;
    ops_.fill_up(false);
    if (graph != nullptr) graph->launch(stream_.get());
    return graph != nullptr;
  }

  int device_;
  size_t layers_, hidden_;
  bool all_rows_scored_;    // the head reads more than one of a sequence: the last block computes all of them
  size_t layer_ = layers_;  // of the batch that is under way: the next one
  bool embedded_ = false;   // that batch
  uint32_t slot_ = 0;       // its
  bool graphs_on_ = true;
  Stream stream_;
  CudaOps<T> ops_;
  Graphs graphs_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(const ModelSpec& model, Type precision, int device) {
  check(cudaSetDevice(device), "the device");
  switch (precision) {
    case Type::kF16:
      return std::make_unique<TypedEngine<__half>>(model, device);
    case Type::kBf16:
      return std::make_unique<TypedEngine<__nv_bfloat16>>(model, device);
    case Type::kFp8:
      return std::make_unique<TypedEngine<Fp8>>(model, device);
    case Type::kF32:
      break;
  }
  return std::make_unique<TypedEngine<float>>(model, device);
}

}  // namespace rerank::engine::cuda
