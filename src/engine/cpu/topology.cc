#include "engine/cpu/topology.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

namespace rerank::engine::cpu {
namespace {

constexpr int kMaxCpus = 65536;     // of a list, lest a broken one fill the memory
constexpr size_t kMaxNodes = 1024;  // as Linux has them at most
constexpr int kInterleave = 3;      // MPOL_INTERLEAVE of linux/mempolicy.h

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace

std::vector<int> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int first = 0, last = 0;
    auto read = std::from_chars(at, end, first);
    if (read.ec != std::errc()) break;
    last = first;
    at = read.ptr;
    if (at < end && *at == '-') {
      read = std::from_chars(at + 1, end, last);
      if (read.ec != std::errc()) break;
      at = read.ptr;
    }
    if (first < 0 || last < first || last >= kMaxCpus) break;
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    if (at == end || *at != ',') break;
    ++at;
  }
  return cpus;
}

std::vector<Node> read_nodes(const std::string& root, const std::vector<int>& allowed) {
  std::vector<Node> nodes;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
    const std::string name = entry.path().filename();
    int number = 0;
    if (!name.starts_with("node")) continue;
    const auto read = std::from_chars(name.data() + 4, name.data() + name.size(), number);
    if (read.ec != std::errc() || read.ptr != name.data() + name.size()) continue;
    std::string list;
    std::getline(std::ifstream(entry.path() / "cpulist"), list);
    Node node = {number, {}};
    for (int cpu : parse_cpu_list(list)) {
      if (std::find(allowed.begin(), allowed.end(), cpu) != allowed.end()) node.cpus.push_back(cpu);
    }
    if (!node.cpus.empty()) nodes.push_back(std::move(node));
  }
  std::sort(nodes.begin(), nodes.end(), [](const Node& a, const Node& b) { return a.number < b.number; });
  if (nodes.empty()) nodes.push_back({0, allowed});
  return nodes;
}

const std::vector<Node>& nodes() {
  static const std::vector<Node> kNodes = read_nodes("/sys/devices/system/node", allowed_cpus());
  return kNodes;
}

std::vector<int> cpus_for(const std::vector<Node>& nodes, size_t threads) {
  std::vector<int> all, cpus;
  for (const Node& node : nodes) all.insert(all.end(), node.cpus.begin(), node.cpus.end());
  for (size_t i = 0; i < threads && !all.empty(); ++i) cpus.push_back(all[i % all.size()]);
  return cpus;
}

bool interleave(void* memory, size_t bytes, const std::vector<Node>& nodes) {
  unsigned long mask[kMaxNodes / (8 * sizeof(unsigned long))] = {};
  constexpr size_t kBits = 8 * sizeof(unsigned long);
  for (const Node& node : nodes) {
    const auto number = static_cast<size_t>(node.number);
    if (number < kMaxNodes) mask[number / kBits] |= 1ul << number % kBits;
  }
  return ::syscall(SYS_mbind, memory, bytes, kInterleave, mask, kMaxNodes, 0) == 0;
}

}  // namespace rerank::engine::cpu
