# rerank_embed(<target> <file> <symbol>): the bytes of a text file as `const std::string_view rerank::<symbol>`.
function(rerank_embed target file symbol)
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(READ ${source} content)
  set(made ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.cc)
  file(CONFIGURE OUTPUT ${made} @ONLY CONTENT [[#include <string_view>
namespace rerank {
extern const std::string_view @symbol@;
const std::string_view @symbol@ = R"~~~(@content@)~~~";
}  // namespace rerank
]])
  target_sources(${target} PRIVATE ${made})
endfunction()
