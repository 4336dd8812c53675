#include "model/families/config_reader.h"

#include <utility>

#include "base/strings.h"

namespace rerank::model {

size_t ConfigReader::size(const char* field, uint64_t limit, std::optional<uint64_t> fallback) {
  auto value = json_.get_size(field, fallback);
  if (!value.ok()) {
    fail(value.status());
    return 1;
  }
  if (*value == 0 || *value > limit) {
    fail(absl::InvalidArgumentError(str_cat(json_.origin(), ": ", field, " is ", *value, ", not in 1..", limit)));
    return 1;
  }
  return *value;
}

double ConfigReader::number(const char* field, double fallback) {
  return take(json_.get_number(field, fallback), fallback);
}
bool ConfigReader::boolean(const char* field, bool fallback) { return take(json_.get_bool(field, fallback), fallback); }
std::string ConfigReader::text(const char* field, std::string fallback) {
  return take(json_.get_string(field, fallback), fallback);
}

Activation ConfigReader::activation(const char* field, const char* fallback) {
  const std::string name = text(field, fallback);
  constexpr std::pair<const char*, Activation> kNames[] = {
      {"gelu", Activation::kGelu},          {"gelu_python", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},  {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh}, {"relu", Activation::kRelu},
      {"silu", Activation::kSilu},          {"swish", Activation::kSilu},
  };
  for (const auto& [known, activation] : kNames) {
    if (name == known) return activation;
  }
  fail(absl::UnimplementedError(str_cat(json_.origin(), ": ", field, ": ", name,
                                        " is not supported (gelu, gelu_new, gelu_pytorch_tanh, relu, silu are)")));
  return Activation::kGelu;
}

float ConfigReader::epsilon(const char* field, double fallback) {
  const auto value = static_cast<float>(number(field, fallback));
  if (!(value >= 0 && value < 1)) {
    fail(absl::InvalidArgumentError(str_cat(json_.origin(), ": ", field, " is not in [0, 1)")));
  }
  return value;
}

void ConfigReader::require(const char* field, std::string_view only) {
  const std::string value = text(field, std::string(only));
  if (value == only) return;
  fail(
      absl::UnimplementedError(str_cat(json_.origin(), ": ", field, ": ", value, " is not supported (", only, " is)")));
}

std::string ConfigReader::architecture() const {
  simdjson::dom::array names;
  std::string_view name;
  if (json_.root()["architectures"].get(names) || names.size() == 0 || names.at(0).get(name)) return "";
  return std::string(name);
}

void ConfigReader::refuse_if(const char* field, std::string_view why) {
  if (boolean(field, false)) fail(absl::UnimplementedError(str_cat(json_.origin(), ": ", field, ": ", why)));
}

}  // namespace rerank::model
