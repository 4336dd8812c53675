#include "observe/process_metrics.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

namespace rerank::observe {
namespace {

// The fields of /proc/self/stat after the program's name, as proc(5) numbers them from 3.
std::vector<std::string> stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == line.npos) return {};
  std::istringstream rest(line.substr(name_end + 1));
  return {std::istream_iterator<std::string>(rest), {}};
}

double number(const std::vector<std::string>& fields, size_t proc_number) {
  return proc_number - 3 < fields.size() ? std::strtod(fields[proc_number - 3].c_str(), nullptr) : 0;
}

double boot_seconds() {
  std::ifstream file("/proc/stat");
  for (std::string word; file >> word;) {
    double seconds = 0;
    if (word == "btime" && file >> seconds) return seconds;
  }
  return 0;
}

double open_files() {
  std::error_code code;
  double count = 0;
  for (auto it = std::filesystem::directory_iterator("/proc/self/fd", code);
       it != std::filesystem::directory_iterator(); it.increment(code)) {
    ++count;
  }
  return count > 0 ? count - 1 : 0;  // the one this loop reads by
}

struct ProcessMetrics {
  explicit ProcessMetrics(Metrics& m)
      : cpu(m.counter("process_cpu_seconds_total", "CPU time of this process, user and system.")),
        resident(m.gauge("process_resident_memory_bytes", "Memory of this process that is in RAM.")),
        virtual_memory(m.gauge("process_virtual_memory_bytes", "Address space of this process.")),
        start(m.gauge("process_start_time_seconds", "When this process started, in seconds since 1970.")),
        files(m.gauge("process_open_fds", "Open files and sockets.")),
        threads(m.gauge("process_threads", "Threads of this process.")) {
    start.set(boot_seconds() + number(stat_fields(), 22) / ticks);
  }

  void read() {
    const auto fields = stat_fields();
    const std::lock_guard lock(mutex);
    const double seconds = (number(fields, 14) + number(fields, 15)) / ticks;
    if (seconds > counted) cpu.add(seconds - counted), counted = seconds;
    threads.set(number(fields, 20));
    virtual_memory.set(number(fields, 23));
    resident.set(number(fields, 24) * static_cast<double>(sysconf(_SC_PAGESIZE)));
    files.set(open_files());
  }

  Counter& cpu;
  Gauge &resident, &virtual_memory, &start, &files, &threads;
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  std::mutex mutex;
  double counted = 0;
};

}  // namespace

void add_process_metrics(Metrics& metrics) {
  metrics.on_collect([process = std::make_shared<ProcessMetrics>(metrics)] { process->read(); });
}

}  // namespace rerank::observe
