// The recorded models under tests/data/models and what transformers computes for them
// (tools/goldens/make_model_goldens.py).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rerank::testing {

struct GoldenPair {
  std::string query, document;
  std::vector<int32_t> ids, segments;
  double logit = 0;
};

// Folders of all recorded models that score pairs as they are (tests/data/models), sorted by name.
std::vector<std::string> golden_models();
// Of decoders and their like, whose pairs need a prompt (tests/data/decoders, make_decoder_goldens.py): ids only.
std::vector<std::string> decoder_models();

// Of GGUF files (tests/data/gguf, make_gguf_goldens.py).
std::vector<std::string> gguf_models();

std::vector<GoldenPair> read_golden_pairs(const std::string& folder);
// Of a layerwise model: what each layer from the first that has an output gives, of each pair.
std::vector<std::vector<double>> read_golden_outputs(const std::string& folder);

// A request to a model that reads documents together (tests/data/listwise, make_list_goldens.py): its blocks, and what
// its makers' code scores.
struct GoldenBlock {
  size_t tokens = 0, count = 0;  // count: of documents
  std::vector<int32_t> ids;      // empty: of a long one, whose tokens alone are recorded
  std::vector<double> scores;    // within the block; of those that have ids
};
struct GoldenList {
  std::string query;
  std::vector<std::string> documents;
  std::optional<std::string> instruction;
  size_t max_document_tokens = 0, max_query_tokens = 0;
  std::vector<GoldenBlock> blocks;
  std::vector<double> scores;
};
std::string list_model(const std::string& name);  // its folder
std::vector<GoldenList> read_golden_lists(const std::string& folder);

}  // namespace rerank::testing
