// Workloads from files: requests, arrivals and lengths as they were recorded.
#include <absl/strings/numbers.h>
#include <absl/strings/str_format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <optional>

#include "base/strings.h"
#include "load/workload.h"

namespace rerank::load {
namespace {

std::optional<double> number(std::string_view text) {
  double value = 0;
  const bool read = absl::SimpleAtod(absl::string_view(text.data(), text.size()), &value) && std::isfinite(value);
  return read ? std::optional(value) : std::nullopt;
}

// Seconds since 1970 of "2026-01-02T03:04:05.678Z", as the log writes it.
std::optional<double> log_time(std::string_view text) {
  std::tm utc{};
  const char* end = strptime(std::string(text).c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (end == nullptr) return std::nullopt;
  return static_cast<double>(timegm(&utc)) + number(text.substr(std::min<size_t>(text.size(), 19), 4)).value_or(0);
}

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t\r") == std::string::npos; }

}  // namespace

Result<std::vector<RerankRequest>> read_requests(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(str_cat(path, ": cannot open"));
  std::vector<RerankRequest> requests;
  simdjson::dom::parser parser;
  size_t number_of_line = 0;
  for (std::string line; std::getline(file, line);) {
    ++number_of_line;
    if (is_blank(line)) continue;
    simdjson::dom::element root;
    simdjson::dom::array documents;
    std::string_view text;
    RerankRequest request;
    bool read = !parser.parse(line).get(root) && !root["query"].get(text) && !root["documents"].get(documents);
    if (read) {
      request.query = std::string(text);
      for (simdjson::dom::element document : documents) {
        read = read && !document.get(text);
        if (read) request.documents.emplace_back(text);
      }
    }
    if (!read || request.documents.empty()) {
      return absl::InvalidArgumentError(
          str_cat(path, ":", number_of_line, ": want {\"query\": text, \"documents\": [text, ...]}"));
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

std::string fit_log_normal(const std::vector<size_t>& lengths) {
  double sum = 0, squares = 0;
  for (size_t length : lengths) {
    const double logarithm = std::log(static_cast<double>(std::max<size_t>(length, 1)));
    sum += logarithm, squares += logarithm * logarithm;
  }
  const auto count = static_cast<double>(lengths.size());
  const double mean = sum / count;
  return absl::StrFormat("lognormal:%.0f,%.2f", std::exp(mean),
                         std::sqrt(std::max(0.0, squares / count - mean * mean)));
}

Result<std::vector<double>> read_trace(const std::vector<std::string>& lines) {
  std::vector<double> times;
  simdjson::dom::parser parser;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (is_blank(lines[i])) continue;
    std::optional<double> time = number(lines[i]);
    simdjson::dom::element line;
    std::string_view message, when;
    if (!time && !parser.parse(lines[i]).get(line)) {
      if (line["message"].get(message) || message != "request") continue;  // what else the log says
      double ms = 0;
      if (!line["time"].get(when) && !line["ms"].get(ms)) time = log_time(when);
      if (time) *time -= ms * 1e-3;  // it is written when the answer is
    }
    if (!time) {
      return absl::InvalidArgumentError(str_cat("line ", i + 1, ": want seconds, or a line of rerankd's JSON log"));
    }
    times.push_back(*time);
  }
  if (times.size() < 2) return absl::InvalidArgumentError("want at least two arrivals");
  std::sort(times.begin(), times.end());
  const double first = times.front();
  for (double& time : times) time -= first;
  return times;
}

std::vector<double> replay(std::vector<double> trace, double rate, double seconds) {
  const double whole = trace.back();
  const double own = whole > 0 ? static_cast<double>(trace.size() - 1) / whole : 0;
  if (rate > 0 && own > 0) {
    for (double& time : trace) time *= own / rate;
  }
  trace.erase(std::lower_bound(trace.begin(), trace.end(), seconds), trace.end());
  return trace;
}

}  // namespace rerank::load
