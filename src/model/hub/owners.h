// Who publishes the rerankers that people name without an owner.
#pragma once

#include <string>
#include <string_view>

namespace rerank::model::hub {

// "bge-reranker-v2-m3" -> "BAAI/bge-reranker-v2-m3"; empty where the name has an owner, or none is known.
std::string with_owner(std::string_view name);

}  // namespace rerank::model::hub
