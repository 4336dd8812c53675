// How much memory there is.
#pragma once

#include <cstddef>

namespace rerank {

// What this process may use: the machine's memory, or less where its control group, or one above it, says so. Bytes.
size_t usable_memory();

}  // namespace rerank
