# rerank_embed(<target> <file> <room> <symbol>): the bytes of a text file as `const std::string_view rerank::<room>::<symbol>`.
function(rerank_embed target file room symbol)
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(READ ${source} content)
  set(made ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.cc)
  file(CONFIGURE OUTPUT ${made} @ONLY CONTENT [[#include <string_view>
namespace rerank::@room@ {
extern const std::string_view @symbol@;
const std::string_view @symbol@ = R"~~~(@content@)~~~";
}  // namespace rerank::@room@
]])
  target_sources(${target} PRIVATE ${made})
endfunction()
