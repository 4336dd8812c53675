#include "report/html_page.h"

#include "base/strings.h"
#include "report/chart.h"

namespace rerank::report {

HtmlPage::HtmlPage(std::string_view title) {
  text_ = str_cat(
      "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
      "content='width=device-width,initial-scale=1'><meta name='color-scheme' content='light dark'><title>",
      escape_markup(title),
      "</title><style>:root{--bg:#fff;--ink:#1f2430;--soft:#6b7280;--line:#e3e6eb}"
      "@media(prefers-color-scheme:dark){:root{--bg:#161a22;--ink:#e6e8ee;--soft:#9aa3b2;--line:#343a46}}"
      "body{background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem "
      "auto;padding:0 1rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}p{color:var(--soft)}"
      "p.verdict{color:var(--ink);font-size:1.1rem;font-weight:600}footer{color:var(--soft);font-size:13px;"
      "border-top:1px solid var(--line);margin-top:2rem;padding-top:.5rem;overflow-wrap:anywhere}"
      "div.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
      "th,td{border-bottom:1px solid var(--line);padding:.3rem .7rem;text-align:right}"
      "th:first-child,td:first-child,table.left th,table.left td{text-align:left}figure{margin:1rem 0}"
      "svg{width:100%;height:auto;max-width:900px}@media print{body{max-width:none;margin:0;padding:0}"
      "div.wide{overflow:visible}table{font-size:11px}th,td{padding:.15rem .4rem}tr,figure{break-inside:avoid}"
      "h2{break-after:avoid}*{print-color-adjust:exact}}</style></head><body>\n<h1>",
      escape_markup(title), "</h1>\n");
}

HtmlPage& HtmlPage::heading(std::string_view text) {
  text_ += str_cat("<h2>", escape_markup(text), "</h2>\n");
  return *this;
}

HtmlPage& HtmlPage::paragraph(std::string_view text) {
  text_ += str_cat("<p>", escape_markup(text), "</p>\n");
  return *this;
}

HtmlPage& HtmlPage::verdict(std::string_view text) {
  text_ += str_cat("<p class='verdict'>", escape_markup(text), "</p>\n");
  return *this;
}

HtmlPage& HtmlPage::table(const std::vector<std::vector<std::string>>& rows, bool left_aligned) {
  text_ += str_cat("<div class='wide'><table", left_aligned ? " class='left'" : "", ">\n");
  for (size_t r = 0; r < rows.size(); ++r) {
    text_ += "<tr>";
    for (const std::string& cell : rows[r])
      text_ += str_cat(r == 0 ? "<th>" : "<td>", escape_markup(cell), r == 0 ? "</th>" : "</td>");
    text_ += "</tr>\n";
  }
  text_ += "</table></div>\n";
  return *this;
}

HtmlPage& HtmlPage::figure(std::string_view svg) {
  text_ += str_cat("<figure>", svg, "</figure>\n");
  return *this;
}

std::string with_origin(std::string page, std::string_view origin) {
  const size_t end = page.rfind("</body>");
  if (end == page.npos) return page;
  return page.insert(end, str_cat("<footer>", escape_markup(origin), "</footer>"));
}

std::string HtmlPage::take() { return std::move(text_) + "</body></html>\n"; }

}  // namespace rerank::report
