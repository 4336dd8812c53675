// The library for C++17 and later: objects and exceptions over the C interface of librerank.so (c_api.h), header only.
// Nothing else of C++ crosses the border, so that compilers and standard libraries of both sides may differ.
//
//   auto model = rerankd::Model::open({{"model", "/models/my-reranker"}, {"precision", "bf16"}});
//   for (const rerankd::Ranked& best : model.rank("what do pandas eat?", documents, 3)) ... documents[best.index] ...
//
// Threads: a Model may be used by several at a time, whose pairs then share batches. Texts are UTF-8 and are read only
// during the call. Errors are rerankd::Error.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rerank/c_api.h"

namespace rerankd {

// What a call could not do: the message says what, where and what to do; code() is a google.rpc.Code.
class Error : public std::runtime_error {
 public:
  Error(int code, const std::string& message) : std::runtime_error(message), code_(code) {}
  int code() const noexcept { return code_; }
  bool cancelled() const noexcept { return code_ == 1; }

 private:
  int code_;
};

struct Ranked {
  std::size_t index;  // among the documents given
  float score;        // sigmoid of the logit
  float logit;        // the model's output
  unsigned tokens;    // of the pair, special tokens included
  bool truncated;     // the pair was longer than the limit and was cut
};

// Gives up the calls it was handed to, from any thread; they then throw an Error that is cancelled(). Copies are one.
class Stop {
 public:
  Stop() : stop_(rerank_stop_new(), rerank_stop_free) {
    if (!stop_) throw std::bad_alloc();
  }
  void now() { rerank_stop_now(stop_.get()); }
  rerank_stop* get() const noexcept { return stop_.get(); }

 private:
  std::shared_ptr<rerank_stop> stop_;
};

// Told of pairs that are done, on the caller's thread; what it throws is thrown by the call when all is done.
using Progress = std::function<void(std::size_t done, std::size_t total)>;

class Model {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;

  // Settings by the names of flags (docs/options.md); without any: the built-in model.
  static Model open(const Settings& settings = {}) { return Model(opened(settings)); }

  std::string name() const { return rerank_name(model_.get()); }
  std::string engine() const { return rerank_engine(model_.get()); }  // "cpu bf16 avx512bf16"

  // Best first, ties in the order given. top_n 0: all.
  template <class Documents>
  std::vector<Ranked> rank(std::string_view query, const Documents& documents, std::size_t top_n = 0,
                           const Stop* stop = nullptr) const {
    const std::vector<rerank_text> texts = texts_of(documents);
    const rerank_text question = text_of(query);
    std::vector<rerank_result> results(texts.size());
    std::size_t count = results.size();
    char* error = nullptr;
    check(rerank_rank_with(model_.get(), &question, texts.data(), texts.size(), top_n, results.data(), &count,
                           stop ? stop->get() : nullptr, &error),
          error);
    std::vector<Ranked> ranked;
    ranked.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const rerank_result& r = results[i];
      ranked.push_back({r.index, r.score, r.logit, r.tokens, r.truncated != 0});
    }
    return ranked;
  }

  // Logits of pairs (queries[i], documents[i]), in their order.
  template <class Queries, class Documents>
  std::vector<float> predict(const Queries& queries, const Documents& documents, const Stop* stop = nullptr,
                             const Progress& progress = nullptr) const {
    const std::vector<rerank_text> left = texts_of(queries), right = texts_of(documents);
    if (left.size() != right.size()) throw Error(3, "as many queries as documents are wanted");
    std::vector<float> logits(left.size());
    ProgressCall state{&progress, nullptr};
    char* error = nullptr;
    check(rerank_predict_with(model_.get(), left.data(), right.data(), left.size(), logits.data(),
                              stop ? stop->get() : nullptr, progress ? &ProgressCall::call : nullptr, &state, &error),
          error);
    if (state.thrown) std::rethrow_exception(state.thrown);
    return logits;
  }

 private:
  // No exception may cross the C interface: it waits here.
  struct ProgressCall {
    const Progress* progress;
    std::exception_ptr thrown;
    static void call(void* context, std::size_t done, std::size_t total) {
      ProgressCall& state = *static_cast<ProgressCall*>(context);
      if (state.thrown) return;
      try {
        (*state.progress)(done, total);
      } catch (...) {
        state.thrown = std::current_exception();
      }
    }
  };

  static rerank_text text_of(std::string_view text) { return {text.data(), text.size()}; }

  template <class Texts>
  static std::vector<rerank_text> texts_of(const Texts& texts) {
    std::vector<rerank_text> views;
    for (const auto& text : texts) views.push_back(text_of(text));
    return views;
  }

  static void check(int code, char* error) {
    if (code == 0) return;
    const std::string message = error ? error : "";
    rerank_free(error);
    throw Error(code, message);
  }

  explicit Model(rerank_model* model) : model_(model, rerank_close) {}

  static rerank_model* opened(const Settings& settings) {
    std::vector<rerank_setting> list;
    for (const auto& [name, value] : settings) list.push_back({name.c_str(), value.c_str()});
    char* error = nullptr;
    rerank_model* model = rerank_open(list.data(), list.size(), &error);
    if (!model) check(9, error);
    return model;
  }

  std::shared_ptr<rerank_model> model_;
};

}  // namespace rerankd
