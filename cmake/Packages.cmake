# Everything rerankd stands on, found once. `make setup` installs it (tools/setup.sh); docs/decisions/0001 says why each.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(simdjson REQUIRED)
# Its classes are laid out otherwise without this, which its target sets: every file that includes it must agree.
add_compile_definitions(SIMDJSON_THREADS_ENABLED=1)
find_package(RapidJSON REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(CLI11 REQUIRED)
if(RERANKD_HUB)
  find_package(CURL REQUIRED)
endif()
find_package(ZLIB REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(Boost 1.74 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Protobuf REQUIRED)
if(RERANKD_GRPC)
  pkg_check_modules(GRPC REQUIRED IMPORTED_TARGET grpc++)
  find_library(GRPC_REFLECTION_LIBRARY grpc++_reflection REQUIRED)
  find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
endif()
if(RERANKD_REDIS)
  pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
endif()
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
# libstemmer has no package file of its own.
find_path(STEMMER_INCLUDE_DIR libstemmer.h REQUIRED)
find_library(STEMMER_LIBRARY stemmer REQUIRED)
add_library(stemmer::stemmer UNKNOWN IMPORTED)
set_target_properties(stemmer::stemmer PROPERTIES IMPORTED_LOCATION ${STEMMER_LIBRARY}
                      INTERFACE_INCLUDE_DIRECTORIES ${STEMMER_INCLUDE_DIR})
find_package(Protobuf REQUIRED)
# The protobuf classes of ONNX files; Debian's package has no CMake file for them.
find_library(ONNX_PROTO_LIBRARY onnx_proto REQUIRED)
find_path(ONNX_PROTO_INCLUDE_DIR onnx/onnx_pb.h REQUIRED)
add_library(onnx::proto UNKNOWN IMPORTED)
set_target_properties(onnx::proto PROPERTIES IMPORTED_LOCATION ${ONNX_PROTO_LIBRARY}
                      INTERFACE_INCLUDE_DIRECTORIES ${ONNX_PROTO_INCLUDE_DIR}
                      INTERFACE_COMPILE_DEFINITIONS "ONNX_NAMESPACE=onnx;ONNX_ML=1"
                      INTERFACE_LINK_LIBRARIES protobuf::libprotobuf)
# ONNX Runtime: headers to build against, a library only to run. An official release folder, the system's, or what
# tools/onnxruntime.sh put there; without any the engine is left out.
set(ONNXRUNTIME_ROOT "" CACHE PATH "Folder of an ONNX Runtime release, with include/ and lib/")
set(onnxruntime_places ${ONNXRUNTIME_ROOT} ${PROJECT_SOURCE_DIR}/.deps/onnxruntime)
find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h HINTS ${onnxruntime_places}
          PATH_SUFFIXES include include/onnxruntime onnxruntime)
find_library(ONNXRUNTIME_LIBRARY NAMES onnxruntime libonnxruntime.so HINTS ${onnxruntime_places} PATH_SUFFIXES lib)
if(NOT ONNXRUNTIME_LIBRARY)
  set(ONNXRUNTIME_LIBRARY "")
endif()
if(NOT ONNXRUNTIME_INCLUDE_DIR)
  message(STATUS "Without engine onnx: no headers of ONNX Runtime (tools/setup.sh gets them, or -DONNXRUNTIME_ROOT=DIR)")
endif()
if(RERANKD_TESTS)
  find_package(GTest REQUIRED)
endif()
