#include "base/settings/nearest.h"

#include <algorithm>
#include <vector>

namespace rerank {
namespace {

constexpr size_t kLongest = 100;  // of what is compared: longer is no slip of the finger

char plain(char c) {
  if (c == '_') return '-';
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Damerau's distance, of neighbours that are swapped at most once.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = plain(a[i - 1]) == plain(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) && plain(a[i - 2]) == plain(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view text, std::span<const std::string_view> names) {
  std::string_view best;
  if (text.empty() || text.size() > kLongest) return best;
  size_t fewest = std::max<size_t>(1, text.size() / 3) + 1;
  for (const std::string_view name : names) {
    if (name.size() > kLongest) continue;
    // What is only shortened is one edit, however much is missing.
    const bool begun =
        text.size() >= 3 && name.size() > text.size() && distance(text, name.substr(0, text.size())) == 0;
    const size_t edits = begun ? 1 : distance(text, name);
    if (edits >= fewest) continue;
    fewest = edits;
    best = name;
  }
  return best;
}

}  // namespace rerank
