// NUMA nodes and pinned threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/team.h"
#include "engine/cpu/topology.h"
#include "engine/cpu/weights/weight_store.h"

namespace rerank::engine::cpu {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(TopologyTest, ListsOfCpus) {
  EXPECT_THAT(parse_cpu_list("0-3,8,10-11"), ElementsAre(0, 1, 2, 3, 8, 10, 11));
  EXPECT_THAT(parse_cpu_list("5\n"), ElementsAre(5));
  for (const char* nothing : {"", "\n", "-1", "3-1", "x", "0-99999999"})
    EXPECT_THAT(parse_cpu_list(nothing), IsEmpty());
  EXPECT_THAT(parse_cpu_list("1,2-"), ElementsAre(1));
}

TEST(TopologyTest, NodesOfATreeOfFiles) {
  const std::string root = ::testing::TempDir() + "nodes";
  const auto write = [&](const std::string& node, const std::string& list) {
    std::filesystem::create_directories(root + "/" + node);
    std::ofstream(root + "/" + node + "/cpulist") << list << "\n";
  };
  write("node0", "0-3,8-11");
  write("node1", "4-7,12-15");
  write("node2", "");  // memory without CPUs
  write("node10", "16-17");
  write("nodes", "0");
  std::ofstream(root + "/online") << "0-2,10\n";
  const auto nodes = read_nodes(root, {1, 2, 4, 5, 6, 16});  // what a cpuset leaves
  ASSERT_EQ(nodes.size(), 3u);
  EXPECT_EQ(nodes[2].number, 10);
  EXPECT_THAT(nodes[0].cpus, ElementsAre(1, 2));
  EXPECT_THAT(nodes[1].cpus, ElementsAre(4, 5, 6));
  EXPECT_THAT(cpus_for(nodes, 3), ElementsAre(1, 2, 4));
  EXPECT_THAT(cpus_for(nodes, 8), ElementsAre(1, 2, 4, 5, 6, 16, 1, 2));
  const auto none = read_nodes(root + "/none", {0, 3});
  ASSERT_EQ(none.size(), 1u);
  EXPECT_THAT(none[0].cpus, ElementsAre(0, 3));
}

TEST(TopologyTest, ThisMachineHasANodeAndItsMemoryCanBeUsed) {
  ASSERT_FALSE(nodes().empty());
  WeightMemory memory(3 << 20);
  interleave(memory.data(), 3 << 20, nodes());  // may be refused, as in containers: costs speed only
  memory.data()[0] = memory.data()[(3 << 20) - 1] = std::byte{1};
}

TEST(TeamTest, PinnedThreadsStayOnTheirCpu) {
  const std::vector<int> cpus = cpus_for(nodes(), 3);
  std::thread([&] {  // a caller that may be pinned
    Team team(3, cpus);
    std::vector<int> counts(3, 0);
    std::vector<int> found(3, -1);
    for (int round = 0; round < 100; ++round) {
      team.run(64, [&](size_t, size_t member) {
        cpu_set_t set;
        CPU_ZERO(&set);
        ASSERT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
        counts[member] = CPU_COUNT(&set);
        for (int cpu : cpus) {
          if (CPU_ISSET(cpu, &set)) found[member] = cpu;
        }
      });
    }
    for (size_t member = 0; member < 3; ++member) {
      if (found[member] == -1) continue;  // it came to no task
      EXPECT_EQ(counts[member], 1) << member;
      EXPECT_EQ(found[member], cpus[member]) << member;
    }
    EXPECT_EQ(counts[0], 1);
  })
      .join();
}

}  // namespace
}  // namespace rerank::engine::cpu
