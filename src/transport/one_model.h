// A catalog of one model, which somebody else owns and which outlives it: for a process that serves no more.
#pragma once

#include <memory>

#include "rerank/catalog.h"

namespace rerank::transport {

// Every name is the model's. Nothing can be loaded, unloaded or renamed: Unimplemented.
std::shared_ptr<Catalog> catalog_of(Reranker& reranker);

}  // namespace rerank::transport
