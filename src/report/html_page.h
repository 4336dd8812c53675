// One HTML page that needs nothing else: style within, light and dark by the reader's setting.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rerank::report {

class HtmlPage {
 public:
  explicit HtmlPage(std::string_view title);

  HtmlPage& heading(std::string_view text);
  HtmlPage& paragraph(std::string_view text);
  HtmlPage& verdict(std::string_view text);  // the sentence that decides, before all figures
  // First row: headings. Cells are text; all but the first column stand to the right unless `left_aligned`.
  HtmlPage& table(const std::vector<std::vector<std::string>>& rows, bool left_aligned = false);
  HtmlPage& figure(std::string_view svg);

  std::string take();

 private:
  std::string text_;
};

// `page` with a last line: where it comes from.
std::string with_origin(std::string page, std::string_view origin);

}  // namespace rerank::report
