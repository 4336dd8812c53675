#include "grid.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "emulation.h"

constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim{}, gridDim{};

namespace emulation {
namespace {

constexpr size_t kStackBytes = 128 << 10;

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
  bool there;
};

struct Warp {
  void* brought[kLanes] = {};
  Collective compute = nullptr;
  int arrived = 0;
};

// A thread. Its stack serves one block after another. Switching is by the compiler's longjmp: a few instructions.
using Jump = void* [5];
[[noreturn, gnu::noinline]] void jump_to(Jump& to) { __builtin_longjmp(to, 1); }

struct Fiber {
  enum class State { kReady, kInWarp, kAtBarrier, kDone } state = State::kDone;
  ucontext_t first;
  Jump jump;
  bool started = false;
  void* stack = nullptr;
  uint3 index{};
  size_t number = 0;  // within the block
  Warp* warp = nullptr;
  std::deque<std::vector<Copy>> groups;
  std::vector<Copy> open;
  std::vector<Copy> unshown;           // complete, but not to wgmma
  std::vector<GroupProduct> products;  // of wgmma

  ~Fiber() {
    if (stack != nullptr) munmap(stack, kStackBytes);
  }
};

class Machine {
 public:
  void run(dim3 grid, dim3 block, size_t shared, const std::function<void()>& body) {
    const size_t threads = size_t{block.x} * block.y * block.z;
    if (threads == 0 || threads > 1024 || threads % kLanes != 0) misuse("a block of an odd number of threads");
    while (fibers_.size() < threads) fibers_.push_back(std::make_unique<Fiber>());
    warps_.assign(threads / kLanes, {});
    body_ = &body;
    rising_ = settings().order != Order::kEarly;
    blockDim = block;
    gridDim = grid;
    for (unsigned z = 0; z < grid.z; ++z) {
      for (unsigned y = 0; y < grid.y; ++y) {
        for (unsigned x = 0; x < grid.x; ++x) {
          shared_.assign(shared / sizeof(Line) + 1, Line{});
          std::memset(shared_.data(), 0xff, shared_.size() * sizeof(Line));
          hidden_.assign(shared_size() / 16, false);
          blockIdx = {x, y, z};
          run_block(threads);
        }
      }
    }
  }

  void* shared() { return shared_.data(); }
  size_t shared_size() const { return shared_.size() * sizeof(Line); }
  // Which 16-byte pieces of shared memory wgmma must not read yet.
  std::vector<bool>& hidden() { return hidden_; }
  Fiber& current() { return *current_; }

  [[gnu::noinline]] void wait(Fiber::State state) {
    Fiber& fiber = *current_;
    fiber.state = state;
    if (__builtin_setjmp(fiber.jump) == 0) go_on_behind(fiber);
  }

  void collective(Collective compute, void* mine) {
    Fiber& fiber = *current_;
    Warp& warp = *fiber.warp;
    if (warp.arrived > 0 && warp.compute != compute) misuse("lanes of a warp that do different things together");
    warp.compute = compute;
    warp.brought[fiber.number % kLanes] = mine;
    if (++warp.arrived < kLanes) return wait(Fiber::State::kInWarp);
    compute(warp.brought);
    warp.arrived = 0;
    const size_t first = static_cast<size_t>(&warp - warps_.data()) * kLanes;
    for (size_t i = first; i < first + kLanes; ++i) {
      if (fibers_[i]->state == Fiber::State::kInWarp) fibers_[i]->state = Fiber::State::kReady;
    }
  }

 private:
  struct alignas(1024) Line {
    unsigned char bytes[1024];
  };

  static void enter(unsigned high, unsigned low) {
    auto* machine = reinterpret_cast<Machine*>(uintptr_t{high} << 32 | low);
    for (;;) {
      (*machine->body_)();
      machine->wait(Fiber::State::kDone);
    }
  }

  // The lane after this one where it can run, else whoever the scheduler finds.
  [[noreturn, gnu::noinline]] void go_on_behind(const Fiber& fiber) {
    const int lane = static_cast<int>(fiber.number % kLanes), step = rising_ ? 1 : -1;
    if (lane + step >= 0 && lane + step < kLanes) {
      Fiber& next = *fibers_[fiber.number + step];
      if (next.started && next.state == Fiber::State::kReady) {
        current_ = &next;
        threadIdx = next.index;
        jump_to(next.jump);
      }
    }
    jump_to(scheduler_);
  }

  [[gnu::noinline]] void resume(Fiber& fiber) {
    current_ = &fiber;
    threadIdx = fiber.index;
    if (__builtin_setjmp(scheduler_) != 0) return;
    start_or_go_on(fiber);
  }

  [[gnu::noinline]] void start_or_go_on(Fiber& fiber) {
    if (fiber.started) jump_to(fiber.jump);
    fiber.started = true;
    fiber.stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fiber.stack == MAP_FAILED) misuse("no memory for a thread's stack");
    getcontext(&fiber.first);
    fiber.first.uc_stack = {fiber.stack, 0, kStackBytes};
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&fiber.first, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
    setcontext(&fiber.first);
  }

  void run_block(size_t threads) {
    for (size_t i = 0; i < threads; ++i) {
      Fiber& fiber = *fibers_[i];
      fiber.state = Fiber::State::kReady;
      fiber.number = i;
      fiber.warp = &warps_[i / kLanes];
      fiber.groups.clear();
      fiber.open.clear();
      fiber.unshown.clear();
      fiber.products.clear();
      const unsigned n = static_cast<unsigned>(i);
      fiber.index = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
    }
    for (;;) {
      const size_t warps = threads / kLanes;
      for (size_t w = 0; w < warps; ++w) run_warp(rising_ ? w : warps - 1 - w);
      size_t done = 0, waiting = 0;
      for (size_t i = 0; i < threads; ++i) {
        done += fibers_[i]->state == Fiber::State::kDone;
        waiting += fibers_[i]->state == Fiber::State::kAtBarrier;
      }
      if (done == threads) return;
      if (waiting != threads) misuse("threads that wait for others that have ended or wait for something else");
      for (size_t i = 0; i < threads; ++i) fibers_[i]->state = Fiber::State::kReady;
    }
  }

  // Until none of its lanes can go on.
  void run_warp(size_t warp) {
    for (bool moved = true; moved;) {
      moved = false;
      for (int i = 0; i < kLanes; ++i) {
        const int lane = rising_ ? i : kLanes - 1 - i;
        Fiber& fiber = *fibers_[warp * kLanes + lane];
        if (fiber.state != Fiber::State::kReady) continue;
        resume(fiber);
        moved = true;
      }
    }
  }

  Jump scheduler_;
  bool rising_ = true;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Warp> warps_;
  std::vector<Line> shared_;
  std::vector<bool> hidden_;
  const std::function<void()>* body_ = nullptr;
  Fiber* current_ = nullptr;
};

thread_local Machine* machine = nullptr;

void perform(const std::vector<Copy>& copies) {
  for (const Copy& copy : copies) {
    copy.there ? std::memcpy(copy.to, copy.from, copy.bytes) : std::memset(copy.to, 0, copy.bytes);
    machine->current().unshown.push_back(copy);
  }
}

}  // namespace

void run_grid(dim3 grid, dim3 block, size_t shared, const std::function<void()>& body) {
  static thread_local Machine own;
  machine = &own;
  own.run(grid, block, shared, body);
}

void* dynamic_shared_memory() { return machine->shared(); }

void together(Collective compute, void* mine) { machine->collective(compute, mine); }

void begin_copy(void* to, const void* from, size_t bytes, bool there) {
  const Copy copy{to, from, bytes, there};
  machine->hidden()[place_in_shared(to) / 16] = true;
  if (settings().order == Order::kEarly) return perform({copy});
  machine->current().open.push_back(copy);
}

void commit_copies() {
  Fiber& fiber = machine->current();
  fiber.groups.push_back(std::move(fiber.open));
  fiber.open.clear();
}

void wait_for_copies(size_t groups_left) {
  for (auto& groups = machine->current().groups; groups.size() > groups_left; groups.pop_front())
    perform(groups.front());
}

void show_copies() {
  for (const Copy& copy : std::exchange(machine->current().unshown, {}))
    machine->hidden()[place_in_shared(copy.to) / 16] = false;
}

size_t place_in_shared(const void* address) {
  const auto place = static_cast<size_t>(static_cast<const char*>(address) - static_cast<char*>(machine->shared()));
  if (place >= machine->shared_size()) misuse("an address that is not in shared memory");
  return place;
}

const void* shared_bytes(size_t place, size_t bytes) {
  if (place + bytes > machine->shared_size()) misuse("wgmma: an operand after the end of shared memory");
  if (machine->hidden()[place / 16])
    misuse("wgmma: a copy that has not arrived, or was not shown by fence.proxy.async");
  return static_cast<const char*>(machine->shared()) + place;
}

std::vector<GroupProduct>& begun_products() { return machine->current().products; }

void misuse(const char* what) {
  std::fprintf(stderr, "CUDA, emulated: %s\n", what);
  std::abort();
}

}  // namespace emulation

void __syncthreads() { emulation::machine->wait(emulation::Fiber::State::kAtBarrier); }
