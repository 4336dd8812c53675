// The verbs of engine/encoder.h on one device, and the library's border.
//
// The residual stream is fp32; what products read is the engine's type T beside it. A batch is packed: ids, places and
// tiles go to the device in one copy, logits come back in one.
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "engine/cuda/device_model.h"
#include "engine/cuda/gemm.h"
#include "engine/cuda/kernels.h"
#include "engine/layers.h"

namespace rerank::cuda {

// One device's model, whatever its type.
struct Engine {
  virtual ~Engine() = default;
  virtual void start(const BatchSpec& batch) = 0;
  virtual void step(float* pooled) = 0;
  virtual void keep(std::span<const uint32_t> sequences) = 0;
  virtual void finish(uint32_t layers, float* logits) = 0;
};

namespace {

// Rows of a product come in steps of 64: few shapes, each with a plan of its own. What lies behind the last row is
// computed in vain, and read by nobody.
uint32_t padded_rows(uint32_t rows) { return div_up(rows, 64) * 64; }

// The parts of a batch in one block of memory, the same on host and device.
struct BatchLayout {
  size_t ids, kinds, places, rows, queries, offsets, tiles, bytes;

  // tokens: that are embedded; kept: rows of a batch before that go on.
  BatchLayout(size_t tokens, size_t kept, size_t sequences, size_t tile_count) {
    size_t at = 0;
    const auto part = [&](size_t part_bytes) {
      const size_t begin = at;
      at += (part_bytes + 255) / 256 * 256;
      return begin;
    };
    ids = part(tokens * 4);
    kinds = part(tokens * 4);
    places = part(tokens * 4);
    rows = part(kept * 4);
    queries = part(sequences * 4);
    offsets = part((sequences + 1) * 4);
    tiles = part(tile_count * sizeof(QueryTile));
    bytes = at;
  }
};

template <class T>
class CudaOps {
 public:
  CudaOps(const ModelSpec& spec, cudaStream_t stream) : model_(spec, stream), stream_(stream) {}

  // Before the verbs: the batch to the device, and room for its activations.
  void load(const BatchSpec& spec) {
    restore();
    const uint32_t tokens = spec.offsets[spec.sequences];
    offsets_there_.assign(spec.offsets, spec.offsets + spec.sequences + 1);
    queries_there_.assign(spec.queries, spec.queries + spec.sequences);
    const BatchLayout layout = place(tokens, 0);
    std::memcpy(pinned_.as<void>(layout.ids), spec.ids, tokens * size_t{4});
    std::memcpy(pinned_.as<void>(layout.kinds), spec.segments, tokens * size_t{4});
    auto* places = pinned_.as<uint32_t>(layout.places);
    for (uint32_t s = 0; s < spec.sequences; ++s) {
      for (uint32_t i = spec.offsets[s]; i < spec.offsets[s + 1]; ++i) places[i] = i - spec.offsets[s];
    }
    send(layout);
    rows_ = tokens;
    reserve(padded_rows(tokens), padded_rows(spec.sequences));
  }

  // Between layers: only these sequences stay, their rows moved together.
  void keep_sequences(std::span<const uint32_t> sequences) {
    std::vector<uint32_t> offsets{0}, queries, rows;
    for (uint32_t s : sequences) {
      for (uint32_t row = offsets_there_[s]; row < offsets_there_[s + 1]; ++row) rows.push_back(row);
      offsets.push_back(static_cast<uint32_t>(rows.size()));
      queries.push_back(queries_there_[s]);
    }
    offsets_there_ = std::move(offsets);
    queries_there_ = std::move(queries);
    check(cudaStreamSynchronize(stream_), "before a batch is packed anew");  // what is pinned may still be read
    const BatchLayout layout = place(0, rows.size());
    std::memcpy(pinned_.as<void>(layout.rows), rows.data(), rows.size() * 4);
    send(layout);
    rows_ = static_cast<uint32_t>(rows.size());
    const uint32_t hidden = model_.shape.hidden;
    spare_.resize(size_t{padded_rows(rows_)} * std::max(hidden, model_.shape.embedding));
    gather_rows(exact_.data(), at<uint32_t>(layout.rows), spare_.data(), rows_, hidden, stream_);
    gather_rows(rounded_.data(), at<uint32_t>(layout.rows), product_.data(), rows_, hidden, stream_);
    std::swap(exact_, spare_);
    std::swap(rounded_, product_);
  }

  Batch batch() const { return {{}, {}, offsets_there_}; }

  void embed(const Batch&) {
    const ModelSpec& m = model_.shape;
    const bool projected = m.projection.out > 0;
    const EmbedArgs<T> args{model_.words.data(), model_.positions.data(), model_.segments.data(), ids_, kinds_, places_,
                            m.position_offset,   m.embedding,             rows_,
                            model_.embedding_norm.gamma.data(), model_.embedding_norm.beta.data(), m.epsilon,
                            exact_.data(), projected ? product_.data() : rounded_.data()};
    cuda::embed(args, stream_);
    if (!projected) return;
    linear(model_.projection, product_.data(), rounded_.data(), rows_);
    convert(rounded_.data(), exact_.data(), size_t{rows_} * m.hidden, stream_);
  }

  void project(size_t layer, const Batch& batch, Rows rows) {
    const DeviceLinear<T>& w = model_.layers[layer].query_key_value;
    const float* turns = model_.layers[layer].turns;
    layer_ = layer;
    if (rows == Rows::kAll) {
      linear(w, rounded_.data(), qkv_.data(), rows_);
      if (turns != nullptr) turn_heads(3, 2, turns);
      return;
    }
    // Keys and values of every row; queries of the first rows only.
    const uint32_t h = model_.shape.hidden, sequences = static_cast<uint32_t>(batch.size());
    gemm_.run(rounded_.data(), w.weight.data() + size_t{h} * h, w.bias.data() + h, qkv_.data(), padded_rows(rows_), 2 * h,
              h, Epilogue::kBias, stream_);
    if (turns != nullptr) turn_heads(2, 1, turns);  // first rows stand at position 0, which turns nothing
    gather_rows(rounded_.data(), offsets_, first_rounded_.data(), sequences, h, stream_);
    gather_rows(exact_.data(), offsets_, first_exact_.data(), sequences, h, stream_);
    gemm_.run(first_rounded_.data(), w.weight.data(), w.bias.data(), first_queries_.data(), padded_rows(sequences), h, h,
              Epilogue::kBias, stream_);
  }

  void attend(const Batch& batch, Rows rows) {
    const ModelSpec& m = model_.shape;
    const AttentionShape shape{m.heads, m.hidden / m.heads, m.hidden, model_.layers[layer_].window,
                               model_.layers[layer_].slopes.data()};
    if (rows == Rows::kAll) return attend_all(qkv_.data(), context_.data(), tiles_, tile_count_, shape, stream_);
    attend_first(first_queries_.data(), qkv_.data(), context_.data(), offsets_, static_cast<uint32_t>(batch.size()),
                 shape, stream_);
  }

  void keep(const Batch& batch, Rows rows) {
    if (rows == Rows::kAll) return;
    std::swap(exact_, first_exact_);  // project() has gathered the first rows there
    std::swap(rounded_, first_rounded_);
    rows_ = static_cast<uint32_t>(batch.size());
    swapped_ = true;
  }

  void attention_output(size_t layer) {
    const DeviceLayer<T>& w = model_.layers[layer];
    linear(w.attention_output, context_.data(), product_.data(), rows_);
    norm(w.attention_norm);
  }

  void feed_forward(size_t layer) {
    const DeviceLayer<T>& w = model_.layers[layer];
    const ModelSpec& m = model_.shape;
    // The tanh form is within 5e-4 of erf's (docs/decisions/0003): 16 bits take it, for it costs nothing there; in fp32
    // GELU is what the model says.
    const bool fused = m.activation == Act::kGeluTanh || (m.activation == Act::kGelu && sizeof(T) == 2);
    gemm_.run(rounded_.data(), w.up.weight.data(), w.up.bias.data(), inner_.data(), padded_rows(rows_), w.up.out, w.up.in,
              fused ? Epilogue::kBiasGeluTanh : Epilogue::kBias, stream_);
    if (!fused) activate(m.activation, inner_.data(), size_t{rows_} * w.up.out, stream_);
    linear(w.down, inner_.data(), product_.data(), rows_);
    norm(w.output_norm);
  }

  void head(std::span<float> logits) {
    const ModelSpec& m = model_.shape;
    dense_.resize(size_t{padded_rows(rows_)} * m.hidden);
    logits_.resize(rows_);
    linear(model_.head_dense, exact_.data(), dense_.data(), rows_);
    head_logits(dense_.data(), m.head_activation, model_.head_output.weight.data(), model_.head_output.bias.data(),
                logits_.data(), rows_, m.hidden, m.labels, stream_);
    receive(logits_.data(), logits);
    restore();
  }

  // What exits read, of all rows.
  void pool_states(float* out) {
    const size_t count = queries_there_.size() * 3 * model_.shape.hidden;
    pooled_.resize(count);
    pool(exact_.data(), offsets_, queries_, pooled_.data(), static_cast<uint32_t>(queries_there_.size()),
         model_.shape.hidden, stream_);
    receive(pooled_.data(), {out, count});
  }

  // Gives back what batches have needed, so that after one that was too large a smaller one finds room.
  void release() {
    for (DeviceBuffer<float>* buffer : {&exact_, &first_exact_, &spare_, &pooled_, &dense_, &logits_}) *buffer = {};
    for (DeviceBuffer<T>* buffer : {&rounded_, &first_rounded_, &first_queries_, &product_, &context_, &qkv_, &inner_})
      *buffer = {};
  }

  // Back to the buffers of whole batches, also after a batch that failed half-way.
  void restore() {
    if (!std::exchange(swapped_, false)) return;
    std::swap(exact_, first_exact_);
    std::swap(rounded_, first_rounded_);
  }

 private:
  // RoPE of the first `turned` of `parts` that lie side by side in qkv_.
  void turn_heads(uint32_t parts, uint32_t turned, const float* turns) {
    const ModelSpec& m = model_.shape;
    turn(qkv_.data(), size_t{parts} * m.hidden, turned * m.heads, m.hidden / m.heads, turns, tiles_, tile_count_, stream_);
  }

  template <class P>
  P* at(size_t offset) const {
    return reinterpret_cast<P*>(input_.data() + offset);
  }

  // Where the parts of the batch that offsets_there_ describes lie, and those parts that all batches have.
  BatchLayout place(size_t tokens, size_t kept) {
    const auto sequences = static_cast<uint32_t>(offsets_there_.size() - 1);
    const std::vector<QueryTile> tiles = attention_tiles(offsets_there_.data(), sequences);
    const BatchLayout layout(tokens, kept, sequences, tiles.size());
    pinned_.resize(layout.bytes);
    input_.resize(layout.bytes);
    std::memcpy(pinned_.as<void>(layout.queries), queries_there_.data(), queries_there_.size() * 4);
    std::memcpy(pinned_.as<void>(layout.offsets), offsets_there_.data(), offsets_there_.size() * 4);
    std::memcpy(pinned_.as<void>(layout.tiles), tiles.data(), tiles.size() * sizeof(QueryTile));
    ids_ = at<int32_t>(layout.ids);
    kinds_ = at<int32_t>(layout.kinds);
    places_ = at<uint32_t>(layout.places);
    queries_ = at<uint32_t>(layout.queries);
    offsets_ = at<uint32_t>(layout.offsets);
    tiles_ = at<QueryTile>(layout.tiles);
    tile_count_ = static_cast<uint32_t>(tiles.size());
    return layout;
  }

  void send(const BatchLayout& layout) {
    check(cudaMemcpyAsync(input_.data(), pinned_.as<void>(), layout.bytes, cudaMemcpyHostToDevice, stream_), "a batch");
  }

  // Waits for all that was begun.
  void receive(const float* from, std::span<float> to) {
    results_.resize(to.size_bytes());
    check(cudaMemcpyAsync(results_.as<void>(), from, to.size_bytes(), cudaMemcpyDeviceToHost, stream_), "results");
    check(cudaStreamSynchronize(stream_), "computing a batch");
    std::memcpy(to.data(), results_.as<void>(), to.size_bytes());
  }

  void reserve(size_t rows, size_t sequences) {
    const ModelSpec& m = model_.shape;
    const size_t hidden = std::max(m.hidden, m.embedding);
    exact_.resize(rows * hidden);
    rounded_.resize(rows * hidden);
    product_.resize(rows * hidden);
    context_.resize(rows * m.hidden);
    qkv_.resize(rows * 3 * m.hidden);
    inner_.resize(rows * m.intermediate);
    first_exact_.resize(sequences * m.hidden);
    first_rounded_.resize(sequences * m.hidden);
    first_queries_.resize(sequences * m.hidden);
  }

  template <class P>
  void linear(const DeviceLinear<P>& w, const P* x, P* y, uint32_t rows) {
    gemm_.run(x, w.weight.data(), w.bias.data(), y, padded_rows(rows), w.out, w.in, Epilogue::kBias, stream_);
  }

  void norm(const DeviceNorm& w) {
    add_norm(product_.data(), exact_.data(), rounded_.data(), w.gamma.data(), w.beta.data(), model_.shape.epsilon, rows_,
             model_.shape.hidden, stream_);
  }

  DeviceModel<T> model_;
  cudaStream_t stream_;
  Gemm gemm_;
  PinnedBuffer pinned_, results_;
  std::vector<uint32_t> offsets_there_{0}, queries_there_;  // of the sequences that are still there
  DeviceBuffer<unsigned char> input_;
  const int32_t *ids_ = nullptr, *kinds_ = nullptr;
  const uint32_t *places_ = nullptr, *queries_ = nullptr, *offsets_ = nullptr;
  const QueryTile* tiles_ = nullptr;
  uint32_t tile_count_ = 0, rows_ = 0;  // rows_: of exact_, rounded_ and context_ that are in use
  size_t layer_ = 0;  // that project() began
  bool swapped_ = false;
  DeviceBuffer<float> exact_, first_exact_, spare_, pooled_, dense_, logits_;
  DeviceBuffer<T> rounded_, first_rounded_, first_queries_, product_, context_, qkv_, inner_;
};

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

void say(char* to, size_t size, const std::string& text) {
  if (to != nullptr && size > 0) std::snprintf(to, size, "%s", text.c_str());
}

// Everything that is thrown ends here.
template <class Body>
Code guarded(char* error, size_t error_size, const Body& body) {
  try {
    body();
    return Code::kOk;
  } catch (const Failure& failure) {
    say(error, error_size, failure.message);
    return failure.code;
  } catch (const std::bad_alloc&) {
    say(error, error_size, "out of host memory");
    return Code::kOutOfMemory;
  } catch (const std::exception& other) {
    say(error, error_size, other.what());
    return Code::kFailed;
  }
}

Code devices(int* count, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    const cudaError_t status = cudaGetDeviceCount(count);
    if (status != cudaSuccess || *count == 0) {
      (void)cudaGetLastError();
      throw Failure{Code::kUnavailable, status == cudaSuccess ? "no device" : cudaGetErrorString(status)};
    }
  });
}

Code describe(int device, char* text, size_t text_size, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, device), "the device");
    if (properties.major < 8) {
      throw Failure{Code::kUnavailable, std::string(properties.name) + ": too old (compute capability 8.0 is the least)"};
    }
    say(text, text_size,
        std::string(properties.name) + ", sm_" + std::to_string(properties.major) + std::to_string(properties.minor) +
            ", " + std::to_string(properties.totalGlobalMem >> 30) + " GiB");
  });
}

Code open(const ModelSpec& model, Type precision, int device, Engine** engine, char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    check(cudaSetDevice(device), "the device");
    if (precision == Type::kF32) *engine = new TypedEngine<float>(model, device);
    if (precision == Type::kF16) *engine = new TypedEngine<__half>(model, device);
    if (precision == Type::kBf16) *engine = new TypedEngine<__nv_bfloat16>(model, device);
  });
}

Code start(Engine* engine, const BatchSpec& batch, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->start(batch); });
}

Code step(Engine* engine, float* pooled, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->step(pooled); });
}

Code keep(Engine* engine, const uint32_t* sequences, uint32_t count, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->keep({sequences, count}); });
}

Code finish(Engine* engine, uint32_t layers, float* logits, char* error, size_t error_size) {
  return guarded(error, error_size, [&] { engine->finish(layers, logits); });
}

void close(Engine* engine) { delete engine; }

}  // namespace
}  // namespace rerank::cuda

extern "C" __attribute__((visibility("default"))) const rerank::cuda::Plugin* rerank_cuda_plugin() {
  static const rerank::cuda::Plugin plugin{rerank::cuda::kPluginVersion, rerank::cuda::devices, rerank::cuda::describe,
                                           rerank::cuda::open, rerank::cuda::start, rerank::cuda::step, rerank::cuda::keep, rerank::cuda::finish,
                                           rerank::cuda::close};
  return &plugin;
}
