// A request that memory does not suffice for ends alone.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <new>

#include "rank/rank_test.h"
#include "rerank/reranker.h"

// Large allocations of this program fail while that is asked for.
namespace rerank::rank {

inline std::atomic<size_t> largest_allocation{SIZE_MAX};

// While it lives, allocations above `bytes` throw std::bad_alloc, on all threads.
class ScarceMemory {
 public:
  explicit ScarceMemory(size_t bytes) { largest_allocation = bytes; }
  ~ScarceMemory() { largest_allocation = SIZE_MAX; }
};

}  // namespace rerank::rank

void* operator new(size_t size) {
  void* memory = size > rerank::rank::largest_allocation ? nullptr : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace rerank::rank {
namespace {

TEST(OutOfMemoryTest, EndsOneRequestAndNoOther) {
  const auto reranker = open(bert());
  std::string large;
  while (large.size() < (size_t{4} << 20)) large += "rain in berlin ";
  // At each limit another step is the one that fails: the batch, the pairs, the ids, the text.
  for (const size_t limit : {20u << 10, 100u << 10, 1u << 20}) {
    const auto shared = std::make_shared<SharedQuery>("rain");
    auto query = std::make_shared<RerankRequest>(RerankRequest{.query = large, .documents = {"rain"}});
    auto document = std::make_shared<RerankRequest>(RerankRequest{.query = "rain", .documents = {large, "cat"}});
    auto many = std::make_shared<RerankRequest>(RerankRequest{.query = "rain"});
    for (int i = 0; i < 200; ++i) many->documents.push_back(large.substr(0, 2000));
    auto small = std::make_shared<RerankRequest>(RerankRequest{.query = "rain", .documents = {"rain", "cat"}});
    small->use_cache = many->use_cache = false;
    std::vector<std::future<Result<RerankResponse>>> answers;
    {
      const ScarceMemory scarce(limit);
      for (const auto& request : {query, document, many, small}) {
        auto promise = std::make_shared<std::promise<Result<RerankResponse>>>();
        answers.push_back(promise->get_future());
        reranker->submit(request, [promise](Result<RerankResponse> r) { promise->set_value(std::move(r)); });
        answers.back().wait();
      }
    }
    const auto one = answers[0].get(), two = answers[1].get(), three = answers[2].get(), four = answers[3].get();
    EXPECT_EQ(one.status().code(), absl::StatusCode::kUnavailable) << one.status();
    EXPECT_EQ(two.status().code(), absl::StatusCode::kUnavailable) << two.status();
    EXPECT_TRUE(three.ok() || three.status().code() == absl::StatusCode::kUnavailable) << three.status();
    EXPECT_TRUE(four.ok()) << four.status();
    EXPECT_TRUE(reranker->rerank(*many).ok()) << "all is well afterwards";
  }
}

}  // namespace
}  // namespace rerank::rank
