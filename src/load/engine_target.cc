#include "load/target.h"

namespace rerank::load {
namespace {

class EngineTarget : public Target {
 public:
  explicit EngineTarget(Reranker& reranker) : reranker_(reranker) {}

  void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
    reranker_.submit(std::move(request), [done = std::move(done)](Result<RerankResponse> response) {
      Answer answer;
      answer.status = response.status();
      if (response.ok()) {
        answer.tokens = response->total_tokens;
        const Timings& t = response->timings;
        for (const auto& [name, us] :
             {std::pair("cache", t.cache_us), std::pair("tokenize", t.tokenize_us), std::pair("queue", t.queue_us),
              std::pair("compute", t.compute_us), std::pair("total", t.total_us)}) {
          answer.stages.emplace_back(name, static_cast<double>(us) * 1e-3);
        }
        for (const RankedDocument& r : response->results) answer.results.push_back({r.index, r.score});
      }
      done(std::move(answer));
    });
  }

 private:
  Reranker& reranker_;
};

}  // namespace

std::unique_ptr<Target> engine_target(Reranker& reranker) { return std::make_unique<EngineTarget>(reranker); }

}  // namespace rerank::load
