// The directory of a zip file whose entries are stored as they are, as torch.save() writes them: views of their bytes,
// without copying (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string_view>

#include "rerank/status.h"

namespace rerank::model {

using ZipEntries = std::map<std::string_view, std::span<const std::byte>>;

inline constexpr size_t kMaxZipEntries = 100'000;

// Names and bytes point into `file`. InvalidArgument: not a whole zip file, or numbers that do not fit it;
// Unimplemented: entries that are compressed, encrypted or in other files.
Result<ZipEntries> read_zip(std::span<const std::byte> file);

bool looks_like_zip(std::span<const std::byte> file);

}  // namespace rerank::model
