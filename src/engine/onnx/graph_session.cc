#include "engine/onnx/graph_session.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::engine::onnx {
namespace {

void ORT_API_CALL to_our_log(void*, OrtLoggingLevel level, const char*, const char*, const char*, const char* message) {
  log(level >= ORT_LOGGING_LEVEL_ERROR ? LogLevel::kError : LogLevel::kDebug, str_cat("ONNX Runtime: ", message));
}

// One per process, and never destroyed: sessions of any thread may outlive main's end.
Ort::Env& environment() {
  static auto* env = new Ort::Env(ORT_LOGGING_LEVEL_WARNING, "rerankd", to_our_log, nullptr);
  return *env;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (int64_t size : shape) sizes.push_back(size < 0 ? "?" : str_cat(size));
  return str_cat("[", absl::StrJoin(sizes, ","), "]");
}

struct KnownInput {
  const char* name;
  TokenInput what;
};
constexpr KnownInput kKnownInputs[] = {
    {"input_ids", TokenInput::kIds},        {"attention_mask", TokenInput::kMask},
    {"input_mask", TokenInput::kMask},      {"token_type_ids", TokenInput::kSegments},
    {"segment_ids", TokenInput::kSegments}, {"position_ids", TokenInput::kPositions},
};

bool is_integer(ONNXTensorElementDataType type) {
  return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
}
bool is_logit(ONNXTensorElementDataType type) {
  return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
}
size_t bytes_of(ONNXTensorElementDataType type) {
  return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 ? 8 : type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 ? 2 : 4;
}

float logit_at(const std::vector<std::byte>& output, ONNXTensorElementDataType type, size_t i) {
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) return reinterpret_cast<const float*>(output.data())[i];
  return reinterpret_cast<const Ort::Float16_t*>(output.data())[i].ToFloat();
}

}  // namespace

GraphSession::Worker::Worker(GraphSession& session) : binding_(session.session_), inputs_(session.inputs_.size()) {}

Result<std::unique_ptr<GraphSession>> GraphSession::open(const SessionSpec& spec) {
  try {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(static_cast<int>(spec.threads));
    options.SetInterOpNumThreads(1);
    options.SetGraphOptimizationLevel(GraphOptimizationLevel::ORT_ENABLE_ALL);
    // Shapes differ from run to run: a memory plan for each would be kept for ever.
    options.DisableMemPattern();
    if (!spec.arena) options.DisableCpuMemArena();
    append_providers(options, spec.providers);
    std::unique_ptr<GraphSession> graph(new GraphSession(spec));
    graph->session_ = Ort::Session(environment(), spec.file.path.c_str(), options);
    RETURN_IF_ERROR(graph->find_inputs());
    RETURN_IF_ERROR(graph->find_output());
    RETURN_IF_ERROR(graph->probe());
    return graph;
  } catch (const std::exception& error) {  // Ort::Exception is one; bad_alloc too
    return absl::InvalidArgumentError(str_cat(spec.file.path, ": ONNX Runtime cannot load it: ", error.what()));
  }
}

Status GraphSession::find_inputs() {
  Ort::AllocatorWithDefaultOptions allocator;
  for (size_t i = 0; i < session_.GetInputCount(); ++i) {
    Input input;
    input.name = session_.GetInputNameAllocated(i, allocator).get();
    const auto fail = [&](std::string_view what) {
      return absl::InvalidArgumentError(str_cat(path_, ": input ", input.name, ": ", what));
    };
    const auto* known = std::find_if(std::begin(kKnownInputs), std::end(kKnownInputs),
                                     [&](const KnownInput& k) { return input.name == k.name; });
    if (known == std::end(kKnownInputs)) {
      return fail("not known; a cross-encoder's are input_ids, attention_mask, token_type_ids and position_ids");
    }
    input.what = known->what;
    const Ort::TypeInfo info = session_.GetInputTypeInfo(i);
    if (info.GetONNXType() != ONNX_TYPE_TENSOR) return fail("not a tensor");
    const auto tensor = info.GetTensorTypeAndShapeInfo();
    input.type = tensor.GetElementType();
    if (!is_integer(input.type)) return fail("neither int64 nor int32");
    const std::vector<int64_t> shape = tensor.GetShape();
    if (shape.size() != 2) return fail(str_cat("has shape ", shape_text(shape), ", not [sequences, tokens]"));
    if (shape[0] > 0) fixed_rows_ = static_cast<size_t>(shape[0]);
    if (shape[1] > 0) fixed_length_ = static_cast<size_t>(shape[1]);
    inputs_.push_back(std::move(input));
  }
  for (const char* needed : {"input_ids"}) {
    if (std::none_of(inputs_.begin(), inputs_.end(), [&](const Input& input) { return input.name == needed; }))
      return absl::InvalidArgumentError(str_cat(path_, ": has no input ", needed));
  }
  return ok_status();
}

Status GraphSession::find_output() {
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<std::string> names;
  for (size_t i = 0; i < session_.GetOutputCount(); ++i)
    names.emplace_back(session_.GetOutputNameAllocated(i, allocator).get());
  const auto found = std::find(names.begin(), names.end(), "logits");
  if (found == names.end() && names.size() != 1) {
    return absl::InvalidArgumentError(str_cat(path_, ": which output is the score? There are ",
                                              absl::StrJoin(names, ", "), "; a cross-encoder's is called logits"));
  }
  const size_t index = found == names.end() ? 0 : static_cast<size_t>(found - names.begin());
  output_ = names[index];
  const Ort::TypeInfo info = session_.GetOutputTypeInfo(index);
  if (info.GetONNXType() != ONNX_TYPE_TENSOR || !is_logit(info.GetTensorTypeAndShapeInfo().GetElementType()))
    return absl::InvalidArgumentError(str_cat(path_, ": output ", output_, ": neither float32 nor float16"));
  output_type_ = info.GetTensorTypeAndShapeInfo().GetElementType();
  return ok_status();
}

// Runs two short sequences, or as many and as long as the graph was made for, and looks at what comes out.
Status GraphSession::probe() {
  PaddedBlock block{{}, fixed_rows_ != 0 ? fixed_rows_ : 2, fixed_length_ != 0 ? fixed_length_ : 8};
  Worker worker(*this);
  bind(worker, Batch(), block);
  worker.binding_.ClearBoundOutputs();
  worker.binding_.BindOutput(output_.c_str(), memory_);
  session_.Run(Ort::RunOptions(), worker.binding_);
  const std::vector<int64_t> shape = worker.binding_.GetOutputValues().at(0).GetTensorTypeAndShapeInfo().GetShape();
  const auto rows = static_cast<int64_t>(block.rows);
  const bool fits = (shape.size() == 1 || (shape.size() == 2 && (shape[1] == 1 || shape[1] == 2))) && shape[0] == rows;
  if (!fits) {
    return absl::InvalidArgumentError(str_cat(path_, ": output ", output_, " has shape ", shape_text(shape), " for ",
                                              rows, " sequences; a cross-encoder's is [N,1], [N] or [N,2]",
                                              shape.size() == 3 ? " (is it an embedding model?)" : ""));
  }
  output_rank_ = shape.size();
  labels_ = shape.size() == 2 ? static_cast<size_t>(shape[1]) : 1;
  return ok_status();
}

bool GraphSession::wants_segments() const {
  return std::any_of(inputs_.begin(), inputs_.end(), [](const Input& i) { return i.what == TokenInput::kSegments; });
}

void GraphSession::bind(Worker& worker, const Batch& batch, const PaddedBlock& block) {
  const int64_t shape[] = {static_cast<int64_t>(block.rows), static_cast<int64_t>(block.length)};
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    std::vector<std::byte>& buffer = worker.inputs_[i];
    const size_t bytes = block.tokens() * bytes_of(input.type);
    if (buffer.size() < bytes) buffer.resize(bytes);
    if (input.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) {
      fill_padded(batch, block, input.what, pad_, reinterpret_cast<int64_t*>(buffer.data()));
    } else {
      fill_padded(batch, block, input.what, pad_, reinterpret_cast<int32_t*>(buffer.data()));
    }
    const Ort::Value value = Ort::Value::CreateTensor(memory_, buffer.data(), bytes, shape, 2, input.type);
    worker.binding_.BindInput(input.name.c_str(), value);
  }
}

Status GraphSession::run(Worker& worker, const Batch& batch, const PaddedBlock& block, std::span<float> logits) {
  try {
    bind(worker, batch, block);
    const size_t bytes = block.rows * labels_ * bytes_of(output_type_);
    if (worker.output_.size() < bytes) worker.output_.resize(bytes);
    const int64_t shape[] = {static_cast<int64_t>(block.rows), static_cast<int64_t>(labels_)};
    const Ort::Value out =
        Ort::Value::CreateTensor(memory_, worker.output_.data(), bytes, shape, output_rank_, output_type_);
    worker.binding_.BindOutput(output_.c_str(), out);
    session_.Run(Ort::RunOptions(), worker.binding_);
    worker.binding_.SynchronizeOutputs();
  } catch (const std::exception& error) {
    return absl::InternalError(str_cat("onnx engine: ONNX Runtime failed on a batch of ", block.rows, " x ",
                                       block.length, " tokens: ", error.what()));
  }
  for (size_t r = 0; r < block.sequences.size(); ++r) {
    const float first = logit_at(worker.output_, output_type_, r * labels_);
    logits[block.sequences[r]] = labels_ == 1 ? first : logit_at(worker.output_, output_type_, r * labels_ + 1) - first;
  }
  return ok_status();
}

}  // namespace rerank::engine::onnx
