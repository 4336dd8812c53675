#include "transport/one_model.h"

namespace rerank::transport {
namespace {

class OneModel : public Catalog {
 public:
  explicit OneModel(Reranker& reranker) : model_(std::shared_ptr<Reranker>(), &reranker) {}

  Result<std::shared_ptr<Reranker>> find(const ModelChoice&) override { return model_; }
  bool knows(std::string_view name) const override { return name == model_->info().id; }
  std::vector<ModelReport> list() const override {
    ModelReport report;
    report.name = model_->info().id;
    report.state = ModelState::kReady;
    report.is_default = true;
    report.answers = model_->ready();
    report.percent = 100;
    report.info = model_->info();
    return {report};
  }
  std::vector<AliasReport> aliases() const override { return {}; }
  Status load(const ModelSpec&) override { return refuse(); }
  Status unload(std::string_view) override { return refuse(); }
  Status set_alias(std::string_view, std::vector<AliasPart>) override { return refuse(); }
  Status set_default(std::string_view) override { return refuse(); }

 private:
  static Status refuse() { return absl::UnimplementedError("this process serves one model, for good"); }

  const std::shared_ptr<Reranker> model_;
};

}  // namespace

std::shared_ptr<Catalog> catalog_of(Reranker& reranker) { return std::make_shared<OneModel>(reranker); }

}  // namespace rerank::transport
