// The encoder as standard operators of opset 12, arranged as ONNX Runtime's optimizer looks for them: its attention
// fusion wants the mask as (1 - mask) * -10000, reshapes by constants, keys transposed in one step, LayerNorm spelt out
// (it does not know opset 17's own operator) and a MatMul before that of opset 13; its GELU fusions the textbook form;
// the fusion of sums with LayerNorm shapes that it can see to be equal (onnxruntime/core/optimizer).
#include <filesystem>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "base/strings.h"
#include "convert/onnx_attention.h"
#include "convert/writers.h"
#include "engine/supported.h"

namespace rerank::convert {
namespace {

using onnx::TensorProto;

constexpr int64_t kOpset = 12;

class EncoderGraph : OnnxAttention {
 public:
  EncoderGraph(const model::Model& model, const ConvertOptions& options, GraphBuilder& graph)
      : OnnxAttention(model, options, graph) {
    layers_ = options.keep_layers != 0 ? options.keep_layers : a_.layers();
  }

  void build() {
    segments_ = weights_.segments.has_value() && a_.embedding.segment_rows > 1;
    std::vector<std::string> inputs = {"input_ids", "attention_mask"};
    if (segments_) inputs.emplace_back("token_type_ids");
    for (const std::string& name : inputs) graph_.add_input(name, TensorProto::INT64, {"batch", "sequence"});
    first_ = graph_.integer("first", 0);
    begin();
    std::string stream = embed();
    for (size_t i = 0; i < layers_; ++i) {
      stream = block(i, stream);
      if (i == 0 && a_.convolution) stream = convolved(stream);
    }
    if (layers_ == 1 && a_.convolution)  // whose one block gave all rows
      stream = graph_.node("Gather", {stream, first_}, "first_row", {{"axis", int64_t{1}}});
    if (a_.final_norm) stream = norm(stream, *weights_.final_norm, "final_norm", a_.norm_epsilon);
    if (a_.scoring.rows == model::ScoredRows::kMean) stream = mean(stream);
    head(stream);
  }

 private:
  std::string embed() {
    std::string used;
    if (weights_.positions) used = used_rows(position_table(), "positions_used");
    std::string sum = graph_.node("Gather", {table_of("words", weights_.words), "input_ids"}, "words_used");
    if (segments_) {
      const std::string segment =
          graph_.node("Gather", {table_of("segments", *weights_.segments), "token_type_ids"}, "segments_used");
      sum = graph_.node("Add", {sum, segment}, "words_and_segments");
    } else if (weights_.segments && !weights_.positions) {
      sum = graph_.node("Add", {sum, first_segment()}, "words_and_segment");
    }
    if (!used.empty()) sum = graph_.node("Add", {sum, used}, "embeddings");
    graph_.declare(sum, type_, {"batch", "sequence", str_cat(a_.embedding.width)});
    std::string stream = norm(sum, *weights_.embedding_norm, "embedding_norm", a_.norm_epsilon);
    if (weights_.embedding_projection) stream = linear(stream, *weights_.embedding_projection, "embedding_projection");
    embedded_ = stream;
    return stream;
  }

  // Behind the first block; what lies outside of a sequence is zero.
  std::string convolved(const std::string& stream) {
    const auto width = static_cast<int64_t>(a_.convolution->width), hidden = static_cast<int64_t>(a_.hidden);
    const std::string column =
        graph_.node("Unsqueeze", {"attention_mask"}, "convolution_mask", {{"axes", std::vector<int64_t>{2}}});
    const std::string inside = graph_.node("Cast", {column}, "convolution_inside", {{"to", int64_t{type_}}});
    const std::string rows = graph_.node("Mul", {embedded_, inside}, "convolution_rows");
    const std::vector<int64_t> turn = {0, 2, 1};
    const std::string columns = graph_.node("Transpose", {rows}, "convolution_columns", {{"perm", turn}});
    const std::string matrix = weights("convolution.weight", {hidden, hidden, width}, weights_.convolution->floats());
    const std::string bias = weights("convolution.bias", {hidden}, weights_.convolution_bias->floats());
    const std::string sums = graph_.node("Conv", {columns, matrix, bias}, "convolution_sums",
                                         {{"pads", std::vector<int64_t>{width / 2, width / 2}}});
    const std::string back = graph_.node("Transpose", {sums}, "convolution_back", {{"perm", turn}});
    const std::string active = activate(back, a_.convolution->activation, "convolution_activation");
    const std::string sum = graph_.node("Add", {active, stream}, "convolution_sum");
    return norm(sum, *weights_.convolution_norm, "convolution_norm", a_.norm_epsilon);
  }

  // Rows of the table before the first position are never read. A model with one segment has that row in every
  // position.
  std::string position_table() {
    const size_t width = a_.embedding.width;
    std::vector<float> positions = weights_.positions->floats();
    positions.erase(positions.begin(),
                    positions.begin() + static_cast<ptrdiff_t>(a_.embedding.position_offset * width));
    if (weights_.segments && !segments_) {
      std::vector<float> row(width);
      weights_.segments->read_floats(0, row);
      for (size_t i = 0; i < positions.size(); ++i) positions[i] += row[i % width];
    }
    return weights("positions", {static_cast<int64_t>(a_.max_length), static_cast<int64_t>(width)}, positions);
  }

  std::string first_segment() {
    std::vector<float> row(a_.embedding.width);
    weights_.segments->read_floats(0, row);
    return weights("segment", {static_cast<int64_t>(row.size())}, row);
  }

  std::string block(size_t number, const std::string& stream) {
    const model::LayerWeights& w = weights_.layers[number];
    const bool pre = a_.blocks[number].placement == model::NormPlacement::kPre;
    const std::string at = str_cat("layer.", number, ".");
    const auto normed = [&](const std::string& x, const std::optional<model::Norm>& norm_weights,
                            const std::string& name) {
      return norm_weights ? norm(x, *norm_weights, at + name, a_.norm_epsilon) : x;
    };
    const std::string input = pre ? normed(stream, w.attention_norm, "attention_norm") : stream;
    const std::string mixed = context(number, input, at);
    const std::string out = linear(mixed, w.attention_output, at + "attention_output");
    std::string middle = graph_.node("Add", {out, stream}, at + "attention_sum");
    // After the last attention only the rows that the head reads are needed.
    if (number + 1 == layers_ && a_.scoring.rows == model::ScoredRows::kFirst && !(number == 0 && a_.convolution))
      middle = graph_.node("Gather", {middle, first_}, at + "first", {{"axis", int64_t{1}}});
    if (!pre) middle = normed(middle, w.attention_norm, "attention_norm");
    const std::string down = feed_forward(number, pre ? normed(middle, w.output_norm, "output_norm") : middle, at);
    const std::string sum = graph_.node("Add", {down, middle}, at + "output_sum");
    return pre ? sum : normed(sum, w.output_norm, "output_norm");
  }

  std::string feed_forward(size_t number, const std::string& input, const std::string& at) {
    const model::LayerWeights& w = weights_.layers[number];
    const model::FeedForward& ff = a_.blocks[number].feed_forward;
    std::string inner = linear(input, w.up, at + "up");
    if (w.gate) {
      const std::string gate = activate(linear(input, *w.gate, at + "gate"), ff.activation, at + "activation");
      inner = graph_.node("Mul", {gate, inner}, at + "gated");
    } else {
      inner = activate(inner, ff.activation, at + "activation");
    }
    return linear(inner, w.down, at + "down");
  }

  // The mean of each sequence's rows, padding apart.
  std::string mean(const std::string& stream) {
    const std::string column =
        graph_.node("Unsqueeze", {"attention_mask"}, "mean_mask", {{"axes", std::vector<int64_t>{2}}});
    const std::string weight = graph_.node("Cast", {column}, "mean_weights", {{"to", int64_t{type_}}});
    const std::vector<int64_t> rows = {1};
    const Attributes flat = {{"axes", rows}, {"keepdims", int64_t{0}}};
    const std::string sum =
        graph_.node("ReduceSum", {graph_.node("Mul", {stream, weight}, "mean_rows")}, "mean_sum", flat);
    return graph_.node("Div", {sum, graph_.node("ReduceSum", {weight}, "mean_count", flat)}, "mean");
  }

  void head(const std::string& hidden) {
    std::string dense =
        activate(dense_of(hidden, *weights_.head_dense, "head_dense"), a_.scoring.activation, "head_activation");
    if (weights_.head_norm) dense = norm(dense, *weights_.head_norm, "head_norm", a_.scoring.norm_epsilon);
    const std::string labels = str_cat(a_.scoring.labels);
    const bool half = type_ == TensorProto::FLOAT16;
    const std::string out = dense_of(dense, weights_.head_output, half ? "half_logits" : "logits");
    if (half) graph_.node("Cast", {out}, "logits", {{"to", int64_t{TensorProto::FLOAT}}});
    graph_.add_output("logits", TensorProto::FLOAT, {"batch", labels});
  }

  size_t layers_ = 0;
  bool segments_ = false;
  std::string first_, embedded_;
};

Status check(const model::Model& model, const ConvertOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  if (options.precision != Precision::kFp32 && options.precision != Precision::kFp16 &&
      options.precision != Precision::kInt8) {
    return absl::InvalidArgumentError(
        str_cat("--precision ", word_of(options.precision), ": an ONNX graph can be fp32, fp16 or int8"));
  }
  if (options.keep_layers > model.architecture().layers())
    return absl::InvalidArgumentError(
        str_cat("--keep-layers ", options.keep_layers, ": this model has ", model.architecture().layers()));
  engine::EngineFeatures features = engine::kAllFeatures;
  features.last_row = features.decoder = features.softcap = features.sum_norms = features.mean_of_logits =
      features.experts = features.first_token = features.outputs = false;
  const std::string parts = engine::uncomputed_parts(model.architecture(), features);
  if (!parts.empty()) return absl::UnimplementedError(str_cat("--to onnx: does not write ", parts));
  return ok_status();
}

}  // namespace

Status write_onnx(const model::Model& model, const std::string& out, const ConvertOptions& options) {
  RETURN_IF_ERROR(check(model, options));
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(out, error);
  const std::string graph_path = out + "/" + kOnnxFile, data_path = out + "/" + kOnnxDataFile;
  const std::string new_graph = graph_path + ".part", new_data = data_path + ".part";
  const auto give_up = [&](const Status& status) {
    fs::remove(new_graph, error);
    fs::remove(new_data, error);
    return status;
  };
  GraphBuilder graph(model.config.architecture_name);
  graph.add_metadata("precision", std::string(word_of(options.precision)));
  // A quantized model is at least a quarter of its floats; its tables stay floats.
  const uint64_t bytes = model.weights.parameters() * (options.precision == Precision::kFp16 ? 2 : 4);
  const bool external = bytes > options.inline_bytes;
  if (external) {
    if (Status status = graph.use_external_file(new_data, kOnnxDataFile); !status.ok()) return give_up(status);
  }
  EncoderGraph(model, options, graph).build();
  if (Status status = graph.write(new_graph, kOpset); !status.ok()) return give_up(status);
  fs::remove(data_path, error);
  if (external) fs::rename(new_data, data_path, error);
  if (!error) fs::rename(new_graph, graph_path, error);
  if (error) return give_up(absl::UnavailableError(str_cat(graph_path, ": cannot be put in place: ", error.message())));
  return ok_status();
}

}  // namespace rerank::convert
