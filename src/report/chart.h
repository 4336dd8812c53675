// Charts as self-contained SVG, readable on light and dark pages. Plain data in, text out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rerank::report {

struct ChartPoint {
  double x = 0, y = 0;
  std::optional<double> low, high;  // an interval around y
  std::string note;                 // shown when the pointer is on it
  std::string name = {};            // written beside it
};

struct ChartSeries {
  std::string name;
  std::vector<ChartPoint> points;
};

struct ChartAxis {
  std::string label;
  bool logarithmic = false;
  std::optional<double> low, high;  // else from the data
  std::vector<double> ticks;        // else round numbers
};

struct Chart {
  std::string title;
  ChartAxis x, y;
  std::vector<std::string> categories;  // of bars: one group each, instead of x
  std::vector<ChartSeries> series;      // at most six are told apart, by colour and, as lines, by dashes
  double width = 720, height = 360;
};

std::string svg_lines(const Chart& chart);   // points joined in order, with markers and bands of intervals
std::string svg_points(const Chart& chart);  // points alone
std::string svg_bars(const Chart& chart);    // series[s].points[c] is category c's bar

std::string escape_markup(std::string_view text);  // for HTML and SVG text and attributes
std::string format_number(double value);           // short: 0.734, 12.5, 1500

}  // namespace rerank::report
