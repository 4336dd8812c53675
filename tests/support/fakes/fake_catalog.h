// A Catalog of fakes, for tests of what stands before it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rerank/catalog.h"
#include "support/fake_reranker.h"

namespace rerank {

// Names are compared as they are; the first model is the default. `errors`: names that find() answers so.
class FakeCatalog : public Catalog {
 public:
  explicit FakeCatalog(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      auto model = std::make_shared<FakeReranker>();
      model->mutable_info().id = name;
      models.push_back(model);
      reports.push_back({});
      reports.back().name = name;
      reports.back().state = ModelState::kReady;
      reports.back().is_default = models.size() == 1;
      reports.back().answers = true;
      reports.back().info = model->info();
    }
  }

  Result<std::shared_ptr<Reranker>> find(const ModelChoice& choice) override {
    last_name = choice.name;
    last_query = choice.query;
    last_wait = choice.wait;
    if (const auto error = errors.find(last_name); error != errors.end()) return error->second;
    for (const auto& model : models) {
      if (model->info().id == choice.name) return std::shared_ptr<Reranker>(model);
    }
    return std::shared_ptr<Reranker>(models.front());
  }
  bool knows(std::string_view name) const override {
    for (const auto& model : models) {
      if (model->info().id == name) return true;
    }
    return false;
  }
  std::vector<ModelReport> list() const override { return reports; }
  std::vector<AliasReport> aliases() const override { return alias_reports; }
  Status load(const ModelSpec& spec) override {
    asked.push_back("load " + spec.options.source.model + " as " + spec.options.source.served_model_name);
    return result;
  }
  Status unload(std::string_view name) override {
    asked.push_back("unload " + std::string(name));
    return result;
  }
  Status set_alias(std::string_view alias, std::vector<AliasPart> parts) override {
    asked.push_back("alias " + std::string(alias));
    for (const AliasPart& part : parts)
      asked.back() += " " + part.model + "=" + std::to_string(part.share).substr(0, 4);
    return result;
  }
  Status set_default(std::string_view name) override {
    asked.push_back("default " + std::string(name));
    return result;
  }

  std::vector<std::shared_ptr<FakeReranker>> models;
  std::vector<ModelReport> reports;
  std::vector<AliasReport> alias_reports;
  std::map<std::string, Status> errors;
  std::vector<std::string> asked;  // of the methods that change something
  Status result;                   // theirs
  std::string last_name, last_query;
  bool last_wait = false;
};

}  // namespace rerank
