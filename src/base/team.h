// A fixed team of threads that runs loops together. The caller is a member: a team of one has no threads and costs
// nothing. One loop at a time: whoever else calls run() waits. Loop bodies must not start loops of the same team.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rerank {

class Team {
 public:
  // `cpus`: the one that each thread stays on, the caller of run() too, which is the first; empty: where they like.
  explicit Team(size_t threads, std::vector<int> cpus = {});
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  size_t size() const;

  // Calls body(task, member) for every task in [0, tasks), spread over the members (0 is the caller); returns when all
  // are done. Tasks are handed out one by one, in order.
  void run(size_t tasks, const std::function<void(size_t task, size_t member)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// CPUs that the quotas of a process's cgroups (version 1 or 2, mounted at `root`; `membership` as in /proc/self/cgroup)
// allow, rounded up; 0: no limit.
size_t cgroup_threads(const std::string& root, const std::string& membership);

// Threads this process may run at once: the CPU affinity mask, bounded by the cgroup's CPU quota (rounded up), at
// least 1.
size_t available_threads();

}  // namespace rerank
