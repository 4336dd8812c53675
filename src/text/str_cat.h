// Strings put together for messages. (Debian's Abseil has a string_view of its own, so absl::StrCat cannot take ours.)
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

namespace rerank {

// Strings and integers, one after the other.
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::string out;
  auto add = [&out](const auto& part) {
    if constexpr (std::is_integral_v<std::decay_t<decltype(part)>>) {
      out += std::to_string(part);
    } else {
      out += std::string_view(part);
    }
  };
  (add(parts), ...);
  return out;
}

}  // namespace rerank
