// What somebody who mistyped a name probably meant.
#pragma once

#include <span>
#include <string_view>

namespace rerank {

// The name that the fewest edits turn `text` into (letters added, left out, changed or swapped with their neighbour;
// case and "_" for "-" are none), or one that `text` begins; empty where that would be more than a third of its
// letters. The first of equals.
std::string_view nearest(std::string_view text, std::span<const std::string_view> names);

}  // namespace rerank
