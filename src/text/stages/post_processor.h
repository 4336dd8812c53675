// The `post_processor` of tokenizer.json, read into a PairTemplate.
#pragma once

#include "base/json/reader.h"
#include "rerank/status.h"
#include "text/pair.h"

namespace rerank::text {

// JSON null gives the template without special tokens. ByteLevel adds nothing to ids; a Sequence may have one processor
// that does.
Result<PairTemplate> parse_post_processor(const JsonField& json);

}  // namespace rerank::text
