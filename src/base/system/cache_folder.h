// Folders of files that can be made again: what is used least goes when there is too much.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rerank {

// Deletes the least recently used files ending in `suffix` until `needed` more bytes fit into `max_bytes`; and those
// ending in `temporary` that are older than a day, which crashed writers have left. What cannot be deleted stays.
void make_room(const std::string& folder, std::string_view suffix, std::string_view temporary, size_t max_bytes,
               size_t needed);

}  // namespace rerank
