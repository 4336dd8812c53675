// Builds an ONNX graph node by node; values are known by their names. Includes libonnx' classes: for this room's .cc
// files only.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rerank/status.h"

namespace rerank::convert {

struct GraphAttribute {
  const char* name;
  std::variant<int64_t, float, std::vector<int64_t>> value;
};

class GraphBuilder {
 public:
  using Inputs = std::vector<std::string>;
  using Attributes = std::vector<GraphAttribute>;

  explicit GraphBuilder(std::string graph_name);

  // Weights go to this file from now on instead of into the graph. `location`: its name, as the graph says it.
  Status use_external_file(const std::string& path, const std::string& location);

  void add_input(const std::string& name, onnx::TensorProto::DataType type, const std::vector<std::string>& dims);
  void add_output(const std::string& name, onnx::TensorProto::DataType type, const std::vector<std::string>& dims);
  // What is known of a value's shape where inference cannot see it.
  void declare(const std::string& name, onnx::TensorProto::DataType type, const std::vector<std::string>& dims);
  void add_metadata(const std::string& key, const std::string& value);

  // Adds a node and returns the name of its output, which is `name`.
  std::string node(const std::string& type, const Inputs& inputs, const std::string& name,
                   const Attributes& attributes = {});
  // The same for a node of several outputs.
  void node_of(const std::string& type, const Inputs& inputs, const std::vector<std::string>& outputs,
               const Attributes& attributes = {});

  std::string integers(const std::string& name, const std::vector<int64_t>& values);
  std::string integer(const std::string& name, int64_t value);                            // a scalar
  std::string integer_rows(const std::string& name, const std::vector<int64_t>& values);  // [values, 1]

  // Weights: `bytes` in the type's own form, row-major.
  std::string weights(const std::string& name, onnx::TensorProto::DataType type, const std::vector<int64_t>& shape,
                      std::string bytes);

  // Whether everything went into the external file.
  Status close();
  // Closes, and writes the model with that opset.
  Status write(const std::string& path, int64_t opset);

 private:
  onnx::ModelProto model_;
  std::ofstream external_;
  std::string external_path_, location_;
  uint64_t offset_ = 0;
};

}  // namespace rerank::convert
