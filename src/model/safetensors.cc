#include "model/safetensors.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <set>

#include "absl/strings/str_join.h"
#include "base/json/reader.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "model/files/blocks.h"
#include "model/files/gguf_model.h"
#include "model/files/torch_file.h"

namespace rerank::model {
namespace {

Result<DType> parse_dtype(std::string_view name) {
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBF16;
  if (name == "I8") return DType::kI8;
  return absl::UnimplementedError(str_cat("dtype ", name, " is not supported (F32, F16, BF16 and I8 are)"));
}

// Numbers of 4 bits, eight in one of 32: weights of `compressed-tensors`.
constexpr std::string_view kPacked = ".weight_packed";
bool is_packed(std::string_view name, std::string_view dtype) { return dtype == "I32" && name.ends_with(kPacked); }

bool is_read(std::string_view name, std::string_view dtype) {
  return dtype == "F64" || is_packed(name, dtype) || parse_dtype(dtype).ok();
}

std::vector<float> narrowed(std::span<const std::byte> doubles) {
  std::vector<float> floats(doubles.size() / sizeof(double));
  for (size_t i = 0; i < floats.size(); ++i) {
    double value = 0;
    std::memcpy(&value, doubles.data() + i * sizeof value, sizeof value);
    floats[i] = static_cast<float>(value);
  }
  return floats;
}

bool is_safe_file_name(std::string_view name) {
  return !name.empty() && name.find('/') == std::string_view::npos && name != "." && name != "..";
}

// One header entry -> view. `data` is the part of the file after the header.
Result<TensorView> parse_entry(std::string_view name, const simdjson::dom::element& entry,
                               std::span<const std::byte> data) {
  TensorView view;
  view.name = std::string(name);
  simdjson::dom::object fields;
  if (entry.get(fields)) return absl::InvalidArgumentError("not an object");
  std::string_view dtype;
  if (fields["dtype"].get(dtype)) return absl::InvalidArgumentError("dtype is missing or not a string");
  const bool wide = dtype == "F64";  // its elements are converted by whoever asked
  const bool packed = is_packed(name, dtype);
  ASSIGN_OR_RETURN(auto parsed, wide ? DType::kF32 : packed ? DType::kI4 : parse_dtype(dtype));
  view.dtype = parsed;
  simdjson::dom::array shape;
  if (fields["shape"].get(shape)) return absl::InvalidArgumentError("shape is missing or not an array");
  size_t elements = 1;
  for (auto dim : shape) {
    uint64_t size = 0;
    if (dim.get(size)) return absl::InvalidArgumentError("shape holds something else than sizes");
    if (__builtin_mul_overflow(elements, size, &elements)) return absl::InvalidArgumentError("shape overflows");
    view.shape.push_back(size);
  }
  simdjson::dom::array offsets;
  if (fields["data_offsets"].get(offsets) || offsets.size() != 2) {
    return absl::InvalidArgumentError("data_offsets is missing or not a pair");
  }
  uint64_t begin = 0, end = 0;
  if (offsets.at(0).get(begin) || offsets.at(1).get(end) || begin > end || end > data.size()) {
    return absl::InvalidArgumentError(
        str_cat("data_offsets lie outside the file (truncated download?); data has ", data.size(), " bytes"));
  }
  size_t bytes = 0;
  const size_t width = wide ? sizeof(double) : packed ? sizeof(int32_t) : block_size(view.dtype).bytes;
  if (__builtin_mul_overflow(elements, width, &bytes) || bytes != end - begin) {
    return absl::InvalidArgumentError(str_cat("shape [", absl::StrJoin(view.shape, ","), "] of ", dtype,
                                              " does not fit its ", end - begin, " bytes"));
  }
  view.bytes = data.subspan(begin, end - begin);
  view.mapped = true;
  if (packed) {
    if (view.shape.size() != 2) return absl::InvalidArgumentError("not a matrix");
    view.name.resize(view.name.size() - kPacked.size());
    view.name += ".weight";
    view.shape[1] *= 8;
  }
  return view;
}

}  // namespace

const char* dtype_name(DType dtype) {
  constexpr const char* kNames[] = {"F32",  "F16",  "BF16", "I8",   "I4",   "Q4_0", "Q4_1",
                                    "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"};
  return kNames[static_cast<size_t>(dtype)];
}

BlockSize block_size(DType dtype) {
  constexpr BlockSize kSizes[] = {{1, 4},   {1, 2},   {1, 2},   {1, 1},     {2, 1},     {32, 18},  {32, 20},
                                  {32, 22}, {32, 24}, {32, 34}, {256, 144}, {256, 176}, {256, 210}};
  return kSizes[static_cast<size_t>(dtype)];
}

size_t TensorView::elements() const {
  size_t n = 1;
  for (size_t dim : shape) n *= dim;
  return n;
}

void TensorView::read_floats(size_t begin, std::span<float> out) const {
  transposed ? read_transposed(begin, out) : read_stored(begin, out);
  if (factor == 1 && addend == 0) return;
  for (float& value : out) value = value * factor + addend;
}

void TensorView::read_transposed(size_t begin, std::span<float> out) const {
  const size_t rows = shape[0], columns = shape[1];
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t at = begin + i;
    read_stored(at % columns * rows + at / columns, {&out[i], 1});
  }
}

void TensorView::read_stored(size_t begin, std::span<float> out) const {
  if (dtype == DType::kF32) {
    if (!out.empty()) std::memcpy(out.data(), bytes.data() + begin * sizeof(float), out.size_bytes());
    return;
  }
  if (dtype == DType::kI4) return read_int4(begin, out);
  if (dtype >= DType::kQ40) return read_blocks(dtype, bytes, begin, out);
  if (dtype == DType::kI8) {
    const size_t width = elements() / shape[0];
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(static_cast<int8_t>(bytes[begin + i])) * (*scales)[(begin + i) / width];
    return;
  }
  const std::byte* source = bytes.data() + 2 * begin;
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, source + 2 * i, 2);
    out[i] = dtype == DType::kF16 ? half_to_float(bits) : std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
}

void TensorView::read_int4(size_t begin, std::span<float> out) const {
  const size_t group = shape[1] / group_scales->shape[1];
  float unit = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t at = begin + i;
    if (i == 0 || at % group == 0) group_scales->read_floats(at / group, {&unit, 1});
    const int number = std::to_integer<int>(bytes[at / 2] >> (at % 2 * 4)) & 15;
    out[i] = static_cast<float>(number - 8) * unit;
  }
}

bool TensorView::has_units() const {
  if (transposed || shape.size() != 2 || shape[1] % 32 != 0 || !(factor > 0) || addend != 0) return false;
  return dtype == DType::kQ40 || (dtype == DType::kI4 && shape[1] / group_scales->shape[1] % 32 == 0);
}

void TensorView::read_units(size_t row, std::span<float> units) const {
  const size_t count = shape[1] / 32;
  for (size_t i = 0; i < count; ++i) {
    if (dtype == DType::kQ40) {
      units[i] = block_scale(bytes, row * count + i) * factor;
    } else {
      const size_t groups = group_scales->shape[1];
      group_scales->read_floats(row * groups + i * groups / count, {&units[i], 1});
      units[i] *= factor;
    }
  }
}

std::vector<float> TensorView::floats() const {
  std::vector<float> out(elements());
  read_floats(0, out);
  return out;
}

Status TensorFiles::add_file(const std::string& path) {
  ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  const bool torch = path.ends_with(".bin"), gguf = path.ends_with(".gguf");
  const Status read = torch  ? add_torch_tensors(file, tensors_, owned_)
                      : gguf ? add_gguf_tensors(file, tensors_, owned_, others_)
                             : add_safetensors(file, path);
  if (!read.ok()) return torch || gguf ? with_context(read, path) : read;
  files_.push_back(std::move(file));
  return ok_status();
}

Status TensorFiles::add_safetensors(const MappedFile& file, const std::string& path) {
  const auto bytes = file.bytes();
  auto fail = [&](std::string_view what) { return absl::InvalidArgumentError(str_cat(path, ": ", what)); };
  if (bytes.size() < 8) return fail("not a safetensors file: shorter than its 8-byte header length");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  if (header_bytes > kMaxSafetensorsHeaderBytes) {
    return fail(str_cat("header length ", header_bytes, " is over the limit of ", kMaxSafetensorsHeaderBytes,
                        " bytes: not a safetensors file? (a Git LFS pointer is a short text file)"));
  }
  if (header_bytes > bytes.size() - 8) return fail("truncated: the header is longer than the file");

  simdjson::dom::parser parser;
  simdjson::dom::object header;
  const std::string text(reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes);
  if (auto error = parser.parse(text).get(header)) {
    return fail(str_cat("header is not a JSON object: ", simdjson::error_message(error)));
  }
  const auto data = bytes.subspan(8 + header_bytes);
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  for (auto field : header) {
    if (field.key == "__metadata__") continue;
    // Buffers (position_ids, masks) of old checkpoints are of no use to us, and of types we do not read.
    std::string_view dtype;
    if (field.value["dtype"].get(dtype) == simdjson::SUCCESS && !is_read(field.key, dtype)) {
      others_.emplace(field.key, dtype);
      continue;
    }
    auto view = parse_entry(field.key, field.value, data);
    if (!view.ok()) {
      return Status(view.status().code(), str_cat(path, ": tensor ", field.key, ": ", message_of(view.status())));
    }
    if (!view->bytes.empty()) ranges.emplace_back(view->bytes.data(), view->bytes.data() + view->bytes.size());
    if (dtype == "F64") {
      view->bytes = std::as_bytes(std::span(converted_.emplace_back(narrowed(view->bytes))));
      view->mapped = false;
    }
    const std::string name = view->name;
    if (!tensors_.emplace(name, std::move(*view)).second) {
      return fail(str_cat("tensor ", field.key, " appears twice"));
    }
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return fail("tensors overlap");
  }
  return ok_status();
}

Result<std::shared_ptr<const TensorFiles>> TensorFiles::open_file(const std::string& path) {
  auto files = std::make_shared<TensorFiles>();
  files->origin_ = path;
  RETURN_IF_ERROR(files->add_file(path));
  return std::shared_ptr<const TensorFiles>(std::move(files));
}

namespace {

// Folders of sentence-transformers' modules (model/files/modules.h) that have weights of their own.
std::vector<std::string> module_folders(const std::string& folder) {
  std::vector<std::string> folders;
  std::error_code error;
  if (!std::filesystem::exists(folder + "/modules.json", error)) return folders;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.find('_') != std::string::npos && std::filesystem::exists(entry.path() / "model.safetensors", error))
      folders.push_back(name);
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace

Result<std::shared_ptr<const TensorFiles>> TensorFiles::open_folder(const std::string& folder) {
  ASSIGN_OR_RETURN(const std::string gguf, find_gguf(folder));
  if (!gguf.empty()) return open_file(gguf);
  for (const char* name : {"/model.safetensors", "/pytorch_model.bin"}) {
    const std::string single = folder + name, index = single + ".index.json";
    const std::vector<std::string> modules = module_folders(folder);
    if (std::filesystem::exists(single) && !modules.empty()) {
      auto files = std::make_shared<TensorFiles>();
      files->origin_ = single;
      RETURN_IF_ERROR(files->add_file(single));
      for (const std::string& module : modules) {
        TensorFiles own;
        RETURN_IF_ERROR(own.add_file(folder + "/" + module + "/model.safetensors"));
        for (MappedFile& file : own.files_) files->files_.push_back(std::move(file));
        for (auto& [tensor, view] : own.tensors_) {
          view.name = str_cat(module, "/", tensor);
          files->tensors_.emplace(view.name, view);
        }
      }
      return std::shared_ptr<const TensorFiles>(std::move(files));
    }
    if (std::filesystem::exists(single)) return open_file(single);
    if (std::filesystem::exists(index)) return open_index(folder, index);
  }
  return absl::NotFoundError(str_cat(folder,
                                     ": none of model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
                                     "pytorch_model.bin.index.json and a .gguf file is there"));
}

Result<std::shared_ptr<const TensorFiles>> TensorFiles::open_index(const std::string& folder,
                                                                   const std::string& index) {
  JsonFile json;
  RETURN_IF_ERROR(json.load(index, kMaxSafetensorsHeaderBytes));
  simdjson::dom::object map;
  if (json.root()["weight_map"].get(map))
    return absl::InvalidArgumentError(index + ": weight_map is missing or not an object");
  std::set<std::string> names;
  for (auto field : map) {
    std::string_view file;
    if (field.value.get(file) || !is_safe_file_name(file)) {
      return absl::InvalidArgumentError(str_cat(index, ": weight_map.", field.key, ": not a file name of this folder"));
    }
    names.emplace(file);
  }
  auto files = std::make_shared<TensorFiles>();
  files->origin_ = index;
  for (const auto& name : names) {
    RETURN_IF_ERROR(files->add_file(folder + "/" + name));
  }
  for (auto field : map) {
    if (files->tensors_.count(std::string(field.key)) == 0 &&
        std::string_view(field.key).find("position_ids") == std::string_view::npos) {
      return absl::InvalidArgumentError(
          str_cat(index, ": weight_map names tensor ", field.key, ", which no shard has"));
    }
  }
  return std::shared_ptr<const TensorFiles>(std::move(files));
}

Hash128 TensorFiles::digest() const {
  std::call_once(digested_, [this] {
    FieldHasher hasher;
    for (const MappedFile& file : files_) hasher.add(digests_.emplace_back(file.digest()).hex());
    digest_ = hasher.finish();
    has_digest_ = true;
  });
  return digest_;
}

Status TensorFiles::check() const {
  for (size_t i = 0; i < files_.size(); ++i)
    RETURN_IF_ERROR(files_[i].check([&] { return has_digest_ && files_[i].digest() == digests_[i]; }));
  return ok_status();
}

}  // namespace rerank::model
