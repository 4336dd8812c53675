// A model by its name: whichever a catalog has under it when a request comes.
#pragma once

#include <string>
#include <utility>

#include "base/status_macros.h"
#include "rerank/catalog.h"

namespace rerank::serve {

class Delegate : public Reranker {
 public:
  // The catalog outlives it.
  Delegate(Catalog& catalog, std::string name) : catalog_(catalog), name_(std::move(name)) { info_.id = name_; }

  void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
    const auto model = catalog_.find({name_, request->query_text()});
    if (!model.ok()) return done(model.status());
    Reranker& reranker = **model;
    reranker.submit(std::move(request), [model = *model, done = std::move(done)](Result<RerankResponse> result) {
      done(std::move(result));
    });
  }
  std::vector<Token> tokenize(std::string_view text, bool add_special_tokens) const override {
    const auto model = catalog_.find({name_, "", /*wait=*/false});
    return model.ok() ? (*model)->tokenize(text, add_special_tokens) : std::vector<Token>();
  }
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special_tokens) const override {
    ASSIGN_OR_RETURN(const auto model, catalog_.find({name_, "", /*wait=*/false}));
    return model->decode(ids, skip_special_tokens);
  }
  const ModelInfo& info() const override { return info_; }  // the name alone
  bool ready() const override {
    const auto model = catalog_.find({name_, "", /*wait=*/false});
    return model.ok() && (*model)->ready();
  }

 private:
  Catalog& catalog_;
  const std::string name_;
  ModelInfo info_;
};

}  // namespace rerank::serve
