#include "observe/gpu_metrics.h"

#include <memory>
#include <vector>

#include "base/system/shared_library.h"

namespace rerank::observe {
namespace {

// The little of NVML that is asked for. Names, numbers and layouts: NVIDIA's NVML API reference; they are stable since
// version 2 of each symbol.
constexpr int kSuccess = 0;
constexpr int kTemperatureOfGpu = 0;
using Device = struct NvmlDevice*;
struct Utilization {
  unsigned gpu = 0, memory = 0;  // percent
};
struct Memory {
  unsigned long long total = 0, free = 0, used = 0;  // bytes
};

class Nvml {
 public:
  ~Nvml() {
    if (shutdown_) shutdown_();
  }

  bool open(const std::string& path) {
    auto library = SharedLibrary::open(path);
    if (!library.ok()) return false;
    library_ = *std::move(library);
    int (*init)() = nullptr;
    const bool all = find(init, "nvmlInit_v2") && find(count_, "nvmlDeviceGetCount_v2") &&
                     find(handle_, "nvmlDeviceGetHandleByIndex_v2") && find(name, "nvmlDeviceGetName") &&
                     find(utilization, "nvmlDeviceGetUtilizationRates") && find(memory, "nvmlDeviceGetMemoryInfo") &&
                     find(power, "nvmlDeviceGetPowerUsage") && find(temperature, "nvmlDeviceGetTemperature");
    if (!all || init() != kSuccess) return false;
    return find(shutdown_, "nvmlShutdown");
  }

  std::vector<Device> devices() const {
    unsigned count = 0;
    std::vector<Device> found;
    if (count_(&count) != kSuccess) return found;
    for (unsigned i = 0; i < count; ++i) {
      Device device = nullptr;
      if (handle_(i, &device) == kSuccess) found.push_back(device);
    }
    return found;
  }

  int (*name)(Device, char*, unsigned) = nullptr;
  int (*utilization)(Device, Utilization*) = nullptr;
  int (*memory)(Device, Memory*) = nullptr;
  int (*power)(Device, unsigned*) = nullptr;  // milliwatts
  int (*temperature)(Device, int, unsigned*) = nullptr;

 private:
  template <class Function>
  bool find(Function*& function, const char* symbol) {
    function = library_.find<Function>(symbol);
    return function != nullptr;
  }

  SharedLibrary library_;
  int (*shutdown_)() = nullptr;
  int (*count_)(unsigned*) = nullptr;
  int (*handle_)(unsigned, Device*) = nullptr;
};

struct Gpu {
  Gpu(Metrics& m, Device d, const MetricLabels& labels)
      : device(d),
        utilization(m.gauge("rerankd_gpu_utilization_ratio", "Share of time in which the GPU computed.", labels)),
        used(m.gauge("rerankd_gpu_memory_used_bytes", "GPU memory in use, by all processes.", labels)),
        total(m.gauge("rerankd_gpu_memory_bytes", "GPU memory there is.", labels)),
        power(m.gauge("rerankd_gpu_power_watts", "Power that the GPU draws.", labels)),
        temperature(m.gauge("rerankd_gpu_temperature_celsius", "Temperature of the GPU.", labels)) {}

  void read(const Nvml& nvml) {
    Utilization rates;
    Memory bytes;
    unsigned value = 0;
    if (nvml.utilization(device, &rates) == kSuccess) utilization.set(rates.gpu / 100.0);
    if (nvml.memory(device, &bytes) == kSuccess) {
      used.set(static_cast<double>(bytes.used));
      total.set(static_cast<double>(bytes.total));
    }
    if (nvml.power(device, &value) == kSuccess) power.set(value * 1e-3);
    if (nvml.temperature(device, kTemperatureOfGpu, &value) == kSuccess) temperature.set(value);
  }

  Device device;
  Gauge &utilization, &used, &total, &power, &temperature;
};

}  // namespace

bool add_gpu_metrics(Metrics& metrics, const std::string& library) {
  auto nvml = std::make_shared<Nvml>();
  if (!nvml->open(library)) return false;
  auto gpus = std::make_shared<std::vector<Gpu>>();
  for (Device device : nvml->devices()) {
    char name[96] = "";  // NVML_DEVICE_NAME_V2_BUFFER_SIZE
    nvml->name(device, name, sizeof name);
    gpus->emplace_back(metrics, device, MetricLabels{{"gpu", std::to_string(gpus->size())}, {"name", name}});
  }
  if (gpus->empty()) return false;
  metrics.on_collect([nvml, gpus] {
    for (Gpu& gpu : *gpus) gpu.read(*nvml);
  });
  return true;
}

}  // namespace rerank::observe
