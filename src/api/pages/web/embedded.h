// Files of this folder that are inside the binary; written by cmake/Embed.cmake.
#pragma once

#include <string_view>

namespace rerank::api {

extern const std::string_view kIndexHtml;
extern const std::string_view kDocsHtml;
extern const std::string_view kOpenapiSchemas;

}  // namespace rerank::api
