// JSON as Python's json module and others write it, made into what JSON is: for files that people have, not for
// requests.
#pragma once

#include <string>
#include <string_view>

namespace rerank {

// Without a byte order mark; integers beyond 64 bits as doubles; NaN, Infinity, -Infinity and numbers beyond double as
// strings of the same letters, so that whoever reads such a field as a number says what is there, and whoever does not
// read it never knows. What is inside strings stays as it is.
std::string standard_json(std::string_view text);

}  // namespace rerank
