// Which rectangles a model's programs are compiled for. Pure.
#pragma once

#include <string>
#include <vector>

#include "engine/pjrt/stablehlo/forward.h"
#include "rerank/status.h"

namespace rerank::engine::pjrt {

// In the order of compiling: the first holds one sequence of `longest` tokens, so that any can be computed, the second
// is meant for most of the work. Lengths are powers of two from 64 on; for each a block of few tokens and one of many,
// larger on a device of its own.
std::vector<Rectangle> default_shapes(size_t longest, bool offloads);

// "8x128,1x512" -> rows x length, the longest first. InvalidArgument for what is none, for a length over `limit`, or
// for more than a device could be meant to hold.
Result<std::vector<Rectangle>> parse_shapes(const std::string& text, size_t limit);

// "1x512, 64x128"
std::string shapes_text(const std::vector<Rectangle>& shapes);

}  // namespace rerank::engine::pjrt
