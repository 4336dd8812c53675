#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/half.h"
#include "base/json/writer.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "convert/quantize.h"
#include "convert/writers.h"

namespace rerank::convert {
namespace {

// A tensor to be written.
struct Entry {
  const model::TensorView* view;
  bool quantize = false;  // to int8 or int4
};

// The tensors that a model of the first `layers` layers has, in the order of computing.
std::vector<Entry> tensors_of(const model::Weights& weights, size_t layers, const ConvertOptions& options) {
  std::vector<Entry> entries;
  for (const model::UsedTensor& used : weights.used) {
    if (used.layer != SIZE_MAX && used.layer >= layers) continue;
    bool quantize = used.block_matrix && !is_excluded(options, used.view.name);
    if (options.precision == Precision::kInt4) {
      quantize = quantize && used.view.shape[1] % kInt4Inputs == 0;
    } else {
      quantize = quantize && options.precision == Precision::kInt8;
    }
    entries.push_back({&used.view, quantize});
  }
  return entries;
}

Status append(const model::TensorView& view, model::DType type, std::ofstream& out) {
  constexpr size_t kChunk = 1u << 20;
  std::vector<float> values(std::min(kChunk, view.elements()));
  std::vector<uint16_t> halves(values.size());
  for (size_t begin = 0; begin < view.elements(); begin += kChunk) {
    const size_t n = std::min(kChunk, view.elements() - begin);
    view.read_floats(begin, std::span(values).first(n));
    if (type == model::DType::kF32) {
      out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(4 * n));
      continue;
    }
    for (size_t i = 0; i < n; ++i) {
      halves[i] = type == model::DType::kBF16 ? to_bf16(values[i]) : to_half(values[i]);
      if (type == model::DType::kF16 && std::isfinite(values[i]) && std::abs(values[i]) > 65504) {
        return absl::InvalidArgumentError(str_cat(view.name, ": ", values[i], " is too large for fp16: use bf16"));
      }
    }
    out.write(reinterpret_cast<const char*>(halves.data()), static_cast<std::streamsize>(2 * n));
  }
  return ok_status();
}

// The file's header, and what lies where after it: each quantized matrix in front of its scales.
class Layout {
 public:
  Layout() { header_.begin_object().key("__metadata__").begin_object().field("format", "pt").end_object(); }
  void add(const std::string& name, model::DType type, const std::vector<size_t>& shape) {
    add(name, model::dtype_name(type), model::block_size(type).bytes, shape);
  }
  void add(const std::string& name, std::string_view type, size_t element_bytes, const std::vector<size_t>& shape) {
    size_t elements = 1;
    for (size_t size : shape) elements *= size;
    const uint64_t end = bytes_ + elements * element_bytes;
    header_.key(name).begin_object().field("dtype", type).key("shape").begin_array();
    for (size_t size : shape) header_.value(uint64_t{size});
    header_.end_array().key("data_offsets").begin_array().value(bytes_).value(end).end_array().end_object();
    bytes_ = end;
  }
  uint64_t bytes() const { return bytes_; }
  // The header, filled up to whole eights of bytes.
  std::string finish() {
    std::string header = header_.end_object().take();
    header.resize((header.size() + 7) / 8 * 8, ' ');
    return header;
  }

 private:
  JsonWriter header_;
  uint64_t bytes_ = 0;
};

void append_int8(const model::TensorView& view, std::ofstream& out) {
  const Int8Matrix matrix = quantize_rows(view);
  out.write(reinterpret_cast<const char*>(matrix.values.data()), static_cast<std::streamsize>(matrix.values.size()));
  out.write(reinterpret_cast<const char*>(matrix.scales.data()),
            static_cast<std::streamsize>(4 * matrix.scales.size()));
}

void append_int4(const model::TensorView& view, std::ofstream& out) {
  const Int4Matrix matrix = quantize_groups(view);
  out.write(reinterpret_cast<const char*>(matrix.numbers.data()), static_cast<std::streamsize>(matrix.numbers.size()));
  out.write(reinterpret_cast<const char*>(matrix.scales.data()),
            static_cast<std::streamsize>(2 * matrix.scales.size()));
  const int64_t shape[] = {static_cast<int64_t>(view.shape[0]), static_cast<int64_t>(view.shape[1])};
  out.write(reinterpret_cast<const char*>(shape), sizeof shape);
}

// As `compressed-tensors` names them: "x.weight" is x.weight_packed with x.weight_scale and x.weight_shape.
void add_int4(const model::TensorView& view, Layout& layout) {
  layout.add(view.name + "_packed", "I32", 4, {view.shape[0], view.shape[1] / 8});
  layout.add(view.name + "_scale", model::DType::kBF16, {view.shape[0], view.shape[1] / kInt4Inputs});
  layout.add(view.name + "_shape", "I64", 8, {2});
}

bool is_quantized(Precision precision) { return precision == Precision::kInt8 || precision == Precision::kInt4; }

// Quantized: what is not stays in the type it has.
Result<model::DType> type_of(Precision precision) {
  if (precision == Precision::kFp32 || is_quantized(precision)) return model::DType::kF32;
  if (precision == Precision::kFp16) return model::DType::kF16;
  if (precision == Precision::kBf16) return model::DType::kBF16;
  return absl::InvalidArgumentError(
      str_cat("--precision ", word_of(precision), ": safetensors can be fp32, fp16, bf16, int8 or int4"));
}

}  // namespace

bool is_excluded(const ConvertOptions& options, const std::string& name) {
  return std::any_of(options.exclude.begin(), options.exclude.end(),
                     [&](const std::string& part) { return name.find(part) != std::string::npos; });
}

// Their tensors lie in several folders, which the written one would not have.
static Status refuse_modules(const model::Model& model) {
  for (const model::UsedTensor& tensor : model.weights.used) {
    if (tensor.view.name.find('/') != std::string::npos)
      return absl::UnimplementedError(
          "--to safetensors: not of a folder of sentence-transformers' modules (modules.json)");
  }
  return ok_status();
}

Status write_safetensors(const model::Model& model, const std::string& out, const ConvertOptions& options) {
  RETURN_IF_ERROR(refuse_modules(model));
  namespace fs = std::filesystem;
  if (!model.has_weights()) return model.no_weights;
  ASSIGN_OR_RETURN(auto type, type_of(options.precision));
  if (options.keep_layers > model.architecture().layers())
    return absl::InvalidArgumentError(
        str_cat("--keep-layers ", options.keep_layers, ": this model has ", model.architecture().layers()));
  std::error_code error;
  if (fs::equivalent(model.folder, out, error))
    return absl::InvalidArgumentError(str_cat(out, ": is the model's own folder; its weights would be overwritten"));
  fs::create_directories(out, error);
  const size_t layers = options.keep_layers != 0 ? options.keep_layers : model.architecture().layers();
  const auto entries = tensors_of(model.weights, layers, options);
  const bool int4 = options.precision == Precision::kInt4;
  const auto type_in_file = [&](const model::TensorView& view) {
    if (!is_quantized(options.precision)) return type;
    return view.dtype < model::DType::kI8 ? view.dtype : int4 ? model::DType::kBF16 : type;
  };
  Layout layout;
  for (const auto& [view, quantize] : entries) {
    if (quantize && int4) {
      add_int4(*view, layout);
      continue;
    }
    layout.add(view->name, quantize ? model::DType::kI8 : type_in_file(*view), view->shape);
    if (quantize) layout.add(view->name + "_scale", model::DType::kF32, {view->shape[0], 1});
  }
  const std::string header = layout.finish();
  const std::string path = out + "/model.safetensors", part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  const uint64_t size = header.size();
  file.write(reinterpret_cast<const char*>(&size), 8);
  file << header;
  uint64_t done = 0;
  Status status = ok_status();
  for (const auto& [view, quantize] : entries) {
    if (quantize) {
      int4 ? append_int4(*view, file) : append_int8(*view, file);
    } else if (status = append(*view, type_in_file(*view), file); !status.ok()) {
      break;
    }
    done = static_cast<uint64_t>(file.tellp()) - 8 - size;
    if (options.progress) options.progress(done, layout.bytes());
  }
  file.close();
  if (status.ok() && !file) status = absl::UnavailableError(str_cat(path, ": cannot write (disk full?)"));
  if (status.ok()) fs::rename(part, path, error);
  if (status.ok() && error) status = absl::UnavailableError(str_cat(path, ": ", error.message()));
  if (!status.ok()) fs::remove(part, error);
  return status;
}

}  // namespace rerank::convert
