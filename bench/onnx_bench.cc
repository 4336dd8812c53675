// What the ONNX engine adds to ONNX Runtime's own time, measured in one process, interleaved.
//
// Usage: onnx_bench MODEL_FOLDER [ROWS] [LENGTH] [THREADS] [ROUNDS]
// One batch of ROWS sequences of LENGTH tokens, prepared once, is run by ONNX Runtime itself (one session, all threads,
// its defaults); the same batch goes ragged through the engine, as one block and as it would be served. Prints medians,
// the median over rounds of the ratio to ONNX Runtime's time, and the largest difference of the logits.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "engine/onnx/ort.h"
#include "engine/onnx/runtime.h"
#include "engine/registry.h"

namespace {

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

// ONNX Runtime as its users call it: one session of its defaults, one padded batch.
class Plain {
 public:
  Plain(const std::string& file, size_t rows, size_t length, size_t threads, const std::vector<int32_t>& ids)
      : ids_(ids.begin(), ids.end()), ones_(ids.size(), 1), zeros_(ids.size(), 0) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(static_cast<int>(threads));
    session_ = Ort::Session(env_, file.c_str(), options);
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const int64_t shape[] = {static_cast<int64_t>(rows), static_cast<int64_t>(length)};
    Ort::AllocatorWithDefaultOptions allocator;
    for (size_t i = 0; i < session_.GetInputCount(); ++i) {
      names_.emplace_back(session_.GetInputNameAllocated(i, allocator).get());
      auto& values = names_.back() == "input_ids" ? ids_ : names_.back() == "attention_mask" ? ones_ : zeros_;
      inputs_.push_back(Ort::Value::CreateTensor<int64_t>(memory, values.data(), values.size(), shape, 2));
    }
  }

  std::vector<float> run() {
    std::vector<const char*> names;
    for (const auto& name : names_) names.push_back(name.c_str());
    const char* out = "logits";
    auto result = session_.Run(Ort::RunOptions(), names.data(), inputs_.data(), inputs_.size(), &out, 1);
    const auto* logits = result[0].GetTensorData<float>();
    return {logits, logits + result[0].GetTensorTypeAndShapeInfo().GetElementCount()};
  }

 private:
  Ort::Env env_{ORT_LOGGING_LEVEL_ERROR, "bench"};
  Ort::Session session_{nullptr};
  std::vector<int64_t> ids_, ones_, zeros_;
  std::vector<std::string> names_;
  std::vector<Ort::Value> inputs_;
};

int fail(const rerank::Status& status) {
  std::fprintf(stderr, "onnx_bench: %s\n", std::string(status.message().data(), status.message().size()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, size_t fallback) { return argc > i ? std::stoul(argv[i]) : fallback; };
  if (argc < 2) return std::fprintf(stderr, "usage: onnx_bench MODEL_FOLDER [ROWS] [LENGTH] [THREADS] [ROUNDS]\n"), 2;
  const size_t rows = number(2, 32), length = number(3, 128), threads = number(4, 2), rounds = number(5, 9);
  auto model = rerank::model::load_model(argv[1]);
  if (!model.ok()) return fail(model.status());
  rerank::engine::BackendOptions options;
  options.threads = threads;
  auto served = rerank::engine::open_backend(*model, rerank::EngineKind::kOnnx, options);
  options.onnx_split = false;
  auto whole = rerank::engine::open_backend(*model, rerank::EngineKind::kOnnx, options);
  if (!served.ok() || !whole.ok()) return fail(served.ok() ? whole.status() : served.status());

  std::vector<int32_t> ids(rows * length);
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>((i * 7919 + 13) % ((*model)->config.architecture.embedding.vocabulary - 5) + 5);
  rerank::engine::OwnedBatch batch;
  for (size_t r = 0; r < rows; ++r) batch.add(std::span(ids).subspan(r * length, length));
  Plain plain((*served)->info().files[0], rows, length, threads, ids);

  struct Contender {
    const char* name;
    std::function<std::vector<float>()> run;
    std::vector<double> seconds, ratios;
    double difference = 0;
  };
  const auto engine = [&](rerank::engine::Backend& backend) {
    return [&] {
      std::vector<float> logits(rows);
      const auto status = backend.forward(batch, logits);
      if (!status.ok()) std::exit(fail(status));
      return logits;
    };
  };
  std::vector<Contender> contenders = {{"ONNX Runtime itself", [&] { return plain.run(); }},
                                       {"engine, one block", engine(**whole)},
                                       {"engine, as served", engine(**served)}};
  for (size_t round = 0; round <= rounds; ++round) {  // the first is thrown away
    std::vector<float> expected;
    for (Contender& c : contenders) {
      // Threads of the session before spin for a while, and would be this one's loss.
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      const auto begin = std::chrono::steady_clock::now();
      const std::vector<float> logits = c.run();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (expected.empty()) expected = logits;
      for (size_t r = 0; r < rows; ++r)
        c.difference = std::max(c.difference, std::abs(static_cast<double>(logits[r]) - expected[r]));
      if (round == 0) continue;
      c.seconds.push_back(seconds);
      c.ratios.push_back(seconds / contenders[0].seconds.back());
    }
  }
  std::printf("%s, %zu x %zu tokens, %zu thread(s), %zu rounds\n", (*served)->info().kernel.c_str(), rows, length,
              threads, rounds);
  for (const Contender& c : contenders) {
    const auto [low, high] = std::minmax_element(c.ratios.begin(), c.ratios.end());
    std::printf("  %-20s %8.2f ms   time / ONNX Runtime's %.3f (%.3f-%.3f)   largest difference %.2g\n", c.name,
                median(c.seconds) * 1e3, median(c.ratios), *low, *high, c.difference);
  }
  return 0;
}
