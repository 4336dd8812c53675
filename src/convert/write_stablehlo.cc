#include <filesystem>
#include <fstream>

#include "base/json/writer.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "convert/writers.h"
#include "engine/pjrt/stablehlo/forward.h"
#include "engine/pjrt/stablehlo/weights.h"
#include "engine/supported.h"

namespace rerank::convert {
namespace {

namespace fs = std::filesystem;
using engine::pjrt::Element;
using engine::pjrt::ForwardProgram;
using engine::pjrt::Value;

// Writes under another name, which becomes the file's own when it is whole.
template <class Write>
Status write_whole(const std::string& path, const Write& write) {
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  Status status = write(file);
  file.close();
  std::error_code error;
  if (status.ok() && !file) status = absl::UnavailableError(str_cat(path, ": cannot write"));
  if (status.ok()) fs::rename(part, path, error);
  if (error) status = absl::UnavailableError(str_cat(path, ": cannot be put in place: ", error.message()));
  if (!status.ok()) fs::remove(part, error);
  return status;
}

// The arguments after the inputs, in their order.
std::string header_of(const ForwardProgram& program) {
  JsonWriter json;
  json.begin_object();
  uint64_t at = 0;
  for (size_t i = program.inputs; i < program.arguments.size(); ++i) {
    const Value& argument = program.arguments[i];
    json.key(argument.name.substr(1)).begin_object();
    json.field("dtype", argument.type.element == Element::kF32 ? "F32" : "BF16");
    json.key("shape").begin_array();
    for (const int64_t dim : argument.type.dims) json.value(dim);
    json.end_array();
    const uint64_t end = at + static_cast<uint64_t>(argument.type.elements()) * element_bytes(argument.type.element);
    json.key("data_offsets").begin_array().value(at).value(end).end_array().end_object();
    at = end;
  }
  json.end_object();
  std::string header = json.take();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

Status write_weights(const model::Model& model, const ForwardProgram& program, const ConvertOptions& options,
                     std::ofstream& file) {
  const engine::pjrt::NamedWeights weights(model);
  const std::string header = header_of(program);
  const uint64_t size = header.size();
  file.write(reinterpret_cast<const char*>(&size), sizeof size);
  file << header;
  uint64_t done = 0;
  for (size_t i = program.inputs; i < program.arguments.size(); ++i) {
    const Value& argument = program.arguments[i];
    ASSIGN_OR_RETURN(const std::vector<float> values, weights.floats(argument));
    const std::string data = element_data(values, argument.type.element);
    file.write(data.data(), static_cast<std::streamsize>(data.size()));
    done += data.size();
    if (options.progress) options.progress(done, std::max(done, model.weights.parameters() * 4));
  }
  return ok_status();
}

}  // namespace

Status write_stablehlo(const model::Model& model, const std::string& out, const std::vector<ProgramShape>& shapes,
                       const ConvertOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  if (options.precision != Precision::kFp32 && options.precision != Precision::kBf16)
    return absl::InvalidArgumentError(
        str_cat("--precision ", word_of(options.precision), ": a StableHLO program can be fp32 or bf16"));
  const std::string parts = engine::uncomputed_parts(model.architecture(), engine::kPairFeatures);
  if (!parts.empty()) return absl::UnimplementedError(str_cat("--to stablehlo: does not write ", parts));
  std::error_code error;
  fs::create_directories(out, error);
  const Element matrices = options.precision == Precision::kBf16 ? Element::kBF16 : Element::kF32;
  ForwardProgram program;
  for (const ProgramShape& shape : shapes) {
    program = write_forward(model.architecture(), {shape.rows, shape.length}, matrices);
    const std::string path = str_cat(out, "/model-", shape.rows, "x", shape.length, ".mlir");
    RETURN_IF_ERROR(write_whole(path, [&](std::ofstream& file) {
      file << program.text;
      return ok_status();
    }));
  }
  return write_whole(out + "/weights.safetensors",
                     [&](std::ofstream& file) { return write_weights(model, program, options, file); });
}

}  // namespace rerank::convert
