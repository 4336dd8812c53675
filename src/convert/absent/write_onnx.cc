// Of a build without the protobuf classes of ONNX (-DRERANKD_ONNX_CONVERSION=OFF).
#include "convert/writers.h"

namespace rerank::convert {

Status write_onnx(const model::Model&, const std::string&, const ConvertOptions&) {
  return absl::UnimplementedError("--to onnx: this program was built without conversion to ONNX");
}

}  // namespace rerank::convert
