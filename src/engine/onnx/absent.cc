// In the place of onnx_backend.cc where ONNX Runtime's headers were not there at build time.
#include "engine/onnx/onnx_backend.h"

namespace rerank::engine {
namespace {

Status absent() {
  return absl::UnimplementedError(
      "onnx engine: this program was built without it, for ONNX Runtime's headers were not there: run tools/setup.sh "
      "(with network), or configure with -DONNXRUNTIME_ROOT=DIR of an official release, and build again");
}

}  // namespace

Result<std::string> describe_onnx_backend(const model::Model&, const BackendOptions&) { return absent(); }
Result<std::unique_ptr<Backend>> make_onnx_backend(std::shared_ptr<const model::Model>, const BackendOptions&) {
  return absent();
}

}  // namespace rerank::engine
