// The NUMA nodes of this machine and the CPUs of each, as Linux tells them in /sys, and what follows from them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rerank::engine::cpu {

struct Node {
  int number = 0;
  std::vector<int> cpus;  // ascending; those that this process may use
};

// "0-3,8,10-11" -> 0 1 2 3 8 10 11. What is no such list ends it.
std::vector<int> parse_cpu_list(std::string_view text);

// Nodes that have any of the `allowed` CPUs, in the order of their numbers; one node with all of them where `root`
// (/sys/devices/system/node) tells none.
std::vector<Node> read_nodes(const std::string& root, const std::vector<int>& allowed);

// Those of this process: its affinity mask over /sys. Read once.
const std::vector<Node>& nodes();

// A CPU for each thread: node after node, so that few threads share one node's memory; over again where there are more
// threads than CPUs.
std::vector<int> cpus_for(const std::vector<Node>& nodes, size_t threads);

// Spreads pages that have not been touched yet over the nodes; false where the kernel refuses, which costs speed only.
bool interleave(void* memory, size_t bytes, const std::vector<Node>& nodes);

}  // namespace rerank::engine::cpu
