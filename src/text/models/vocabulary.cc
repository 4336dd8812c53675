#include "text/models/vocabulary.h"

namespace rerank::text {
namespace {

constexpr size_t kBlockBytes = 64 << 10;

}  // namespace

std::string_view Vocabulary::keep(std::string_view token) {
  if (storage_.empty() || storage_.back().capacity() - storage_.back().size() < token.size()) {
    storage_.emplace_back();
    storage_.back().reserve(std::max(kBlockBytes, token.size()));
  }
  std::string& block = storage_.back();
  const size_t start = block.size();
  block += token;
  return std::string_view(block).substr(start);
}

void Vocabulary::set(std::string_view token, int32_t id) {
  auto it = ids_.find(token);
  if (it == ids_.end()) {
    it = ids_.emplace(keep(token), id).first;
  } else {
    it->second = id;
  }
  if (size_t(id) >= texts_.size()) texts_.resize(id + 1);
  texts_[id] = it->first;
}

}  // namespace rerank::text
