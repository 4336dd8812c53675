#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_join.h"
#include "base/strings.h"
#include "convert/convert.h"

namespace rerank {
namespace {

// The tensors that a model of the first `layers` layers has, in the order of computing.
std::vector<const TensorView*> tensors_of(const Weights& w, size_t layers) {
  std::vector<const TensorView*> views = {&w.words, &w.positions};
  const auto add_linear = [&](const Linear& linear) {
    views.push_back(&linear.weight);
    views.push_back(&linear.bias);
  };
  const auto add_norm = [&](const Norm& norm) {
    views.push_back(&norm.gamma);
    views.push_back(&norm.beta);
  };
  if (w.segments) views.push_back(&*w.segments);
  add_norm(w.embedding_norm);
  if (w.embedding_projection) add_linear(*w.embedding_projection);
  for (size_t i = 0; i < layers; ++i) {
    const LayerWeights& layer = w.layers[i];
    for (const Linear* linear : {&layer.query, &layer.key, &layer.value, &layer.attention_output}) add_linear(*linear);
    add_norm(layer.attention_norm);
    add_linear(layer.up);
    add_linear(layer.down);
    add_norm(layer.output_norm);
  }
  add_linear(w.head_dense);
  add_linear(w.head_output);
  return views;
}

// Rounds to nearest, ties to even.
uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

Status append(const TensorView& view, DType type, std::ofstream& out) {
  constexpr size_t kChunk = 1u << 20;
  std::vector<float> values(std::min(kChunk, view.elements()));
  std::vector<uint16_t> halves(values.size());
  for (size_t begin = 0; begin < view.elements(); begin += kChunk) {
    const size_t n = std::min(kChunk, view.elements() - begin);
    view.read_floats(begin, std::span(values).first(n));
    if (type == DType::kF32) {
      out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(4 * n));
      continue;
    }
    for (size_t i = 0; i < n; ++i) {
      halves[i] = type == DType::kBF16 ? to_bf16(values[i]) : std::bit_cast<uint16_t>(static_cast<_Float16>(values[i]));
      if (type == DType::kF16 && std::isfinite(values[i]) && std::abs(values[i]) > 65504) {
        return absl::InvalidArgumentError(str_cat(view.name, ": ", values[i], " is too large for fp16: use bf16"));
      }
    }
    out.write(reinterpret_cast<const char*>(halves.data()), static_cast<std::streamsize>(2 * n));
  }
  return ok_status();
}

Result<DType> type_of(const std::string& precision) {
  if (precision == "fp32") return DType::kF32;
  if (precision == "fp16") return DType::kF16;
  if (precision == "bf16") return DType::kBF16;
  return absl::InvalidArgumentError(
      str_cat("--precision ", precision, ": safetensors can be fp32, fp16, bf16 or int8"));
}

}  // namespace

Status write_safetensors(const Model& model, const std::string& out, const ConvertOptions& options) {
  namespace fs = std::filesystem;
  if (!model.has_weights()) return model.no_weights;
  auto type = type_of(options.precision);
  if (!type.ok()) return type.status();
  if (options.keep_layers > model.config.layers)
    return absl::InvalidArgumentError(str_cat("--keep-layers ", options.keep_layers, ": this model has ", model.config.layers));
  std::error_code error;
  if (fs::equivalent(model.folder, out, error))
    return absl::InvalidArgumentError(str_cat(out, ": is the model's own folder; its weights would be overwritten"));
  fs::create_directories(out, error);
  const size_t layers = options.keep_layers != 0 ? options.keep_layers : model.config.layers;
  const auto views = tensors_of(model.weights, layers);
  std::string header = R"({"__metadata__":{"format":"pt"})";
  uint64_t offset = 0;
  for (const TensorView* view : views) {
    const uint64_t end = offset + view->elements() * dtype_bytes(*type);
    header += str_cat(",\"", view->name, "\":{\"dtype\":\"", dtype_name(*type), "\",\"shape\":[",
                      absl::StrJoin(view->shape, ","), "],\"data_offsets\":[", offset, ",", end, "]}");
    offset = end;
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string path = out + "/model.safetensors", part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  const uint64_t size = header.size();
  file.write(reinterpret_cast<const char*>(&size), 8);
  file << header;
  uint64_t done = 0;
  Status status = ok_status();
  for (const TensorView* view : views) {
    if (status = append(*view, *type, file); !status.ok()) break;
    done += view->elements() * dtype_bytes(*type);
    if (options.progress) options.progress(done, offset);
  }
  file.close();
  if (status.ok() && !file) status = absl::UnavailableError(str_cat(path, ": cannot write (disk full?)"));
  if (status.ok()) fs::rename(part, path, error);
  if (status.ok() && error) status = absl::UnavailableError(str_cat(path, ": ", error.message()));
  if (!status.ok()) fs::remove(part, error);
  return status;
}

}  // namespace rerank
