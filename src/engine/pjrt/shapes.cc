#include "engine/pjrt/shapes.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"

namespace rerank::engine::pjrt {
namespace {

constexpr size_t kShortest = 64;
// Blocks of few tokens and of many: a request or a part of one, and what keeps a device busy.
constexpr size_t kTokens[] = {1024, 8192}, kTokensOfCpu[] = {512, 2048};
constexpr size_t kMostShapes = 64;               // compiled one after another, seconds each
constexpr size_t kMostTokens = size_t{1} << 20;  // of one block: more is a mistake

void add(std::vector<Rectangle>& shapes, const Rectangle& shape) {
  if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
}

}  // namespace

std::string shapes_text(const std::vector<Rectangle>& shapes) {
  std::string text;
  for (const Rectangle& shape : shapes) text += str_cat(text.empty() ? "" : ", ", shape_text(shape));
  return text;
}

std::vector<Rectangle> default_shapes(size_t longest, bool offloads) {
  std::vector<size_t> lengths;
  for (size_t length = kShortest; length < longest; length *= 2) lengths.push_back(length);
  lengths.push_back(longest);
  const auto [few, many] = std::pair(offloads ? kTokens[0] : kTokensOfCpu[0], offloads ? kTokens[1] : kTokensOfCpu[1]);
  const auto of = [](size_t tokens, size_t length) { return Rectangle{std::max<size_t>(1, tokens / length), length}; };
  std::vector<Rectangle> shapes;
  add(shapes, of(few, longest));
  add(shapes, of(many, lengths[std::min<size_t>(1, lengths.size() - 1)]));
  for (const size_t tokens : {many, few})
    for (const size_t length : lengths) add(shapes, of(tokens, length));
  return shapes;
}

Result<std::vector<Rectangle>> parse_shapes(const std::string& text, size_t limit) {
  const auto refuse = [&](const std::string& what) { return absl::InvalidArgumentError(str_cat("shapes: ", what)); };
  std::vector<Rectangle> shapes;
  const std::vector<std::string> parts = absl::StrSplit(text, ',', absl::SkipEmpty());
  for (const std::string& part : parts) {
    const std::vector<std::string> sides = absl::StrSplit(part, 'x');
    Rectangle shape;
    if (sides.size() != 2 || !absl::SimpleAtoi(sides[0], &shape.rows) || !absl::SimpleAtoi(sides[1], &shape.length) ||
        shape.rows == 0 || shape.length == 0)
      return refuse(str_cat(part, ": not ROWSxLENGTH, such as 8x128"));
    if (shape.length > limit) return refuse(str_cat(part, ": the model's longest pair is of ", limit, " tokens"));
    if (shape.rows > kMostTokens / shape.length)
      return refuse(str_cat(part, ": more than ", kMostTokens, " tokens in one block"));
    add(shapes, shape);
  }
  if (shapes.empty()) return refuse("none are given");
  if (shapes.size() > kMostShapes) return refuse(str_cat(shapes.size(), ": more than ", kMostShapes));
  const auto longest = std::max_element(shapes.begin(), shapes.end(), [](const Rectangle& a, const Rectangle& b) {
    return std::pair(a.length, b.rows) < std::pair(b.length, a.rows);
  });
  std::rotate(shapes.begin(), longest, longest + 1);
  return shapes;
}

}  // namespace rerank::engine::pjrt
