#include "transport/json_out.h"

#include <charconv>
#include <cmath>

#include "rapidjson/stringbuffer.h"
#include "rapidjson/writer.h"

namespace rerank::transport {

struct JsonWriter::Impl {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer{buffer};
};

namespace {

constexpr size_t kKeptBytes = 4u << 20;  // buffers that a larger document has grown are not kept for the next

// Each thread keeps a writer with its buffer: a new one would be copied several times while it grows.
template <class Impl>
std::unique_ptr<Impl>& spare_writer() {
  thread_local std::unique_ptr<Impl> writer;
  return writer;
}

}  // namespace

JsonWriter::JsonWriter() : impl_(std::move(spare_writer<Impl>())) {
  if (!impl_) impl_ = std::make_unique<Impl>();
}

JsonWriter::~JsonWriter() {
  if (impl_->buffer.GetSize() > kKeptBytes) return;
  impl_->buffer.Clear();
  impl_->writer.Reset(impl_->buffer);
  spare_writer<Impl>() = std::move(impl_);
}

JsonWriter& JsonWriter::begin_object() {
  impl_->writer.StartObject();
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  impl_->writer.EndObject();
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  impl_->writer.StartArray();
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  impl_->writer.EndArray();
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  impl_->writer.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  // A null pointer is undefined for the writer, and what an empty view may hold.
  impl_->writer.String(text.empty() ? "" : text.data(), static_cast<rapidjson::SizeType>(text.size()));
  return *this;
}

JsonWriter& JsonWriter::value(uint64_t number) {
  impl_->writer.Uint64(number);
  return *this;
}

JsonWriter& JsonWriter::value(int64_t number) {
  impl_->writer.Int64(number);
  return *this;
}

JsonWriter& JsonWriter::value(float number) {
  char digits[32];
  char* end = std::to_chars(digits, digits + sizeof(digits) - 2, std::isfinite(number) ? number : 0.0f).ptr;
  // "1" would be an integer to clients that look at the type.
  if (std::string_view(digits, end - digits).find_first_of(".e") == std::string_view::npos) {
    *end++ = '.';
    *end++ = '0';
  }
  impl_->writer.RawValue(digits, end - digits, rapidjson::kNumberType);
  return *this;
}

JsonWriter& JsonWriter::value(bool flag) {
  impl_->writer.Bool(flag);
  return *this;
}

JsonWriter& JsonWriter::null() {
  impl_->writer.Null();
  return *this;
}

size_t JsonWriter::size() const { return impl_->buffer.GetSize(); }

std::string JsonWriter::take() { return std::string(impl_->buffer.GetString(), impl_->buffer.GetSize()); }

}  // namespace rerank::transport
