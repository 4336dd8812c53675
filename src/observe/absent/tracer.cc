// Of a build without libcurl (-DRERANKD_HUB=OFF).
#include "observe/tracer.h"

namespace rerank::observe {

Result<std::shared_ptr<RequestObserver>> make_tracer(const TracerOptions&, std::shared_ptr<Metrics>) {
  return absl::UnimplementedError("--otlp-endpoint: this program was built without libcurl");
}

}  // namespace rerank::observe
