#include "model/hub/owners.h"

#include <utility>

#include "base/strings.h"

namespace rerank::model::hub {

std::string with_owner(std::string_view name) {
  // The hub's few models without an owner are none of these.
  static constexpr std::pair<std::string_view, std::string_view> kOwners[] = {
      {"bge-reranker-", "BAAI"},          {"gte-", "Alibaba-NLP"},
      {"jina-reranker-", "jinaai"},       {"ms-marco-", "cross-encoder"},
      {"mxbai-rerank-", "mixedbread-ai"}, {"Qwen3-Reranker-", "Qwen"},
  };
  for (const auto& [begin, owner] : kOwners)
    if (name.starts_with(begin)) return str_cat(owner, "/", name);
  return "";
}

}  // namespace rerank::model::hub
