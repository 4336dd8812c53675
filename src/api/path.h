// Which route a request's target names, whatever prefix a client or a proxy puts before it.
#pragma once

#include <string>
#include <string_view>

namespace rerank::api {

// The path of a target ("/a//b/?x" or "http://host/a/b"): no query string, no repeated and no trailing slashes, and
// letters that are escaped without need ("%72") as themselves. "" for "/".
std::string normalise_path(std::string_view target);

// `pattern` is one of: "/" (the root itself); "a" or "a/b" (the last segments, in upper or lower case); "a/*" (a
// segment `a` with something after it).
bool path_matches(std::string_view path, std::string_view pattern);

}  // namespace rerank::api
