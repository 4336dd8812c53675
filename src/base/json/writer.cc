#include "base/json/writer.h"

#include <charconv>
#include <cmath>

#include "rapidjson/prettywriter.h"
#include "rapidjson/stringbuffer.h"
#include "rapidjson/writer.h"

namespace rerank {

struct JsonWriter::Impl {
  JsonStyle style = JsonStyle::kCompact;
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> compact{buffer};
  rapidjson::PrettyWriter<rapidjson::StringBuffer> indented{buffer};

  template <class Write>
  void write(Write&& write) {
    style == JsonStyle::kCompact ? (void)write(compact) : (void)write(indented);
  }
};

namespace {

constexpr size_t kKeptBytes = 4u << 20;  // buffers that a larger document has grown are not kept for the next

// Each thread keeps a writer with its buffer: a new one would be copied several times while it grows.
template <class Impl>
std::unique_ptr<Impl>& spare_writer() {
  thread_local std::unique_ptr<Impl> writer;
  return writer;
}

template <class Number>
JsonWriter& number_of(JsonWriter& out, Number number) {
  char digits[40];
  char* end = std::to_chars(digits, digits + sizeof(digits) - 2, std::isfinite(number) ? number : Number(0)).ptr;
  // "1" would be an integer to clients that look at the type.
  if (std::string_view(digits, size_t(end - digits)).find_first_of(".e") == std::string_view::npos) {
    *end++ = '.';
    *end++ = '0';
  }
  return out.number({digits, size_t(end - digits)});
}

}  // namespace

JsonWriter::JsonWriter(JsonStyle style) : impl_(std::move(spare_writer<Impl>())) {
  if (!impl_) impl_ = std::make_unique<Impl>();
  impl_->style = style;
  impl_->indented.SetIndent(' ', 1);
}

JsonWriter::~JsonWriter() {
  if (impl_->buffer.GetSize() > kKeptBytes) return;
  impl_->buffer.Clear();
  impl_->compact.Reset(impl_->buffer);
  impl_->indented.Reset(impl_->buffer);
  spare_writer<Impl>() = std::move(impl_);
}

JsonWriter& JsonWriter::begin_object() {
  impl_->write([&](auto& out) { return out.StartObject(); });
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  impl_->write([&](auto& out) { return out.EndObject(); });
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  impl_->write([&](auto& out) { return out.StartArray(); });
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  impl_->write([&](auto& out) { return out.EndArray(); });
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  impl_->write([&](auto& out) { return out.Key(name.data(), static_cast<rapidjson::SizeType>(name.size())); });
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  // A null pointer is undefined for the writer, and what an empty view may hold.
  impl_->write([&](auto& out) {
    return out.String(text.empty() ? "" : text.data(), static_cast<rapidjson::SizeType>(text.size()));
  });
  return *this;
}

JsonWriter& JsonWriter::value(uint64_t number) {
  impl_->write([&](auto& out) { return out.Uint64(number); });
  return *this;
}

JsonWriter& JsonWriter::value(int64_t number) {
  impl_->write([&](auto& out) { return out.Int64(number); });
  return *this;
}

JsonWriter& JsonWriter::value(float number) { return number_of(*this, number); }
JsonWriter& JsonWriter::value(double number) { return number_of(*this, number); }

JsonWriter& JsonWriter::number(std::string_view digits) {
  impl_->write([&](auto& out) { return out.RawValue(digits.data(), digits.size(), rapidjson::kNumberType); });
  return *this;
}

JsonWriter& JsonWriter::value(bool flag) {
  impl_->write([&](auto& out) { return out.Bool(flag); });
  return *this;
}

JsonWriter& JsonWriter::null() {
  impl_->write([&](auto& out) { return out.Null(); });
  return *this;
}

size_t JsonWriter::size() const { return impl_->buffer.GetSize(); }

std::string JsonWriter::take() { return std::string(impl_->buffer.GetString(), impl_->buffer.GetSize()); }

}  // namespace rerank
