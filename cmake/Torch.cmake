# libtorch for --engine torchscript, optional: of CMAKE_PREFIX_PATH, or of a Python environment of this checkout
# (.venv-train, .venv-peers). Not by TorchConfig.cmake, which wants a whole CUDA toolkit where the wheel was built with
# one; the CPU part needs none. Not cached: such an environment may be gone at the next configure.
file(GLOB torch_environments ${PROJECT_SOURCE_DIR}/.venv-*/lib/python3*/site-packages/torch)
set(torch_places ${torch_environments})
foreach(prefix ${CMAKE_PREFIX_PATH})
  list(APPEND torch_places ${prefix} ${prefix}/../.. ${prefix}/lib/python3/dist-packages/torch)
endforeach()
find_path(TORCH_INCLUDE_DIR torch/script.h NO_CACHE HINTS ${torch_places} PATH_SUFFIXES include)
find_library(TORCH_CPU_LIBRARY torch_cpu NO_CACHE HINTS ${torch_places} PATH_SUFFIXES lib)
find_library(TORCH_C10_LIBRARY c10 NO_CACHE HINTS ${torch_places} PATH_SUFFIXES lib)
if(TORCH_INCLUDE_DIR AND TORCH_CPU_LIBRARY AND TORCH_C10_LIBRARY)
  set(RERANKD_WITH_TORCH ON)
  # When it is gone, a build configures anew instead of failing.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${TORCH_CPU_LIBRARY} ${TORCH_C10_LIBRARY})
else()
  set(RERANKD_WITH_TORCH OFF)
  message(STATUS "Without engine torchscript: no libtorch (.venv-train, or -DCMAKE_PREFIX_PATH=.../torch)")
endif()
