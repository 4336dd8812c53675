// Tables as text.
#pragma once

#include <string>
#include <vector>

namespace rerank::eval {

using Rows = std::vector<std::vector<std::string>>;
enum class FirstColumn { kLeft, kRight };

// A line for each row, columns as wide as their widest cell, two blanks between them; all but the first to the right.
std::string aligned(const Rows& rows, FirstColumn first);

}  // namespace rerank::eval
