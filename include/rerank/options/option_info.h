// What a setting is called, what it means and, of a number, how small and large it may be. Each stands directly under
// the field that it describes.
#pragma once

namespace rerank {

struct OptionInfo {
  const char* name;                   // flag `--name`, configuration key `name`, environment variable RERANKD_NAME
  const char* value;                  // placeholder in the help text
  const char* group;                  // heading in the help text and in docs/options.md
  const char* help;                   // what it does and when to change it; the help text has the first sentence
  const char* environment = nullptr;  // another environment variable than RERANKD_NAME, where the field has one
  double least = 0, most = -1;        // of numbers, which all have a range; most < least: of others, which have none

  constexpr OptionInfo within(double low, double high) const {
    OptionInfo info = *this;
    info.least = low;
    info.most = high;
    return info;
  }
  constexpr bool has_range() const { return least <= most; }
};

inline constexpr double kMostBytes = 1125899906842624;  // 1 PiB: more is a slip, or a negative number
inline constexpr double kDayMs = 86400000;

}  // namespace rerank
