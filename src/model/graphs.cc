#include "model/graphs.h"

#include <algorithm>
#include <filesystem>

namespace rerank::model {
namespace {

namespace fs = std::filesystem;

void add_files(const fs::path& folder, bool (*wanted)(const fs::path&), std::vector<std::string>& out) {
  std::error_code error;
  std::vector<std::string> found;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error) && wanted(it->path())) found.push_back(it->path().string());
  }
  std::sort(found.begin(), found.end(), [](const std::string& a, const std::string& b) {
    const auto plain = [](const std::string& path) { return fs::path(path).stem() == "model"; };
    return plain(a) != plain(b) ? plain(a) : a < b;
  });
  out.insert(out.end(), found.begin(), found.end());
}

}  // namespace

std::vector<std::string> onnx_files(const std::string& folder) {
  const auto wanted = [](const fs::path& path) { return path.extension() == ".onnx"; };
  std::vector<std::string> files;
  add_files(folder, wanted, files);
  add_files(fs::path(folder) / "onnx", wanted, files);
  return files;
}

GraphNames usual_graph_names(Precision precision) {
  const std::vector<std::string> half = {"onnx/model_fp16.onnx", "model_fp16.onnx"};
  const std::vector<std::string> quantized = {"onnx/model_quantized.onnx", "onnx/model_int8.onnx",
                                              "model_quantized.onnx", "model_int8.onnx"};
  if (precision == Precision::kInt8) return {quantized, {}};
  if (precision == Precision::kFp16) return {half, {}};
  GraphNames names = {{"onnx/model.onnx", "model.onnx"}, {}};
  if (precision != Precision::kAuto) return names;
  names.instead = quantized;
  names.instead.insert(names.instead.end(), half.begin(), half.end());
  return names;
}

std::vector<std::string> torchscript_files(const std::string& folder) {
  std::vector<std::string> files;
  add_files(
      folder,
      [](const fs::path& path) {
        const std::string ending = path.extension().string(), name = path.stem().string();
        if (ending == ".torchscript") return true;
        return (ending == ".pt" || ending == ".pth") && (name == "model" || name.find("traced") != std::string::npos ||
                                                         name.find("script") != std::string::npos);
      },
      files);
  return files;
}

}  // namespace rerank::model
