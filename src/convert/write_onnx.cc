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
    begin();
    std::string stream = embed();
    for (size_t i = 0; i < layers_; ++i) {
      stream = block(i, stream);
      if (i == 0 && a_.convolution) stream = convolved(stream);
    }
    if (layers_ == 1 && a_.convolution) stream = scored_row(stream, "scored");  // whose one block gave all rows
    if (a_.final_norm) stream = norm(stream, *weights_.final_norm, "final_norm", a_.norm_epsilon);
    if (a_.scoring.rows == model::ScoredRows::kMean) stream = mean(stream, "mean");
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
    std::string stream = sum;
    if (weights_.embedding_norm) stream = norm(sum, *weights_.embedding_norm, "embedding_norm", a_.norm_epsilon);
    if (weights_.embedding_projection) stream = linear(stream, *weights_.embedding_projection, "embedding_projection");
    embedded_ = stream;
    return stream;
  }

  // After the first block; what lies outside of a sequence is zero.
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

  bool scores_one_row() const {
    return a_.scoring.rows == model::ScoredRows::kFirst || a_.scoring.rows == model::ScoredRows::kLast;
  }
  // The row of each sequence that the head reads, [batch, hidden]. Padding stands after a sequence.
  std::string scored_row(const std::string& stream, const std::string& name) {
    if (a_.scoring.rows == model::ScoredRows::kFirst) {
      if (is_new("first")) graph_.integer("first", 0);
      return graph_.node("Gather", {stream, "first"}, name, {{"axis", int64_t{1}}});
    }
    if (is_new("last_numbers")) {
      const std::string tokens = graph_.node("ReduceSum", {"attention_mask"}, "tokens_of_each",
                                             {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{1}}});
      graph_.node("Sub", {tokens, graph_.integer("one_token", 1)}, "last_numbers");
    }
    return graph_.node("GatherND", {stream, "last_numbers"}, name, {{"batch_dims", int64_t{1}}});
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
    const std::string out =
        normed(linear(mixed, w.attention_output, at + "attention_output"), w.attention_sum_norm, "attention_sum_norm");
    std::string middle = graph_.node("Add", {out, stream}, at + "attention_sum");
    // After the last attention only the rows that the head reads are needed.
    if (number + 1 == layers_ && scores_one_row() && !(number == 0 && a_.convolution))
      middle = scored_row(middle, at + "scored");
    if (!pre) middle = normed(middle, w.attention_norm, "attention_norm");
    const std::string down =
        normed(feed_forward_of(number, pre ? normed(middle, w.output_norm, "output_norm") : middle, at),
               w.output_sum_norm, "output_sum_norm");
    const std::string sum = graph_.node("Add", {down, middle}, at + "output_sum");
    return pre ? sum : normed(sum, w.output_norm, "output_norm");
  }

  std::string feed_forward_of(size_t number, const std::string& input, const std::string& at) {
    const model::LayerWeights& w = weights_.layers[number];
    const model::FeedForward& ff = a_.blocks[number].feed_forward;
    return ff.experts ? experts(input, w, ff, at) : feed_forward(input, w, ff, at);
  }

  // The mean of each sequence's rows, padding apart.
  std::string mean(const std::string& stream, const std::string& name) {
    const std::string column =
        graph_.node("Unsqueeze", {"attention_mask"}, "mean_mask", {{"axes", std::vector<int64_t>{2}}});
    const std::string weight = graph_.node("Cast", {column}, "mean_weights", {{"to", int64_t{type_}}});
    const std::vector<int64_t> rows = {1};
    const Attributes flat = {{"axes", rows}, {"keepdims", int64_t{0}}};
    const std::string sum =
        graph_.node("ReduceSum", {graph_.node("Mul", {stream, weight}, "mean_rows")}, "mean_sum", flat);
    return graph_.node("Div", {sum, graph_.node("ReduceSum", {weight}, "mean_count", flat)}, name);
  }

  void head(const std::string& hidden) {
    const model::Scoring& scoring = a_.scoring;
    const bool each_row = scoring.rows == model::ScoredRows::kMeanOfLogits;
    const auto dense = [&](const std::string& x, const model::Linear& w, const std::string& name) {
      return each_row ? dense_of_rows(x, w, name) : dense_of(x, w, name);
    };
    std::string read = hidden;
    if (weights_.head_dense)
      read = activate(dense(hidden, *weights_.head_dense, "head_dense"), scoring.activation, "head_activation");
    if (weights_.head_norm) read = norm(read, *weights_.head_norm, "head_norm", scoring.norm_epsilon);
    const model::Linear& output =
        scoring.first_output != 0 ? weights_.outputs[layers_ - scoring.first_output] : weights_.head_output;
    const bool half = type_ == TensorProto::FLOAT16, capped_later = scoring.softcap != 0;
    const std::string last = half ? "half_logits" : "logits";
    std::string out = dense(read, output, each_row ? "row_logits" : capped_later ? "whole_logits" : last);
    if (each_row) out = mean(out, capped_later ? "whole_logits" : last);
    if (capped_later) out = capped(out, scoring.softcap, last);
    if (half) graph_.node("Cast", {out}, "logits", {{"to", int64_t{TensorProto::FLOAT}}});
    graph_.add_output("logits", TensorProto::FLOAT, {"batch", str_cat(scoring.labels)});
  }

  size_t layers_ = 0;
  bool segments_ = false;
  std::string embedded_;
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
  const size_t first_output = model.architecture().scoring.first_output;
  if (options.keep_layers != 0 && options.keep_layers < first_output)
    return absl::InvalidArgumentError(str_cat("--keep-layers ", options.keep_layers,
                                              ": this model has outputs after layers ", first_output, " to ",
                                              model.architecture().layers()));
  const std::string parts = engine::uncomputed_parts(model.architecture(), engine::kPairFeatures);
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
