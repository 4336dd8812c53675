#include "graphs/small_graph.h"

#include <gtest/gtest.h>

#include "convert/graph_builder.h"

namespace rerank::testing {
namespace {

using onnx::TensorProto;

constexpr int64_t kFloat = TensorProto::FLOAT;

// 0 for most batches, and more than can be computed for those with that id.
std::string add_greed(convert::GraphBuilder& graph, int64_t id) {
  const std::string ids = graph.node("Cast", {"input_ids"}, "ids", {{"to", int64_t{TensorProto::INT64}}});
  const std::string equal = graph.node("Equal", {ids, graph.integer("greedy_id", id)}, "equal");
  const std::string hits = graph.node("Cast", {equal}, "hits", {{"to", int64_t{TensorProto::INT64}}});
  const std::string flat = graph.node("Reshape", {hits, graph.integers("flat_shape", {-1})}, "flat");
  const std::string times = graph.node("ReduceMax", {flat}, "times");  // [1]
  const std::string values = graph.node("Mul", {times, graph.integers("huge", {int64_t{1} << 50})}, "values");
  const std::string memory = graph.node("ConstantOfShape", {values}, "memory");
  return graph.node("Cast", {graph.node("Size", {memory}, "size")}, "greed", {{"to", kFloat}});
}

}  // namespace

std::string write_small_graph(const SmallGraph& spec, const std::string& name) {
  convert::GraphBuilder graph("small");
  std::vector<std::string> inputs = {"input_ids", "attention_mask"};
  if (spec.positions) inputs.emplace_back("position_ids");
  for (const std::string& input : inputs)
    graph.add_input(input, spec.int32_ids ? TensorProto::INT32 : TensorProto::INT64, {"batch", "sequence"});
  const std::string ids =
      spec.positions ? graph.node("Add", {"input_ids", "position_ids"}, "ids_and_positions") : "input_ids";
  const std::string tokens = graph.node("Mul", {ids, "attention_mask"}, "tokens");
  const std::string values = graph.node("Cast", {tokens}, "values_of_tokens", {{"to", kFloat}});
  const int64_t keep = spec.shape != LogitShape::kN;
  std::string sums = graph.node("ReduceSum", {values}, "sums", {{"axes", std::vector<int64_t>{1}}, {"keepdims", keep}});
  if (spec.greedy_id != 0) sums = graph.node("Add", {sums, add_greed(graph, spec.greedy_id)}, "sums_and_greed");
  if (spec.shape == LogitShape::kNx2) {
    const std::string twice = graph.node("Add", {sums, sums}, "twice");
    sums = graph.node("Concat", {sums, twice}, "both", {{"axis", int64_t{1}}});  // z1 - z0 is the sum
  }
  const auto type = spec.half_logits ? TensorProto::FLOAT16 : TensorProto::FLOAT;
  graph.node("Cast", {sums}, "logits", {{"to", int64_t{type}}});
  std::vector<std::string> shape = {"batch"};
  if (spec.shape != LogitShape::kN) shape.emplace_back(spec.shape == LogitShape::kNx1 ? "1" : "2");
  graph.add_output("logits", type, shape);
  const std::string path = ::testing::TempDir() + "/" + name;
  EXPECT_TRUE(graph.write(path, 12).ok());
  return path;
}

}  // namespace rerank::testing
