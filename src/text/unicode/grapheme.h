// Extended grapheme clusters (Unicode UAX #29), the unit in which sentencepiece character maps look at text.
#pragma once

namespace rerank::text {

// The end of the cluster that starts at `p`; `p < end`, and the text is valid UTF-8.
const char* grapheme_end(const char* p, const char* end);

}  // namespace rerank::text
