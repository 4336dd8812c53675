#include "cli/fit/sketch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/json/writer.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/commands/measure.h"
#include "engine/registry.h"

namespace rerank::cli {
namespace {

constexpr size_t kVocabulary = 4096;               // rows of the table of words: more cost disk and change nothing
constexpr uint64_t kMostBytes = 600u << 20;        // of a sketch's file
constexpr size_t kFewLayers = 1, kMoreLayers = 7;  // what is measured; the difference is what a layer takes

// bf16 of about 0.01 to 0.03, either sign: no norm or softmax of it leaves the range of trained weights.
void fill(std::vector<uint16_t>& values, std::minstd_rand& random) {
  for (uint16_t& value : values) value = static_cast<uint16_t>((random() & 0x80ff) | 0x3c00);
}

std::string header_of(const std::vector<model::WantedTensor>& tensors) {
  JsonWriter json;
  json.begin_object();
  uint64_t offset = 0;
  for (const auto& tensor : tensors) {
    json.key(tensor.name).begin_object();
    json.field("dtype", "BF16");
    json.key("shape").begin_array();
    for (const size_t side : tensor.shape) json.value(uint64_t{side});
    json.end_array();
    const uint64_t end = offset + 2 * tensor.elements();
    json.key("data_offsets").begin_array().value(offset).value(end).end_array();
    json.end_object();
    offset = end;
  }
  json.end_object();
  return json.take();
}

Status write_sketch(FILE* file, const std::vector<model::WantedTensor>& tensors) {
  const std::string header = header_of(tensors);
  const uint64_t size = header.size();
  bool good = std::fwrite(&size, sizeof size, 1, file) == 1 && std::fwrite(header.data(), size, 1, file) == 1;
  std::minstd_rand random(1);
  std::vector<uint16_t> block(size_t{1} << 16);
  fill(block, random);
  for (const auto& tensor : tensors) {
    for (uint64_t left = tensor.elements(); left > 0 && good;) {
      const size_t part = std::min<uint64_t>(left, block.size());
      good = std::fwrite(block.data(), sizeof(uint16_t), part, file) == part;
      left -= part;
    }
  }
  return good && std::fflush(file) == 0 ? ok_status() : absl::UnavailableError("the temporary folder is full");
}

model::ModelConfig cut(model::ModelConfig config, size_t layers) {
  model::Architecture& a = config.architecture;
  a.embedding.vocabulary = std::min(a.embedding.vocabulary, kVocabulary);
  if (layers < a.layers()) a.blocks.resize(layers);
  if (a.groups != 0) a.groups = 1;
  if (auto& answers = a.scoring.answers) {
    answers->positive_id = 1;
    if (answers->two()) answers->negative_id = 0;
  }
  return config;
}

}  // namespace

Result<std::shared_ptr<const model::Model>> sketch_model(const model::ModelConfig& whole, size_t layers) {
  model::ModelConfig config = cut(whole, layers);
  std::error_code error;
  std::string path = (std::filesystem::temp_directory_path(error) / "rerankd-fit-XXXXXX").string();
  const int fd = error ? -1 : ::mkstemp(path.data());
  if (fd < 0) return absl::UnavailableError(str_cat(path, ": cannot write"));
  Status written;
  {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(::fdopen(fd, "wb"), std::fclose);
    written = write_sketch(file.get(), model::wanted_tensors(config));
  }
  auto files = written.ok() ? model::TensorFiles::open_file(path) : written;
  ::unlink(path.c_str());  // what is mapped stays
  RETURN_IF_ERROR(files.status());
  ASSIGN_OR_RETURN(auto weights, model::bind_weights(config, std::move(*files)));
  return std::make_shared<const model::Model>(model::Model{"", std::move(config), std::move(weights), {}});
}

WeightSizes weight_sizes(const model::ModelConfig& config) {
  WeightSizes sizes;
  std::vector<uint64_t> blocks(config.architecture.layers());
  for (const auto& tensor : model::wanted_tensors(config)) {
    const uint64_t elements = tensor.elements();
    sizes.parameters += elements;
    if (tensor.block_matrix) sizes.matrices += elements;
    if (tensor.layer < blocks.size()) blocks[tensor.layer] += elements;
  }
  sizes.largest_block = blocks.empty() ? 0 : *std::ranges::max_element(blocks);
  return sizes;
}

Result<Speed> predict_speed(const model::ModelConfig& config, const Options& options,
                            const std::vector<size_t>& lengths) {
  const size_t layers = config.architecture.layers();
  const uint64_t block = std::max<uint64_t>(1, 2 * weight_sizes(config).largest_block);
  const size_t more = std::clamp<size_t>(kMostBytes / block, 2, kMoreLayers);
  const size_t few = layers <= more ? layers : kFewLayers;
  const auto open = [&](size_t count) -> Result<std::unique_ptr<engine::Backend>> {
    ASSIGN_OR_RETURN(auto model, sketch_model(config, count));
    return engine::open_backend(model, options.model.engine.engine, engine::backend_options(options));
  };
  ASSIGN_OR_RETURN(auto small, open(few));
  std::unique_ptr<engine::Backend> large;
  if (layers > few) {
    ASSIGN_OR_RETURN(large, open(more));
  }
  Speed speed{.engine = small->info(), .at = {}};
  const size_t vocabulary = std::min(config.architecture.embedding.vocabulary, kVocabulary);
  for (const size_t tokens : lengths) {
    double seconds = seconds_of_pair(*small, config.architecture, tokens, vocabulary);
    if (large) {
      const double each = (seconds_of_pair(*large, config.architecture, tokens, vocabulary) - seconds) /
                          static_cast<double>(more - few);
      seconds += each * static_cast<double>(layers - few);
    }
    speed.at.push_back({tokens, seconds});
  }
  return speed;
}

}  // namespace rerank::cli
