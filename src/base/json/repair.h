// Makes JSON that clients send, and that Python writes, into JSON that a strict parser takes. Only for what it has
// refused: both are slow.
#pragma once

#include <string>
#include <string_view>

namespace rerank {

// Text with bytes that are not UTF-8 replaced by U+FFFD; with `escapes`, also JSON's escapes of lone surrogates.
std::string repair_text(std::string_view text, bool escapes);

// JSON with integers beyond 18 digits written as doubles, and numbers beyond double as the largest there is. What is no
// number stays as it is.
std::string repair_numbers(std::string_view json);

}  // namespace rerank
