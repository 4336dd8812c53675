#include "model/exits.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "base/json/reader.h"
#include "base/json/writer.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model {
namespace {

std::string file_of(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? path + "/exits.json" : path;
}

std::string number(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
  return text;
}

Status read_head(const simdjson::dom::element& element, size_t width, ExitHead& head) {
  simdjson::dom::array weights;
  double bias = 0;
  if (element["weights"].get(weights) || element["bias"].get(bias) || !std::isfinite(bias) || weights.size() != width)
    return absl::InvalidArgumentError(str_cat("an exit without a bias and ", width,
                                              " weights; one of an earlier version? Run rerankd calibrate anew"));
  head.bias = static_cast<float>(bias);
  double error = 0;
  if (element["error"].get(error) == simdjson::SUCCESS && (!std::isfinite(error) || error < 0))
    return absl::InvalidArgumentError("an exit's error is below 0");
  head.error = static_cast<float>(error);
  for (simdjson::dom::element weight : weights) {
    double value = 0;
    if (weight.get(value)) return absl::InvalidArgumentError("a weight that is not a number");
    head.weights.push_back(static_cast<float>(value));
  }
  return ok_status();
}

Status read_targets(const JsonFile& file, Exits& exits) {
  simdjson::dom::array targets;
  if (file.root()["targets"].get(targets)) return ok_status();
  for (simdjson::dom::element element : targets) {
    Exits::Target target;
    if (element["agreement"].get(target.agreement) || element["margin"].get(target.margin) || target.margin < 0 ||
        (!exits.targets.empty() && target.agreement <= exits.targets.back().agreement)) {
      return absl::InvalidArgumentError("targets: agreements must rise, margins be 0 or more");
    }
    exits.targets.push_back(target);
  }
  return ok_status();
}

}  // namespace

Result<double> Exits::margin_for(double agreement) const {
  std::string known;
  for (const Target& target : targets) {
    if (target.agreement >= agreement) return target.margin;
    known += str_cat(known.empty() ? "" : ", ", target.agreement);
  }
  if (known.empty()) return absl::InvalidArgumentError("these exits have no targets: run rerankd calibrate anew");
  return absl::InvalidArgumentError(
      str_cat("the exits were calibrated for agreements of ", known, ", not ", agreement));
}

float ExitHead::apply(const float* pooled) const {
  double sum = bias;
  for (size_t i = 0; i < weights.size(); ++i) sum += static_cast<double>(weights[i]) * pooled[i];
  return static_cast<float>(sum);
}

std::string weights_digest(const Model& model) {
  FieldHasher hasher;
  if (model.has_weights()) {
    for (const MappedFile& file : model.weights.files->files()) hasher.add(file.text());
  }
  const Architecture& a = model.architecture();
  const size_t heads = a.blocks.empty() ? 0 : a.blocks[0].attention.heads;
  for (size_t size : {a.layers(), a.hidden, heads}) hasher.add(static_cast<uint64_t>(size));
  return hasher.finish().hex();
}

Result<Exits> read_exits(const std::string& path, const Model& model) {
  const std::string name = file_of(path);
  JsonFile file;
  RETURN_IF_ERROR(file.load(name, 64u << 20));
  Exits exits;
  ASSIGN_OR_RETURN(exits.weights_digest, file.get_string("weights"));
  ASSIGN_OR_RETURN(exits.model, file.get_string("model", std::string()));
  if (exits.weights_digest != weights_digest(model)) {
    return absl::InvalidArgumentError(
        str_cat(name, ": fitted to other weights (", exits.model, "); run rerankd calibrate for ", model.folder));
  }
  simdjson::dom::array heads;
  if (file.root()["exits"].get(heads) || heads.size() + 1 != model.architecture().layers()) {
    return absl::InvalidArgumentError(str_cat(name, ": exits is not an array of ", model.architecture().layers() - 1));
  }
  for (simdjson::dom::element element : heads) {
    ExitHead head;
    if (Status status = read_head(element, exit_width(model.architecture()), head); !status.ok())
      return with_context(status, name);
    exits.heads.push_back(std::move(head));
  }
  if (Status status = read_targets(file, exits); !status.ok()) return with_context(status, name);
  return exits;
}

Status write_exits(const std::string& folder, const Exits& exits) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::string name = folder + "/exits.json";
  std::ofstream out(name);
  // A line for each exit, which JsonWriter does not lay out so: it writes the texts.
  out << "{\"model\": " << JsonWriter().value(exits.model).take() << ",\n \"weights\": \"" << exits.weights_digest
      << "\",\n \"exits\": [";
  for (size_t i = 0; i < exits.heads.size(); ++i) {
    out << (i == 0 ? "\n" : ",\n") << "  {\"layers\": " << i + 1 << ", \"bias\": " << number(exits.heads[i].bias)
        << ", \"error\": " << number(exits.heads[i].error) << ", \"weights\": [";
    for (size_t w = 0; w < exits.heads[i].weights.size(); ++w)
      out << (w == 0 ? "" : ",") << number(exits.heads[i].weights[w]);
    out << "]}";
  }
  out << "],\n \"targets\": [";
  for (size_t i = 0; i < exits.targets.size(); ++i) {
    out << (i == 0 ? "" : ", ") << "{\"agreement\": " << exits.targets[i].agreement
        << ", \"margin\": " << exits.targets[i].margin << "}";
  }
  out << "]}\n";
  out.close();
  return out ? ok_status() : absl::UnavailableError(str_cat(name, ": cannot write"));
}

}  // namespace rerank::model
