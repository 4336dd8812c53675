// Where a prompt that its makers tokenize as one text may be divided: at added tokens, and where no token reaches over,
// whatever the query and the document are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"
#include "text/tokenizer.h"

namespace rerank::text {

// `part` of a template divided where an added token stands: the token alone, and what is between.
std::vector<std::string_view> divided(std::string_view part, const std::vector<ControlToken>& tokens);

// `prompt` (text/prompt.h), without {|}, with {|} where PairEncoder needs one and no token reaches over: between query
// and document, and after the document. That no token reaches over is the pre-tokenizer's doing, not the vocabulary's;
// it is tried with 2,500 pairs of texts on the two sides (letters, digits, marks, blanks, line ends, other scripts).
// InvalidArgument where there is no such place.
Result<std::string> with_cuts(const Tokenizer& tokenizer, std::string_view prompt);

}  // namespace rerank::text
