// The tokens whose logits are a decoder's score: their numbers, and the head that their rows of the vocabulary make.
#pragma once

#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/safetensors.h"
#include "rerank/status.h"

namespace rerank::model {

// Fills in the numbers of scoring.answers, which must be there, and the labels they make. What the folder says comes
// before what the family does: the LogitScore module of sentence-transformers names numbers. The spelling of an answer
// is looked up in the folder's tokenizer.json; InvalidArgument where it is not one token there.
Status find_answers(const std::string& folder, Scoring& scoring);

// Fills in the numbers of scoring.marks, which must be there; InvalidArgument where tokenizer.json has no such token.
Status find_marks(const std::string& folder, Architecture& architecture);

// [labels, width] in fp32, of answers whose numbers are known and inside `vocabulary` [tokens, width]: the positive
// row, less the negative one; with a softcap the rows of both, negative first.
std::vector<float> answer_rows(const Scoring& scoring, const TensorView& vocabulary);

}  // namespace rerank::model
