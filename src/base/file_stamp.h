// Tells a file that has changed from the one that was read.
#pragma once

#include <string>

namespace rerank {

// Its time, size and inode; "gone" when there is none.
std::string file_stamp(const std::string& path);

}  // namespace rerank
