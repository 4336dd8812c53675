#include "eval/reports/aligned.h"

#include <algorithm>

#include "base/strings.h"

namespace rerank::eval {

std::string aligned(const Rows& rows, FirstColumn first) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string gap(widths[c] - row[c].size(), ' ');
      if (c > 0) out += "  ";
      out += c == 0 && first == FirstColumn::kLeft ? row[c] + gap : gap + row[c];
    }
    out += "\n";
  }
  return out;
}

}  // namespace rerank::eval
