#include "rpc/messages.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <optional>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "transport/errors.h"
#include "transport/inflate.h"

namespace rerank::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::ZeroCopyInputStream;

// A text as the parsed message has it (32 bytes, a pointer to it in an array that may just have grown), and its copy in
// a request. An unknown field takes less.
constexpr size_t kBytesPerField = 96;
constexpr size_t kLongBytes = 64u << 10;

Status not_a_message() {
  return transport::make_error(transport::ErrorKind::kInvalid,
                               "the message is not one that this method takes: broken, of another .proto, or with a "
                               "text that is not UTF-8");
}

// Adds the fields of a message, and of the messages in it, to *count. `type`: null: unknown, as what is in a group.
// False: broken.
bool count_fields(CodedInputStream& in, const Descriptor* type, size_t* count) {
  while (const uint32_t tag = in.ReadTag()) {
    uint64_t number = 0;
    uint32_t size = 0;
    ++*count;
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_VARINT:
        if (!in.ReadVarint64(&number)) return false;
        break;
      case WireFormatLite::WIRETYPE_FIXED64:
        if (!in.Skip(8)) return false;
        break;
      case WireFormatLite::WIRETYPE_FIXED32:
        if (!in.Skip(4)) return false;
        break;
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED: {
        if (!in.ReadVarint32(&size) || size > INT32_MAX) return false;
        const FieldDescriptor* field = type ? type->FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag)) : nullptr;
        if (!field || field->type() != FieldDescriptor::TYPE_MESSAGE) {
          if (!in.Skip(static_cast<int>(size))) return false;
          break;
        }
        const CodedInputStream::Limit limit = in.PushLimit(static_cast<int>(size));
        if (!count_fields(in, field->message_type(), count) || !in.ConsumedEntireMessage()) return false;
        in.PopLimit(limit);
        break;
      }
      case WireFormatLite::WIRETYPE_START_GROUP:
        if (!in.IncrementRecursionDepth() || !count_fields(in, nullptr, count)) return false;
        in.DecrementRecursionDepth();
        break;
      case WireFormatLite::WIRETYPE_END_GROUP:
        return true;
      default:
        return false;
    }
  }
  return true;
}

// How many fields the message in `in` has.
Result<size_t> fields_of(ZeroCopyInputStream& in, const Descriptor* type) {
  CodedInputStream coded(&in);
  size_t count = 0;
  if (!count_fields(coded, type, &count)) return not_a_message();
  return count;
}

// The bytes in one piece; nothing when they cannot be had.
std::optional<std::string> flat(const grpc::ByteBuffer& raw) {
  std::vector<grpc::Slice> slices;
  if (!raw.Dump(&slices).ok()) return std::nullopt;
  std::string bytes;
  bytes.reserve(raw.Length());
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

bool is_gzip(const grpc::ByteBuffer& raw) {
  std::vector<grpc::Slice> slices;
  if (!raw.Dump(&slices).ok()) return false;
  std::string begin;
  for (const grpc::Slice& slice : slices) {
    for (size_t i = 0; i < slice.size() && begin.size() < 2; ++i) begin += static_cast<char>(slice.begin()[i]);
    if (begin.size() == 2) break;
  }
  return begin == "\x1f\x8b";
}

Status inflate_message(grpc::ByteBuffer& raw, size_t max_bytes, transport::MemoryHold& hold, std::string& plain) {
  const size_t size = raw.Length();
  RETURN_IF_ERROR(hold.resize(2 * size));
  const std::optional<std::string> packed = flat(raw);
  if (!packed) return not_a_message();
  raw.Clear();
  return transport::inflate_all(*packed, transport::InflateWindow::kGzip, max_bytes, plain,
                                [&](size_t bytes) { return hold.resize(bytes); });
}

}  // namespace

Status read_message(grpc::ByteBuffer& raw, size_t max_bytes, transport::MemoryHold& hold,
                    google::protobuf::Message& message) {
  std::string inflated;
  const bool packed = is_gzip(raw);
  if (packed) RETURN_IF_ERROR(inflate_message(raw, max_bytes, hold, inflated));
  // Calls `read` with a stream over the bytes, however they lie. A reader of an empty ByteBuffer is not allowed.
  const auto with_stream = [&](auto read) {
    if (packed || raw.Length() == 0) {
      google::protobuf::io::ArrayInputStream in(inflated.data(), static_cast<int>(inflated.size()));
      return read(in);
    }
    grpc::ProtoBufferReader in(&raw);
    return read(in);
  };
  const size_t size = packed ? inflated.size() : raw.Length();
  ASSIGN_OR_RETURN(const size_t fields,
                   with_stream([&](ZeroCopyInputStream& in) { return fields_of(in, message.GetDescriptor()); }));
  RETURN_IF_ERROR(hold.resize(size * (transport::kWorkBytesPerByte + 1) + fields * kBytesPerField));
  const bool read = with_stream([&](ZeroCopyInputStream& in) { return message.ParseFromZeroCopyStream(&in); });
  raw.Clear();
  return read ? ok_status() : not_a_message();
}

bool takes_long(const grpc::ByteBuffer& raw) { return raw.Length() > kLongBytes || is_gzip(raw); }

grpc::ByteBuffer write_message(const google::protobuf::Message& message) {
  grpc::Slice slice(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace rerank::rpc
