// A library with the symbols of NVIDIA's NVML that rerankd asks for, and one GPU that is not there.
#include <cstring>

extern "C" {
int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
int nvmlDeviceGetCount_v2(unsigned* count) { return *count = 1, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  static int gpu;
  *device = &gpu;
  return index == 0 ? 0 : 2;
}
int nvmlDeviceGetName(void*, char* name, unsigned length) { return std::strncpy(name, "Fake GPU", length), 0; }
int nvmlDeviceGetUtilizationRates(void*, unsigned* rates) { return rates[0] = 42, rates[1] = 17, 0; }
int nvmlDeviceGetMemoryInfo(void*, unsigned long long* bytes) {
  return bytes[0] = 10000000, bytes[1] = 7000000, bytes[2] = 3000000, 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) { return *milliwatts = 250000, 0; }
int nvmlDeviceGetTemperature(void*, int, unsigned* celsius) { return *celsius = 61, 0; }
}
