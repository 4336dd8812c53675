// Feed-forwards of experts: a router, the largest shares of each token (TopK), and each expert over the rows that chose
// it alone (NonZero, GatherND), which are added where they came from (ScatterND). Rows of padding are computed, too: a
// graph does not know where sequences end. So is the first row by every expert, with the share that it has of it, 0 for
// most: ONNX Runtime's ReduceMax of no rows has a wrong shape. Where that row is there twice, both add the same.
#include "base/strings.h"
#include "convert/onnx_parts.h"

namespace rerank::convert {

std::string OnnxParts::experts(const std::string& input, const model::LayerWeights& w, const model::FeedForward& ff,
                               const std::string& at) {
  const auto hidden = static_cast<int64_t>(a_.hidden);
  if (is_new("row_shape")) graph_.integers("row_shape", {-1, hidden});
  if (is_new("row_first")) graph_.integer_rows("row_first", {0});
  const std::string rows = graph_.node("Reshape", {input, "row_shape"}, at + "expert_rows");
  const std::string shares = expert_shares(rows, w, *ff.experts, at);
  std::string sum = graph_.node("Expand",
                                {weights(at + "experts.bias", {hidden},
                                         w.experts_bias ? w.experts_bias->floats() : std::vector<float>(a_.hidden)),
                                 graph_.node("Shape", {rows}, at + "expert_rows_shape")},
                                at + "experts_bias_rows");
  for (size_t e = 0; e < w.experts.size(); ++e) {
    const std::string own = str_cat(at, "expert.", e, "."), number = str_cat("expert_", e);
    if (is_new(number)) graph_.integer(number, static_cast<int64_t>(e));
    const std::string share = graph_.node("Gather", {shares, number}, own + "shares");
    const std::string found = graph_.node("NonZero", {share}, own + "chosen");  // [1, rows]
    const std::string transposed =
        graph_.node("Transpose", {found}, own + "chosen_rows", {{"perm", std::vector<int64_t>{1, 0}}});
    const std::string which = graph_.node("Concat", {transposed, "row_first"}, own + "rows", {{"axis", int64_t{0}}});
    const std::string out = feed_forward(graph_.node("GatherND", {rows, which}, own + "input"), w.experts[e], ff, own);
    const std::string weight = graph_.node("Unsqueeze", {graph_.node("GatherND", {share, which}, own + "weights")},
                                           own + "weight_column", {{"axes", std::vector<int64_t>{1}}});
    const std::string added = graph_.node(
        "Add", {graph_.node("GatherND", {sum, which}, own + "before"), graph_.node("Mul", {out, weight}, own + "part")},
        own + "after");
    sum = graph_.node("ScatterND", {sum, which, added}, own + "sum");
  }
  return graph_.node("Reshape", {sum, graph_.node("Shape", {input}, at + "experts_shape")}, at + "experts");
}

// [experts, rows]: the weights of the chosen, else 0.
std::string OnnxParts::expert_shares(const std::string& rows, const model::LayerWeights& w,
                                     const model::Experts& experts, const std::string& at) {
  const std::string scores =
      graph_.node("MatMul", {rows, matrix(*w.router, at + "router.weight")}, at + "router_scores");
  const std::string all = graph_.node("Softmax", {scores}, at + "router_shares", {{"axis", int64_t{1}}});
  if (is_new("experts_chosen")) graph_.integers("experts_chosen", {static_cast<int64_t>(experts.chosen)});
  std::string largest = at + "largest_shares";
  const std::string which = at + "largest_experts";
  graph_.node_of("TopK", {all, "experts_chosen"}, {largest, which}, {{"axis", int64_t{1}}});
  if (experts.normalized) {
    const std::string total = graph_.node("ReduceSum", {largest}, at + "largest_sum",
                                          {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{1}}});
    largest = graph_.node("Div", {largest, total}, at + "normalized_shares");
  }
  const std::string none = graph_.node("Mul", {all, shared("none", 0)}, at + "no_shares");
  const std::string kept =
      graph_.node("ScatterElements", {none, which, largest}, at + "kept_shares", {{"axis", int64_t{1}}});
  return graph_.node("Transpose", {kept}, at + "expert_shares", {{"perm", std::vector<int64_t>{1, 0}}});
}

}  // namespace rerank::convert
