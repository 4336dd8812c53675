// absl::StrCat for std::string_view: Debian builds Abseil with a string_view type of its own, so that the standard one
// does not convert. Works the same where the two are one type.
#pragma once

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "rerank/status.h"

namespace rerank {

namespace internal {
inline absl::string_view as_piece(std::string_view text) { return {text.data(), text.size()}; }
template <class T>
requires(!std::is_convertible_v<const T&, std::string_view>) const T& as_piece(const T& value) { return value; }
}  // namespace internal

template <class... Pieces>
std::string str_cat(const Pieces&... pieces) {
  return absl::StrCat(internal::as_piece(pieces)...);
}

inline std::string_view message_of(const Status& status) { return {status.message().data(), status.message().size()}; }

// The same error with `where` in front of its message.
inline Status with_context(const Status& status, std::string_view where) {
  return Status(status.code(), str_cat(where, ": ", message_of(status)));
}

}  // namespace rerank
