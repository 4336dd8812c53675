# Compiler settings shared by every target, and the tools that make two cores enough.
# ccache sees paths relative to the checkout, so that another clone or worktree finds what this one compiled.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD AND NOT CMAKE_CROSSCOMPILING)  # where a cross compiler does not look for it
  add_link_options(-fuse-ld=mold)
endif()

# -Wrestrict: g++ 12 sees overlaps in std::string's operator+ that there are not (GCC bug 105651).
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra>
                    $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(RERANKD_WERROR)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
# Not _GLIBCXX_DEBUG: its containers are laid out otherwise than those that Debian's libraries take and return.
add_compile_options($<$<CONFIG:Debug>:-O0>)
add_compile_definitions($<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
# What src/base/system/condition_variable.cc says: with it, programs run where libstdc++ is of GCC 11.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64)$" AND CMAKE_CXX_COMPILER_ID STREQUAL GNU AND NOT RERANKD_SANITIZE)
  set(RERANKD_OLD_LIBSTDCXX -Wl,--wrap=_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE)
endif()
if(RERANKD_SANITIZE)
  add_compile_options(-fsanitize=${RERANKD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${RERANKD_SANITIZE})
endif()
if(RERANKD_FUZZ)
  # Counters of edges in every room; libFuzzer itself is linked to its programs only. Abseil's and gtest's headers have
  # warnings of clang's own.
  add_compile_options(-fsanitize=fuzzer-no-link -O1 -Wno-everything
                      -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/tools/campaign/ignored.txt)
endif()
