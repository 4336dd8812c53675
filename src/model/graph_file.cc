#include "model/graph_file.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>

#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;
using google::protobuf::internal::WireFormatLite;
using Stream = google::protobuf::io::CodedInputStream;

// Field numbers of onnx.proto.
enum ModelField { kProducerName = 2, kProducerVersion = 3, kGraph = 7, kOpsetImport = 8 };
enum GraphField { kNode = 1, kInitializer = 5 };
enum NodeField { kOpType = 4, kAttribute = 5 };
enum AttributeField { kTensor = 5 };
enum TensorField { kDims = 1, kDataType = 2, kExternalData = 13 };
// Element types.
enum : uint64_t { kFloat = 1, kUint8 = 2, kInt8 = 3, kHalf = 10, kBFloat16 = 16 };

// Calls field(number) for each field of the message that `in` stands in; what it does not read (returns false) is
// skipped. False: not a protobuf message.
bool each_field(Stream& in, const std::function<bool(int number, uint32_t tag, bool& read)>& field) {
  while (const uint32_t tag = in.ReadTag()) {
    bool read = false;
    if (!field(WireFormatLite::GetTagFieldNumber(tag), tag, read)) return false;
    if (!read && !WireFormatLite::SkipField(&in, tag)) return false;
  }
  return in.ConsumedEntireMessage();
}

bool is_bytes(uint32_t tag) { return WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED; }
bool is_varint(uint32_t tag) { return WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_VARINT; }

bool read_message(Stream& in, const std::function<bool(int, uint32_t, bool&)>& field) {
  uint32_t size = 0;
  if (!in.ReadVarint32(&size)) return false;
  const auto limit = in.PushLimit(static_cast<int>(std::min<uint32_t>(size, std::numeric_limits<int>::max())));
  const bool good = each_field(in, field);
  in.PopLimit(limit);
  return good;
}

bool read_text(Stream& in, std::string& out) {
  uint32_t size = 0;
  return in.ReadVarint32(&size) && size <= (1u << 20) && in.ReadString(&out, static_cast<int>(size));
}

class Reader {
 public:
  explicit Reader(GraphFile& file) : file_(file) {}

  bool model(Stream& in) {
    return each_field(in, [&](int number, uint32_t tag, bool& read) {
      if (!is_bytes(tag)) return true;
      read = number == kProducerName || number == kProducerVersion || number == kGraph || number == kOpsetImport;
      std::string version;
      switch (number) {
        case kProducerName:
          return read_text(in, file_.producer);
        case kProducerVersion:
          if (!read_text(in, version)) return false;
          file_.producer += str_cat(" ", version);
          return true;
        case kGraph:
          has_graph_ = true;
          return graph(in);
        case kOpsetImport:
          return opset(in);
      }
      return true;
    });
  }

  bool has_graph() const { return has_graph_; }
  const std::set<std::string>& external() const { return external_; }

  // Quantized models keep tables in fp32, so that int8 counts wherever it is.
  Precision precision() const {
    const auto count = [&](uint64_t type) {
      const auto found = matrices_.find(type);
      return found == matrices_.end() ? 0 : found->second;
    };
    if (count(kInt8) + count(kUint8) > 0) return Precision::kInt8;
    if (count(kHalf) > count(kFloat)) return Precision::kFp16;
    return count(kBFloat16) > count(kFloat) ? Precision::kBf16 : Precision::kFp32;
  }

 private:
  bool graph(Stream& in) {
    return read_message(in, [&](int number, uint32_t tag, bool& read) {
      if (!is_bytes(tag)) return true;
      read = number == kNode || number == kInitializer;
      return number == kNode ? node(in) : number == kInitializer ? tensor(in) : true;
    });
  }

  bool node(Stream& in) {
    return read_message(in, [&](int number, uint32_t tag, bool& read) {
      if (!is_bytes(tag)) return true;
      if (number == kOpType) {
        std::string name;
        read = true;
        if (!read_text(in, name)) return false;
        ++file_.operators[name];
      }
      if (number != kAttribute) return true;
      read = true;
      return read_message(in, [&](int inner, uint32_t inner_tag, bool& inner_read) {
        inner_read = inner == kTensor && is_bytes(inner_tag);
        return !inner_read || tensor(in);
      });
    });
  }

  bool tensor(Stream& in) {
    size_t dims = 0, elements = 1;
    uint64_t type = 0;
    const auto add = [&](uint64_t size) {
      ++dims;
      elements *= size;
    };
    const bool good = read_message(in, [&](int number, uint32_t tag, bool& read) {
      uint64_t value = 0;
      if (number == kDims && is_varint(tag)) {
        read = true;
        if (!in.ReadVarint64(&value)) return false;
        add(value);
      } else if (number == kDims && is_bytes(tag)) {  // packed
        uint32_t size = 0;
        read = true;
        if (!in.ReadVarint32(&size)) return false;
        const auto limit = in.PushLimit(static_cast<int>(size & 0x7fffffff));
        while (in.BytesUntilLimit() > 0) {
          if (!in.ReadVarint64(&value)) return false;
          add(value);
        }
        in.PopLimit(limit);
      } else if (number == kDataType && is_varint(tag)) {
        read = true;
        return in.ReadVarint64(&type);
      } else if (number == kExternalData && is_bytes(tag)) {
        read = true;
        return external_entry(in);
      }
      return true;
    });
    if (good && dims >= 2) matrices_[type] += elements;
    return good;
  }

  bool external_entry(Stream& in) {
    std::string key, value;
    const bool good = read_message(in, [&](int number, uint32_t tag, bool& read) {
      if (!is_bytes(tag) || (number != 1 && number != 2)) return true;
      read = true;
      return read_text(in, number == 1 ? key : value);
    });
    if (good && key == "location") external_.insert(value);
    return good;
  }

  bool opset(Stream& in) {
    std::string domain;
    uint64_t version = 0;
    const bool good = read_message(in, [&](int number, uint32_t tag, bool& read) {
      if (number == 1 && is_bytes(tag)) return read = true, read_text(in, domain);
      if (number == 2 && is_varint(tag)) return read = true, in.ReadVarint64(&version);
      return true;
    });
    if (good && (domain.empty() || domain == "ai.onnx")) file_.opset = static_cast<int64_t>(version);
    return good;
  }

  GraphFile& file_;
  bool has_graph_ = false;
  std::set<std::string> external_;
  std::map<uint64_t, size_t> matrices_;  // elements of matrices by type
};

Status add_external(const std::string& name, bool whole, GraphFile& file) {
  const fs::path relative(name);
  if (relative.is_absolute() || std::find(relative.begin(), relative.end(), "..") != relative.end()) {
    return absl::InvalidArgumentError(str_cat(file.path, ": names weights outside its folder: ", name));
  }
  const std::string path = (fs::path(file.path).parent_path() / relative).string();
  std::error_code error;
  if (whole && !fs::is_regular_file(path, error)) {
    return absl::NotFoundError(str_cat(file.path, ": its weights are in ", name, ", and ", path,
                                       " is not there: copy or download it beside the .onnx file"));
  }
  file.external.push_back(path);
  return ok_status();
}

}  // namespace

Result<GraphFile> read_graph_file(const std::string& path, bool whole) {
  ASSIGN_OR_RETURN(auto mapped, MappedFile::open(path));
  const auto bytes = mapped.bytes();
  const auto fail = [&](std::string_view what) { return absl::InvalidArgumentError(str_cat(path, ": ", what)); };
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return fail("over 2 GiB: no ONNX file can be; weights of large models lie in a file beside it (external data)");
  }
  if (mapped.text().starts_with("version https://git-lfs"))
    return fail("a Git LFS pointer, not the file: git lfs pull");
  Stream in(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  GraphFile file;
  file.path = path;
  Reader reader(file);
  if (!reader.model(in) || !reader.has_graph()) return fail("not an ONNX model (or a truncated one)");
  if (file.opset < kOldestOpset) {
    return absl::UnimplementedError(str_cat(path, ": opset ", file.opset, " is older than ", kOldestOpset,
                                            ", the first that ONNX Runtime runs: export the model again"));
  }
  file.precision = reader.precision();
  for (const std::string& name : reader.external()) {
    RETURN_IF_ERROR(add_external(name, whole, file));
  }
  return file;
}

}  // namespace rerank::model
