#include "engine/pjrt/stablehlo/weights.h"

#include <cstring>

#include "base/half.h"
#include "base/strings.h"
#include "engine/attention_pattern.h"

namespace rerank::engine::pjrt {
namespace {

// [out, in, width], as PyTorch has it -> [width, out, in].
std::vector<float> by_place(const model::TensorView& view) {
  const std::vector<float> values = view.floats();
  const size_t width = view.shape[2], matrix = view.shape[0] * view.shape[1];
  std::vector<float> transposed(values.size());
  for (size_t i = 0; i < matrix; ++i)
    for (size_t k = 0; k < width; ++k) transposed[k * matrix + i] = values[i * width + k];
  return transposed;
}

// Cosines (0) or sines (1) of all positions, [max_length, head_size / 2].
std::vector<float> angles(const model::Rope& rope, size_t head_size, size_t positions, size_t part) {
  const size_t half = head_size / 2;
  const std::vector<float> table = rope_table(rope, head_size, positions);
  std::vector<float> taken(positions * half);
  for (size_t p = 0; p < positions; ++p) std::copy_n(&table[p * head_size + part * half], half, &taken[p * half]);
  return taken;
}

}  // namespace

NamedWeights::NamedWeights(const model::Model& model) : weights_(model.weights) {
  const model::Architecture& a = model.architecture();
  add("words", weights_.words);
  add("positions", weights_.positions);
  add("segment_table", weights_.segments);
  add("embedding_norm", weights_.embedding_norm);
  add("embedding_projection", weights_.embedding_projection);
  add("relative", weights_.relative);
  if (a.blocks[0].attention.position == model::PositionKind::kDisentangled) relative_ = relative_table(weights_, a);
  if (weights_.convolution)
    entries_["convolution_weight"] = {weights_.convolution->name, [this] { return by_place(*weights_.convolution); }};
  add("convolution_bias", weights_.convolution_bias);
  add("convolution_norm", weights_.convolution_norm);
  for (size_t i = 0; i < a.layers(); ++i) add_layer(i, a);
  add_ropes(a);
  add("final_norm", weights_.final_norm);
  add("head_dense", weights_.head_dense);
  add("head_norm", weights_.head_norm);
  add("head_output", weights_.head_output);
}

void NamedWeights::add(const std::string& name, const model::TensorView& view) {
  entries_[name] = {view.name, [&view] { return view.floats(); }};
}

void NamedWeights::add(const std::string& name, const model::Linear& linear) {
  add(name + "_weight", linear.weight);
  add(name + "_bias", linear.bias);
}

void NamedWeights::add(const std::string& name, const model::Norm& norm) {
  add(name + "_gamma", norm.gamma);
  add(name + "_beta", norm.beta);
}

void NamedWeights::add_layer(size_t number, const model::Architecture& a) {
  const model::LayerWeights& w = weights_.layers[number];
  const std::string at = str_cat("block_", number, "_");
  add(at + "query", w.query);
  add(at + "key", w.key);
  add(at + "value", w.value);
  add(at + "attention_output", w.attention_output);
  add(at + "query_norm", w.query_norm);
  add(at + "key_norm", w.key_norm);
  add(at + "attention_norm", w.attention_norm);
  add(at + "attention_sum_norm", w.attention_sum_norm);
  add(at + "output_sum_norm", w.output_sum_norm);
  add(at + "output_norm", w.output_norm);
  add(at + "gate", w.gate);
  add(at + "router", w.router);
  add(at + "experts_bias", w.experts_bias);
  add(at + "global_query", w.global_query);
  add(at + "global_key", w.global_key);
  add(at + "global_value", w.global_value);
  if (!a.blocks[number].feed_forward.experts) {
    add(at + "up", w.up);
    add(at + "down", w.down);
  }
  for (size_t e = 0; e < w.experts.size(); ++e) {
    const std::string expert = str_cat(at, "expert_", e, "_");
    add(expert + "gate", w.experts[e].gate);
    add(expert + "up", w.experts[e].up);
    add(expert + "down", w.experts[e].down);
  }
  const auto add_positions = [&](const char* name, const std::optional<model::Linear>& projection) {
    if (projection)
      entries_[at + name] = {"", [this, &projection] { return projected_positions(relative_, *projection); }};
  };
  add_positions("position_keys", w.position_key);
  add_positions("position_queries", w.position_query);
}

// Numbered as blocks need them first, as the writer numbers them.
void NamedWeights::add_ropes(const model::Architecture& a) {
  std::map<model::Rope, size_t> ropes;
  for (const model::Block& block : a.blocks) {
    const model::Attention& attention = block.attention;
    if (attention.position != model::PositionKind::kRope) continue;
    const auto [found, is_new] = ropes.try_emplace(attention.rope, ropes.size());
    if (!is_new) continue;
    for (const size_t part : {0, 1}) {
      entries_[str_cat("rope_", found->second, part == 0 ? "_cosines" : "_sines")] = {
          "", [rope = attention.rope, size = attention.head_size, count = a.max_length, part] {
            return angles(rope, size, count, part);
          }};
    }
  }
}

Result<std::vector<float>> NamedWeights::floats(const Value& argument) const {
  const auto found = entries_.find(argument.name.substr(1));
  if (found == entries_.end())
    return absl::InternalError(str_cat("pjrt engine: the model has no weight ", argument.name));
  std::vector<float> values = found->second.read();
  if (values.size() != static_cast<size_t>(argument.type.elements()))
    return absl::InternalError(str_cat("pjrt engine: weight ", argument.name, " has ", values.size(),
                                       " elements, and its program wants ", argument.type.text()));
  return values;
}

std::string NamedWeights::source(const Value& argument) const {
  const auto found = entries_.find(argument.name.substr(1));
  return found == entries_.end() ? "" : found->second.source;
}

std::string element_data(const std::vector<float>& values, Element element) {
  std::string bytes(values.size() * element_bytes(element), '\0');
  if (element == Element::kF32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = to_bf16(values[i]);
    std::memcpy(bytes.data() + 2 * i, &half, 2);
  }
  return bytes;
}

}  // namespace rerank::engine::pjrt
