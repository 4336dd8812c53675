// Regular expressions in Oniguruma's Ruby syntax, written anew for PCRE2. What both write alike goes through as it is.
// Source: Oniguruma doc/RE; pcre2pattern(3).
#pragma once

#include <string>
#include <string_view>

#include "rerank/status.h"

namespace rerank::text {

// `pattern` for pcre2_compile with PCRE2_UTF, PCRE2_UCP and PCRE2_MULTILINE. Unimplemented for what PCRE2 10.42 cannot
// say (intersections and sets in sets).
Result<std::string> pcre2_syntax(std::string_view pattern);

// `text` with every character whose general category PCRE2's tables do not know as Oniguruma's do replaced by one of
// the same category and the same number of bytes. Returns `text` itself when there is none, else a view of `storage`.
std::string_view pcre2_text(std::string_view text, std::string& storage);

}  // namespace rerank::text
