#include "base/team.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace rerank {
namespace {

// How often a member looks for new work before it sleeps: about 20 us, longer than the gap between two loops of one
// forward pass, shorter than anything an operator would see as load.
constexpr int kSpins = 2000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

struct Team::State {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<uint64_t> generation{0};  // raised once per loop
  std::atomic<bool> stopping{false};

  const std::function<void(size_t, size_t)>* body = nullptr;
  size_t tasks = 0;
  std::atomic<size_t> next{0};
  std::atomic<size_t> working{0};  // members that have not finished this loop

  std::mutex running;  // held by whoever runs a loop

  std::vector<int> cpus;   // by member; empty: not pinned
  std::thread::id caller;  // pinned last

  // A refusal (a CPU taken away since) leaves the thread where it was: slower, not wrong.
  void pin(size_t member) const {
    if (member >= cpus.size() || cpus[member] >= CPU_SETSIZE) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpus[member], &set);
    ::sched_setaffinity(0, sizeof set, &set);
  }
  void pin_caller() {
    if (cpus.empty() || caller == std::this_thread::get_id()) return;
    caller = std::this_thread::get_id();
    pin(0);
  }

  void work(size_t member) {
    for (size_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) (*body)(task, member);
  }

  void serve(size_t member) {
    uint64_t seen = 0;
    while (true) {
      for (int i = 0; i < kSpins && generation.load(std::memory_order_acquire) == seen && !stopping.load(); ++i)
        relax();
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen || stopping.load(); });
      }
      if (stopping.load()) return;
      seen = generation.load(std::memory_order_acquire);
      work(member);
      working.fetch_sub(1, std::memory_order_release);
    }
  }
};

Team::Team(size_t threads, std::vector<int> cpus) : state_(std::make_unique<State>()) {
  state_->cpus = std::move(cpus);
  for (size_t i = 1; i < threads; ++i) {
    state_->threads.emplace_back([this, i] {
      state_->pin(i);
      state_->serve(i);
    });
  }
}

Team::~Team() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping.store(true);
  }
  state_->wake.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

size_t Team::size() const { return state_->threads.size() + 1; }

void Team::run(size_t tasks, const std::function<void(size_t, size_t)>& body) {
  const std::lock_guard running(state_->running);
  state_->pin_caller();
  if (state_->threads.empty() || tasks <= 1) {
    for (size_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  state_->body = &body;
  state_->tasks = tasks;
  state_->next.store(0, std::memory_order_relaxed);
  state_->working.store(state_->threads.size(), std::memory_order_relaxed);
  {
    std::lock_guard lock(state_->mutex);
    state_->generation.fetch_add(1, std::memory_order_release);
  }
  state_->wake.notify_all();
  state_->work(0);
  // Others finish their last task soon after; yielding keeps this fair where threads outnumber cores.
  for (int i = 0; state_->working.load(std::memory_order_acquire) != 0; ++i)
    i < kSpins ? relax() : std::this_thread::yield();
}

namespace {

// CPUs that one cgroup's quota allows, rounded up; 0: no limit. Version 2 has "<quota> <period>" in microseconds, or
// "max", in one file; version 1 two files, with -1 for no limit.
size_t quota_of(const std::string& folder) {
  std::string quota, period;
  if (std::ifstream file(folder + "/cpu.max"); !(file >> quota >> period)) {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  const double q = std::strtod(quota.c_str(), nullptr), p = std::strtod(period.c_str(), nullptr);
  return q > 0 && p > 0 ? static_cast<size_t>(std::ceil(q / p)) : 0;  // "max" reads as 0
}

}  // namespace

size_t cgroup_threads(const std::string& root, const std::string& membership) {
  size_t least = 0;
  auto take = [&](const std::string& folder) {
    if (const size_t quota = quota_of(folder); quota != 0) least = least == 0 ? quota : std::min(least, quota);
  };
  take(root);
  take(root + "/cpu");
  // Lines "<number>:<controllers>:<path>"; every group on the way up may have a quota. Within a container the path
  // may be the host's, and then is not there.
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers.find("cpu") == std::string::npos) continue;
    for (std::string path = line.substr(second + 1); path.starts_with('/') && path.size() > 1;
         path.resize(path.rfind('/'))) {
      take(root + (controllers.empty() ? "" : "/cpu") + path);
    }
  }
  return least;
}

size_t available_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  size_t count = std::max(1u, std::thread::hardware_concurrency());
  if (::sched_getaffinity(0, sizeof set, &set) == 0) count = std::max(1, CPU_COUNT(&set));
  std::ostringstream membership;
  membership << std::ifstream("/proc/self/cgroup").rdbuf();
  const size_t limit = cgroup_threads("/sys/fs/cgroup", membership.str());
  return limit == 0 ? count : std::min(count, limit);
}

}  // namespace rerank
