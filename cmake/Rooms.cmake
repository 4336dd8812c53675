# A room is one folder of src/ and one static library, `rerank_<name>`. Its sources are the .cc files of its folder; the
# *_test.cc files beside them become one test program, `<name>_test`. A room may include only what it links.

# rerank_room(<name> [LINKS <target>...] [PRIVATE_LINKS <target>...] [TEST_LINKS <target>...])
function(rerank_room name)
  cmake_parse_arguments(ARG "" "" "LINKS;PRIVATE_LINKS;TEST_LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  add_library(rerank_${name} STATIC ${sources})
  target_include_directories(rerank_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(rerank_${name} PUBLIC ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
  if(RERANKD_TESTS AND tests)
    rerank_test(${name}_test SOURCES ${tests} LINKS rerank_${name} ${ARG_TEST_LINKS})
  endif()
endfunction()

# rerank_test(<name> SOURCES <file>... [LINKS <target>...] [ENVIRONMENT <VAR=value>...]): one GoogleTest program, one CTest entry.
function(rerank_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;ENVIRONMENT" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE -O0)  # half the time to compile; what is tested lies in the rooms, and is optimised
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE RERANKD_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 900 ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()
