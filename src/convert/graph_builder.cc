#include "convert/graph_builder.h"

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::convert {
namespace {

// ONNX Runtime maps weights into memory where they begin at a page.
constexpr uint64_t kAlignment = 4096;
constexpr int64_t kIrVersion = 7;  // that of opset 12

void set_type(onnx::ValueInfoProto& value, const std::string& name, onnx::TensorProto::DataType type,
              const std::vector<std::string>& dims) {
  value.set_name(name);
  auto& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(type);
  for (const std::string& dim : dims) {
    auto& added = *tensor.mutable_shape()->add_dim();
    if (dim.find_first_not_of("0123456789") == std::string::npos) {
      added.set_dim_value(std::stoll(dim));
    } else {
      added.set_dim_param(dim);
    }
  }
}

void set_attribute(onnx::AttributeProto& out, const GraphAttribute& attribute) {
  out.set_name(attribute.name);
  if (const auto* i = std::get_if<int64_t>(&attribute.value)) {
    out.set_type(onnx::AttributeProto::INT);
    out.set_i(*i);
  } else if (const auto* f = std::get_if<float>(&attribute.value)) {
    out.set_type(onnx::AttributeProto::FLOAT);
    out.set_f(*f);
  } else {
    out.set_type(onnx::AttributeProto::INTS);
    for (int64_t value : std::get<std::vector<int64_t>>(attribute.value)) out.add_ints(value);
  }
}

}  // namespace

GraphBuilder::GraphBuilder(std::string graph_name) {
  model_.set_ir_version(kIrVersion);
  model_.set_producer_name("rerankd");
  model_.mutable_graph()->set_name(std::move(graph_name));
}

Status GraphBuilder::use_external_file(const std::string& path, const std::string& location) {
  external_.open(path, std::ios::binary | std::ios::trunc);
  external_path_ = path;
  location_ = location;
  return external_ ? ok_status() : absl::UnavailableError(str_cat(path, ": cannot write"));
}

void GraphBuilder::add_input(const std::string& name, onnx::TensorProto::DataType type,
                             const std::vector<std::string>& dims) {
  set_type(*model_.mutable_graph()->add_input(), name, type, dims);
}

void GraphBuilder::add_output(const std::string& name, onnx::TensorProto::DataType type,
                              const std::vector<std::string>& dims) {
  set_type(*model_.mutable_graph()->add_output(), name, type, dims);
}

void GraphBuilder::declare(const std::string& name, onnx::TensorProto::DataType type,
                           const std::vector<std::string>& dims) {
  set_type(*model_.mutable_graph()->add_value_info(), name, type, dims);
}

void GraphBuilder::add_metadata(const std::string& key, const std::string& value) {
  auto& entry = *model_.add_metadata_props();
  entry.set_key(key);
  entry.set_value(value);
}

std::string GraphBuilder::node(const std::string& type, const Inputs& inputs, const std::string& name,
                               const Attributes& attributes) {
  node_of(type, inputs, {name}, attributes);
  return name;
}

void GraphBuilder::node_of(const std::string& type, const Inputs& inputs, const std::vector<std::string>& outputs,
                           const Attributes& attributes) {
  auto& node = *model_.mutable_graph()->add_node();
  node.set_op_type(type);
  node.set_name(outputs.front() + "/" + type);
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  for (const GraphAttribute& attribute : attributes) set_attribute(*node.add_attribute(), attribute);
}

std::string GraphBuilder::integers(const std::string& name, const std::vector<int64_t>& values) {
  auto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<int64_t>(values.size()));
  for (int64_t value : values) tensor.add_int64_data(value);
  return name;
}

std::string GraphBuilder::integer(const std::string& name, int64_t value) {
  integers(name, {value});
  auto& initializers = *model_.mutable_graph()->mutable_initializer();
  initializers[initializers.size() - 1].clear_dims();
  return name;
}

std::string GraphBuilder::integer_rows(const std::string& name, const std::vector<int64_t>& values) {
  integers(name, values);
  auto& initializers = *model_.mutable_graph()->mutable_initializer();
  initializers[initializers.size() - 1].add_dims(1);
  return name;
}

std::string GraphBuilder::weights(const std::string& name, onnx::TensorProto::DataType type,
                                  const std::vector<int64_t>& shape, std::string bytes) {
  auto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (int64_t size : shape) tensor.add_dims(size);
  // Small ones stay inside: shape inference reads them.
  if (!external_.is_open() || bytes.size() < 1024) {
    tensor.set_raw_data(std::move(bytes));
    return name;
  }
  const std::string padding((kAlignment - offset_ % kAlignment) % kAlignment, '\0');
  external_ << padding;
  offset_ += padding.size();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  const std::pair<const char*, std::string> entries[] = {
      {"location", location_}, {"offset", str_cat(offset_)}, {"length", str_cat(bytes.size())}};
  for (const auto& [key, value] : entries) {
    auto& entry = *tensor.add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  }
  external_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  offset_ += bytes.size();
  return name;
}

Status GraphBuilder::close() {
  if (!external_.is_open()) return ok_status();
  external_.close();
  return external_ ? ok_status() : absl::UnavailableError(str_cat(external_path_, ": cannot write (disk full?)"));
}

Status GraphBuilder::write(const std::string& path, int64_t opset) {
  RETURN_IF_ERROR(close());
  model_.add_opset_import()->set_version(opset);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  const bool written = model_.SerializeToOstream(&out);
  out.close();
  return written && out ? ok_status() : absl::UnavailableError(str_cat(path, ": cannot write (disk full?)"));
}

}  // namespace rerank::convert
