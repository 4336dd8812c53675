#include "report/chart.h"

#include <gtest/gtest.h>

namespace rerank::report {
namespace {

bool has_label(const std::string& svg, const std::string& text) { return svg.find(">" + text + "</text>") != svg.npos; }

TEST(ChartTest, ALogarithmicAxisHasTwoLabelsHoweverNarrowItsValues) {
  for (const double low : {64.0, 65.0, 100.0}) {
    Chart chart;
    chart.title = "narrow";
    chart.y.logarithmic = true;
    chart.series = {{"a", {{.x = 1, .y = low}, {.x = 2, .y = low + 1}}}};
    const std::string svg = svg_lines(chart);
    EXPECT_TRUE(has_label(svg, "64")) << low;
    EXPECT_TRUE(has_label(svg, "128")) << low;
  }
}

}  // namespace
}  // namespace rerank::report
