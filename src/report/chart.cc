#include "report/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/strings.h"

namespace rerank::report {
namespace {

constexpr double kLeft = 62, kRight = 16, kTop = 40, kBottom = 52, kLegendRow = 16;

constexpr const char* kStyle =
    "<style>.rc{font:12px system-ui,sans-serif;--ink:#1f2430;--soft:#6b7280;--grid:#e3e6eb;"
    "--c0:#2563c9;--c1:#d0571a;--c2:#1f8a56;--c3:#8250c4;--c4:#a87400;--c5:#c43468}"
    "@media(prefers-color-scheme:dark){.rc{--ink:#e6e8ee;--soft:#9aa3b2;--grid:#343a46;--c0:#6ea4ff;--c1:#ff9a62;"
    "--c2:#58cf97;--c3:#b894f2;--c4:#e0b53c;--c5:#ff7fae}}"
    ".rc text{fill:var(--ink)}.rc .soft{fill:var(--soft)}.rc .grid{stroke:var(--grid)}.rc .title{font-weight:600;"
    "font-size:14px}.rc .band{opacity:.16;stroke:none}.rc .line{fill:none;stroke-width:2}.rc "
    ".whisker{stroke:var(--ink);"
    "stroke-width:1.2}</style>";

std::string fixed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

// Lines that lie on one another are seen by the gaps of the upper one.
std::string dashes(size_t series) {
  constexpr const char* kPatterns[] = {"", "9 5", "2 4", "12 4 2 4", "5 3", "2 8"};
  const std::string_view pattern = kPatterns[series % 6];
  return pattern.empty() ? "" : str_cat(" stroke-dasharray='", pattern, "'");
}

std::string color(size_t series) { return str_cat("var(--c", series % 6, ")"); }

// Data -> pixels along one axis, with its ticks.
class Scale {
 public:
  Scale(const ChartAxis& axis, std::vector<double> values, double from, double to, bool with_zero)
      : log_(axis.logarithmic), from_(from), to_(to), ticks_(axis.ticks) {
    if (with_zero) values.push_back(0);
    if (values.empty()) values = {0, 1};
    auto [low, high] = std::minmax_element(values.begin(), values.end());
    low_ = axis.low.value_or(*low);
    high_ = axis.high.value_or(*high);
    if (high_ - low_ < 1e-12) high_ = low_ + (low_ == 0 ? 1 : std::abs(low_) * 0.1);
    if (ticks_.empty()) make_ticks(axis);
  }

  double at(double value) const {
    const double share = log_ ? (std::log(std::max(value, low_)) - std::log(low_)) / (std::log(high_) - std::log(low_))
                              : (value - low_) / (high_ - low_);
    return from_ + share * (to_ - from_);
  }
  const std::vector<double>& ticks() const { return ticks_; }
  double low() const { return low_; }

 private:
  void make_ticks(const ChartAxis& axis) {
    if (log_) {
      low_ = std::max(low_, 1e-9);
      if (!axis.low) low_ = std::exp2(std::floor(std::log2(low_) + 1e-9));
      if (!axis.high) high_ = std::max(2 * low_, std::exp2(std::ceil(std::log2(high_) - 1e-9)));
      for (double tick = std::exp2(std::floor(std::log2(low_))); tick <= high_ * 1.001; tick *= 2) {
        if (tick >= low_ * 0.999) ticks_.push_back(tick);
      }
      return;
    }
    const double raw = (high_ - low_) / 5, power = std::pow(10, std::floor(std::log10(raw)));
    double step = 10 * power;
    for (double factor : {5.0, 2.0, 1.0}) {
      if (raw <= factor * power) step = factor * power;
    }
    if (!axis.low) low_ = std::floor(low_ / step + 1e-9) * step;
    if (!axis.high) high_ = std::ceil(high_ / step - 1e-9) * step;
    for (double tick = std::ceil(low_ / step - 1e-9) * step; tick <= high_ + step * 1e-6; tick += step)
      ticks_.push_back(std::abs(tick) < step * 1e-6 ? 0 : tick);
  }

  bool log_;
  double from_, to_, low_ = 0, high_ = 1;
  std::vector<double> ticks_;
};

struct Frame {
  Scale x, y;
  std::string svg;
};

std::string text_at(double x, double y, std::string_view anchor, std::string_view text, std::string_view more = "") {
  return str_cat("<text x='", fixed(x), "' y='", fixed(y), "' text-anchor='", anchor, "'", more, ">",
                 escape_markup(text), "</text>");
}

// Names of series from left to right, in as many rows as they need.
struct Legend {
  std::string svg;
  double height = 0;  // of the rows after the first
};

Legend legend_of(const Chart& chart) {
  Legend made;
  if (chart.series.size() < 2) return made;
  double x = kLeft;
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const double width = 30 + 6.6 * static_cast<double>(chart.series[s].name.size());
    if (x > kLeft && x + width > chart.width - kRight) x = kLeft, made.height += kLegendRow;
    made.svg += str_cat("<rect x='", fixed(x), "' y='", fixed(26 + made.height),
                        "' width='10' height='10' rx='2' fill='", color(s), "'/>");
    made.svg += text_at(x + 14, 35 + made.height, "start", chart.series[s].name);
    x += width;
  }
  return made;
}

std::vector<double> values_of(const Chart& chart, bool x) {
  std::vector<double> values;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& p : series.points) {
      values.push_back(x ? p.x : p.y);
      if (!x && p.low) values.push_back(*p.low);
      if (!x && p.high) values.push_back(*p.high);
    }
  }
  return values;
}

Frame begin(const Chart& chart, bool bars) {
  const Legend legend = legend_of(chart);
  const double right = chart.width - kRight, bottom = chart.height - kBottom, top = kTop + legend.height;
  Frame f{Scale(chart.x, values_of(chart, true), kLeft, right, false),
          Scale(chart.y, values_of(chart, false), bottom, top + 4, bars), ""};
  f.svg = str_cat("<svg class='rc' xmlns='http://www.w3.org/2000/svg' viewBox='0 0 ", fixed(chart.width), " ",
                  fixed(chart.height), "' role='img' aria-label='", escape_markup(chart.title), "'>", kStyle);
  f.svg += text_at(kLeft, 17, "start", chart.title, " class='title'");
  f.svg += legend.svg;
  for (double tick : f.y.ticks()) {
    const std::string y = fixed(f.y.at(tick));
    f.svg += str_cat("<line class='grid' x1='", fixed(kLeft), "' x2='", fixed(right), "' y1='", y, "' y2='", y, "'/>");
    f.svg += text_at(kLeft - 6, f.y.at(tick) + 4, "end", format_number(tick), " class='soft'");
  }
  if (!bars) {
    for (double tick : f.x.ticks())
      f.svg += text_at(f.x.at(tick), bottom + 16, "middle", format_number(tick), " class='soft'");
  }
  f.svg += text_at((kLeft + right) / 2, chart.height - 10, "middle", chart.x.label, " class='soft'");
  f.svg += str_cat("<text class='soft' text-anchor='middle' transform='translate(14,", fixed((top + bottom) / 2),
                   ") rotate(-90)'>", escape_markup(chart.y.label), "</text>");
  return f;
}

std::string whisker(const Frame& f, double x, const ChartPoint& p) {
  if (!p.low || !p.high) return "";
  const std::string low = fixed(f.y.at(*p.low)), high = fixed(f.y.at(*p.high)), at = fixed(x);
  std::string svg = str_cat("<line class='whisker' x1='", at, "' x2='", at, "' y1='", low, "' y2='", high, "'/>");
  for (const std::string& end : {low, high}) {
    svg += str_cat("<line class='whisker' x1='", fixed(x - 3), "' x2='", fixed(x + 3), "' y1='", end, "' y2='", end,
                   "'/>");
  }
  return svg;
}

std::string marker(const Frame& f, const ChartPoint& p, size_t series, double radius) {
  const std::string note = p.note.empty() ? str_cat(format_number(p.x), ": ", format_number(p.y)) : p.note;
  return str_cat("<circle cx='", fixed(f.x.at(p.x)), "' cy='", fixed(f.y.at(p.y)), "' r='", fixed(radius), "' fill='",
                 color(series), "'><title>", escape_markup(note), "</title></circle>",
                 p.name.empty() ? "" : text_at(f.x.at(p.x) + 6, f.y.at(p.y) - 6, "start", p.name, " class='soft'"));
}

std::string path_of(const Frame& f, const ChartSeries& series) {
  std::string path;
  for (const ChartPoint& p : series.points)
    path += str_cat(path.empty() ? "M" : "L", fixed(f.x.at(p.x)), " ", fixed(f.y.at(p.y)));
  return path;
}

// The area between the ends of the intervals, where all points have one.
std::string band(const Frame& f, const ChartSeries& series, size_t number) {
  std::string path;
  for (const ChartPoint& p : series.points) {
    if (!p.low || !p.high) return "";
    path += str_cat(path.empty() ? "M" : "L", fixed(f.x.at(p.x)), " ", fixed(f.y.at(*p.high)));
  }
  for (auto p = series.points.rbegin(); p != series.points.rend(); ++p)
    path += str_cat("L", fixed(f.x.at(p->x)), " ", fixed(f.y.at(*p->low)));
  return str_cat("<path class='band' fill='", color(number), "' d='", path, "Z'/>");
}

}  // namespace

std::string svg_lines(const Chart& chart) {
  Frame f = begin(chart, false);
  for (size_t s = 0; s < chart.series.size(); ++s) {
    f.svg += band(f, chart.series[s], s);
    f.svg +=
        str_cat("<path class='line' stroke='", color(s), "'", dashes(s), " d='", path_of(f, chart.series[s]), "'/>");
    if (chart.series[s].points.size() > 60) continue;
    for (const ChartPoint& p : chart.series[s].points) f.svg += marker(f, p, s, 3);
  }
  return f.svg + "</svg>";
}

std::string svg_points(const Chart& chart) {
  Frame f = begin(chart, false);
  for (size_t s = 0; s < chart.series.size(); ++s) {
    for (const ChartPoint& p : chart.series[s].points) f.svg += marker(f, p, s, 1.8);
  }
  return f.svg + "</svg>";
}

std::string svg_bars(const Chart& chart) {
  Frame f = begin(chart, true);
  const double bottom = chart.height - kBottom, zero = f.y.at(std::max(0.0, f.y.low()));
  const double group =
      (chart.width - kLeft - kRight) / static_cast<double>(std::max<size_t>(1, chart.categories.size()));
  const double bar = group * 0.8 / static_cast<double>(std::max<size_t>(1, chart.series.size()));
  for (size_t c = 0; c < chart.categories.size(); ++c) {
    const double left = kLeft + group * (static_cast<double>(c) + 0.1);
    f.svg += text_at(left + group * 0.4, bottom + 16, "middle", chart.categories[c], " class='soft'");
    for (size_t s = 0; s < chart.series.size(); ++s) {
      if (c >= chart.series[s].points.size()) continue;
      const ChartPoint& p = chart.series[s].points[c];
      const double x = left + bar * static_cast<double>(s), y = f.y.at(p.y);
      const std::string note = p.note.empty() ? str_cat(chart.series[s].name, ": ", format_number(p.y)) : p.note;
      f.svg += str_cat("<rect x='", fixed(x), "' y='", fixed(std::min(y, zero)), "' width='", fixed(bar * 0.92),
                       "' height='", fixed(std::abs(zero - y)), "' rx='1.5' fill='", color(s), "'><title>",
                       escape_markup(note), "</title></rect>", whisker(f, x + bar * 0.46, p));
    }
  }
  return f.svg + "</svg>";
}

std::string escape_markup(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // Controls are not allowed in XML at all.
        out += static_cast<unsigned char>(c) < 32 && c != '\t' && c != '\n' ? ' ' : c;
    }
  }
  return out;
}

std::string format_number(double value) {
  char text[32];
  const double size = std::abs(value);
  std::snprintf(text, sizeof text,
                size >= 100 || size == std::floor(size) ? "%.0f"
                : size >= 10                            ? "%.1f"
                                                        : "%.3g",
                value);
  return text;
}

}  // namespace rerank::report
