// Utilisation, memory, power and temperature of NVIDIA GPUs, through NVML: a library that comes with the driver, looked
// for when the program starts, so that it is needed neither to build nor to run.
#pragma once

#include <string>

#include "base/metrics.h"

namespace rerank::observe {

// Reads them whenever `metrics` is written out. False: there is no such library, or it finds no GPU; nothing is added.
bool add_gpu_metrics(Metrics& metrics, const std::string& library = "libnvidia-ml.so.1");

}  // namespace rerank::observe
