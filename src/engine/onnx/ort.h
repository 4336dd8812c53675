// ONNX Runtime's C++ interface over a library that is loaded at run time. Included by this folder's .cc files only.
#pragma once

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
#undef ORT_API_MANUAL_INIT
