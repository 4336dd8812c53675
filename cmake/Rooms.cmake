# A room is one folder of src/ and one static library, `rerank_<name>`. Its sources are the .cc files of its folder and of
# the folders in it that FOLDERS names; the *_test.cc files among them become one test program, `<name>_test`. What a room
# may include is ARCHITECTURE.md's table; tests/architecture holds them together.

# rerank_room(<name> [FOLDERS <folder>...] [LINKS <target>...] [PRIVATE_LINKS <target>...] [TEST_LINKS <target>...])
function(rerank_room name)
  cmake_parse_arguments(ARG "" "" "FOLDERS;LINKS;PRIVATE_LINKS;TEST_LINKS" ${ARGN})
  rerank_library(${name} FOLDERS . ${ARG_FOLDERS} LINKS ${ARG_LINKS} PRIVATE_LINKS ${ARG_PRIVATE_LINKS})
  rerank_room_tests(${name} FOLDERS . ${ARG_FOLDERS} LINKS ${ARG_TEST_LINKS})
endfunction()

# rerank_library(<name> FOLDERS <folder>... [LINKS <target>...] [PRIVATE_LINKS <target>...]): a room, or a part of one,
# without its tests.
function(rerank_library name)
  cmake_parse_arguments(ARG "" "" "FOLDERS;LINKS;PRIVATE_LINKS" ${ARGN})
  list(TRANSFORM ARG_FOLDERS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE patterns)
  list(TRANSFORM patterns APPEND /*.cc)
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  add_library(rerank_${name} STATIC ${sources})
  target_include_directories(rerank_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(rerank_${name} PUBLIC ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS})
endfunction()

# rerank_without(<name> <source> [<source>...]): the room is built without these and what they need; absent/ beside the first has a file of
# its name, which says so to users.
function(rerank_without name source)
  get_target_property(sources rerank_${name} SOURCES)
  foreach(left_out ${source} ${ARGN})
    list(FILTER sources EXCLUDE REGEX "/${left_out}$")
  endforeach()
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR}/${source} DIRECTORY)
  get_filename_component(file ${source} NAME)
  list(APPEND sources ${folder}/absent/${file})
  set_target_properties(rerank_${name} PROPERTIES SOURCES "${sources}")
endfunction()

# rerank_room_tests(<name> FOLDERS <folder>... [LINKS <target>...]): the tests beside a room's sources.
function(rerank_room_tests name)
  cmake_parse_arguments(ARG "" "" "FOLDERS;LINKS" ${ARGN})
  list(TRANSFORM ARG_FOLDERS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE patterns)
  list(TRANSFORM patterns APPEND /*_test.cc)
  file(GLOB tests CONFIGURE_DEPENDS ${patterns})
  if(RERANKD_TESTS AND tests)
    rerank_test(${name}_test SOURCES ${tests} LINKS rerank_${name} ${ARG_LINKS})
  endif()
endfunction()

# Written behind a test's time limit in seconds: builds for debugging and sanitizers have ten times as long.
if(CMAKE_BUILD_TYPE STREQUAL Debug OR RERANKD_SANITIZE)
  set(RERANKD_SLOW 0)
endif()

# rerank_test(<name> SOURCES <file>... [LINKS <target>...] [ENVIRONMENT <VAR=value>...]): one GoogleTest program, one CTest entry.
function(rerank_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;ENVIRONMENT" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE -O0)  # half the time to compile; what is tested lies in the rooms, and is optimised
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE RERANKD_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  # Temporary files of this build: the tests of two checkouts may run at once.
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/tmp)
  set_tests_properties(${name} PROPERTIES TIMEOUT 900${RERANKD_SLOW}
    ENVIRONMENT "TEST_TMPDIR=${PROJECT_BINARY_DIR}/tmp;${ARG_ENVIRONMENT}")
endfunction()
