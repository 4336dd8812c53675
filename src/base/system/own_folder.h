// Where this code lies on disk, for files that are installed beside it.
#pragma once

#include <filesystem>

namespace rerank {

// The folder of the program, or of librerank.so when that holds this code. Empty where the system does not say.
std::filesystem::path own_folder();

}  // namespace rerank
