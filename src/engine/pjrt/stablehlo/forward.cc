#include "engine/pjrt/stablehlo/forward.h"

#include "base/strings.h"
#include "engine/pjrt/stablehlo/attention.h"

namespace rerank::engine::pjrt {
namespace {

using model::ScoredRows;

class Forward : ForwardAttention {
 public:
  Forward(const model::Architecture& architecture, const Rectangle& shape, Element matrices, StableHlo& graph)
      : ForwardAttention(architecture, shape, matrices, graph) {}

  ForwardProgram write() {
    ForwardProgram program;
    const Value ids = graph_.argument("ids", {Element::kS32, {rows_, length_}});
    begin(graph_.argument("lengths", {Element::kS32, {rows_}}));
    if (a_.embedding.segment_rows > 1) graph_.argument("segments", {Element::kS32, {rows_, length_}});
    program.inputs = graph_.arguments().size();
    Value stream = embed(ids);
    bool scored = false;  // whether the stream has but the rows that the head reads
    for (size_t i = 0; i < a_.layers(); ++i) {
      scored = i + 1 == a_.layers() && narrows(i);
      stream = block(i, stream, scored);
      if (i == 0 && a_.convolution) stream = convolved(stream);
    }
    graph_.section("head", "head");
    if (!scored && reads_one_row()) stream = scored_rows(stream);
    if (a_.final_norm) stream = block_norm(stream, "final_norm");
    program.text = graph_.finish(score(stream));
    program.arguments = graph_.arguments();
    return program;
  }

 private:
  bool reads_one_row() const { return a_.scoring.rows == ScoredRows::kFirst || a_.scoring.rows == ScoredRows::kLast; }

  // Whether the last block, `i`, computes only the rows that the head reads.
  bool narrows(size_t i) const {
    const model::PositionKind position = a_.blocks[i].attention.position;
    const bool by_distance = position != model::PositionKind::kNone && position != model::PositionKind::kRope;
    if (i == 0 && a_.convolution) return false;
    return a_.scoring.rows == ScoredRows::kFirst || (a_.scoring.rows == ScoredRows::kLast && !by_distance);
  }

  Value embed(const Value& ids) {
    graph_.section("embedding", "embedding");
    const model::Embedding& e = a_.embedding;
    const auto width = static_cast<int64_t>(e.width);
    const Dims dims = {rows_, length_, width};
    Value sum =
        graph_.convert(graph_.rows(matrix("words", {static_cast<int64_t>(e.vocabulary), width}), ids), Element::kF32);
    if (e.position_rows > 0) {
      const auto first = static_cast<int64_t>(e.position_offset);
      const Value table = exact("positions", {static_cast<int64_t>(e.position_rows), width});
      sum = graph_.add(sum, graph_.broadcast(graph_.slice(table, 0, first, first + length_), dims, {1, 2}));
    }
    if (e.segment_rows > 0) {
      const Value table = exact("segment_table", {static_cast<int64_t>(e.segment_rows), width});
      const Value rows = e.segment_rows > 1
                             ? graph_.rows(table, graph_.argument("segments", {Element::kS32, {rows_, length_}}))
                             : graph_.broadcast(table, dims, {1, 2});
      sum = graph_.add(sum, rows);
    }
    if (e.norm) sum = norm(sum, "embedding_norm", a_.norm_epsilon, a_.norm_bias);
    if (e.width != a_.hidden || e.projected) sum = linear(sum, "embedding_projection", a_.hidden, true);
    embedded_ = sum;
    return sum;
  }

  Value block(size_t i, const Value& stream, bool scored) {
    const model::Block& block = a_.blocks[i];
    const bool pre = block.placement == model::NormPlacement::kPre;
    const std::string at = tensors_of(i);
    const auto added = [&](const Value& to, Value sum, const char* sum_norm) {
      if (block.sum_norms) sum = block_norm(sum, at + sum_norm);
      return graph_.add(to, sum);
    };
    graph_.section(str_cat("block ", i, ": attention"), str_cat("b", i));
    const Value input = pre && block.attention_norm ? block_norm(stream, at + "attention_norm") : stream;
    const Value mixed =
        linear(context(i, input, scored), at + "attention_output", a_.hidden, block.attention.output_bias);
    Value middle = added(scored ? scored_rows(stream) : stream, mixed, "attention_sum_norm");
    if (!pre) middle = block_norm(middle, at + "attention_norm");
    graph_.section(str_cat("block ", i, ": feed-forward"), str_cat("b", i));
    const Value x = pre ? block_norm(middle, at + "output_norm") : middle;
    const model::FeedForward& ff = block.feed_forward;
    const Value fed = ff.experts ? expert_sum(at, ff, x) : fed_forward(at, ff, x);
    const Value sum = added(middle, fed, "output_sum_norm");
    return pre ? sum : block_norm(sum, at + "output_norm");
  }

  Value fed_forward(const std::string& at, const model::FeedForward& ff, const Value& x) {
    Value inner = linear(x, at + "up", ff.width, ff.bias);
    if (ff.gate == model::GateHalf::kNone) {
      inner = activate(inner, ff.activation);
    } else {
      inner = graph_.multiply(activate(linear(x, at + "gate", ff.width, ff.bias), ff.activation), inner);
    }
    return linear(inner, at + "down", a_.hidden, ff.output_bias);
  }

  // All experts, each with the weight that the router gives it: 0 where it is not among the chosen.
  Value expert_sum(const std::string& at, const model::FeedForward& ff, const Value& x) {
    const Value shares = expert_shares(*ff.experts, linear(x, at + "router", ff.experts->count, false, true));
    std::optional<Value> sum;
    for (size_t e = 0; e < ff.experts->count; ++e) {
      const auto number = static_cast<int64_t>(e);
      const Value given = fed_forward(str_cat(at, "expert_", e, "_"), ff, x);
      const Value weighted = graph_.multiply(
          given, graph_.broadcast(graph_.slice(shares, 2, number, number + 1), given.type.dims, {0, 1, 2}));
      sum = sum ? graph_.add(*sum, weighted) : weighted;
    }
    if (!ff.experts->bias) return *sum;
    return graph_.add(*sum, along_last(exact(at + "experts_bias", {static_cast<int64_t>(a_.hidden)}), sum->type.dims));
  }

  // [rows, length, experts]: an expert is chosen where fewer than `chosen` come before it, by probability and then by
  // number.
  Value expert_shares(const model::Experts& experts, const Value& scores) {
    const Value all = softmax(scores);
    Dims dims = all.type.dims;
    dims.push_back(dims.back());
    const Value own = graph_.broadcast(all, dims, {0, 1, 2}), other = graph_.broadcast(all, dims, {0, 1, 3});
    const Value ties =
        graph_.both(graph_.compare(other, "EQ", own), graph_.compare(graph_.iota(dims, 3), "LT", graph_.iota(dims, 2)));
    const Value before = graph_.either(graph_.compare(other, "GT", own), ties);
    const Value count =
        graph_.sum(graph_.select(before, graph_.constant(1, dims), graph_.constant(0, dims)), dims.size() - 1);
    const Dims& flat = all.type.dims;
    const Value chosen = graph_.compare(count, "LT", graph_.constant(static_cast<float>(experts.chosen), flat));
    const Value kept = graph_.select(chosen, all, graph_.constant(0, flat));
    return experts.normalized ? graph_.divide(kept, along_rows(graph_.sum(kept, 2), flat)) : kept;
  }

  // After DeBERTa's first block; what lies outside of a sequence is zero.
  Value convolved(const Value& stream) {
    graph_.section("convolution", "convolution");
    const auto width = static_cast<int64_t>(a_.convolution->width), hidden = static_cast<int64_t>(a_.hidden);
    const Dims& dims = stream.type.dims;
    const Value rows = graph_.select(graph_.broadcast(inside(), dims, {0, 1}), embedded_, graph_.constant(0, dims));
    const Value padded = graph_.pad(graph_.convert(rows, matrices_), 1, width / 2, width / 2);
    const Value matrices = matrix("convolution_weight", {width, hidden, hidden});
    Value sum = along_last(exact("convolution_bias", {hidden}), dims);
    for (int64_t k = 0; k < width; ++k) {
      const Value one = graph_.reshape(graph_.slice(matrices, 0, k, k + 1), {hidden, hidden});
      sum = graph_.add(sum, graph_.dot(graph_.slice(padded, 1, k, k + length_), one,
                                       {.batch_a = {}, .batch_b = {}, .a = 2, .b = 1}));
    }
    return norm(graph_.add(stream, activate(sum, a_.convolution->activation)), "convolution_norm", a_.norm_epsilon,
                true);
  }

  // [rows, length, n] -> [rows, n], of the tokens inside their sequences.
  Value mean(const Value& x) {
    const Dims& dims = x.type.dims;
    const Value kept = graph_.select(graph_.broadcast(inside(), dims, {0, 1}), x, graph_.constant(0, dims));
    const Value sum = graph_.sum(kept, 1);
    return graph_.divide(sum, graph_.broadcast(graph_.convert(lengths(), Element::kF32), sum.type.dims, {0}));
  }

  // In fp32, whatever the matrices are.
  Value score(Value x) {
    const model::Scoring& s = a_.scoring;
    if (s.rows == ScoredRows::kMean) x = mean(x);
    if (reads_one_row()) x = graph_.reshape(x, {rows_, static_cast<int64_t>(a_.hidden)});
    if (s.dense) x = activate(linear(x, "head_dense", a_.hidden, s.dense_bias, true), s.activation);
    if (s.norm) x = norm(x, "head_norm", s.norm_epsilon, s.norm_bias);
    Value z = linear(x, "head_output", s.labels, s.output_bias && !s.answers, true);
    if (s.rows == ScoredRows::kMeanOfLogits) z = mean(z);
    z = capped(z, s.softcap);
    const Value last = graph_.slice(z, 1, static_cast<int64_t>(s.labels) - 1, static_cast<int64_t>(s.labels));
    const Value logit = s.labels == 1 ? last : graph_.subtract(last, graph_.slice(z, 1, 0, 1));
    return graph_.reshape(logit, {rows_});
  }

  Value embedded_;
};

}  // namespace

std::string shape_text(const Rectangle& shape) { return str_cat(shape.rows, "x", shape.length); }

ForwardProgram write_forward(const model::Architecture& architecture, const Rectangle& shape, Element matrices) {
  StableHlo graph(str_cat("reranker_", shape_text(shape), "_", matrices == Element::kF32 ? "fp32" : "bf16"));
  return Forward(architecture, shape, matrices, graph).write();
}

}  // namespace rerank::engine::pjrt
