// Several models for one request: the first ranks its documents, the next one the best of those, and so on.
//
// The documents of the last stage come first, with its logits. After them come those that only an earlier stage has
// scored, in its order, and last those that none has, in the request's. Their logits are that stage's, moved below all
// that stand before them: so the order of scores is the order of results. What each stage said is in
// RerankResponse::stages.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/catalog.h"

namespace rerank::serve {

struct CascadeStage {
  std::string model;     // a name that the catalog knows
  size_t documents = 0;  // that it scores: the best so many of the stage before, the request's first at the first
                         // stage; 0: all
};

struct CascadeSpec {
  std::string name;
  std::vector<CascadeStage> stages;
};

// "[NAME=]MODEL[:N],MODEL:N,...". InvalidArgument: fewer than two stages, or one that scores more than the one before.
Result<CascadeSpec> parse_cascade(std::string_view text);

// InvalidArgument when stages that are loaded cut long documents in different ways: the second would judge other parts
// of a document than the first has picked it for.
Status check_truncation(const CascadeSpec& spec, Catalog& catalog);

// Finds its models for each request, by name. The catalog outlives it.
std::shared_ptr<Reranker> make_cascade(const CascadeSpec& spec, Catalog& catalog);

}  // namespace rerank::serve
