// Looking into JSON by pointers ("/results/0/index"), for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rapidjson/document.h"
#include "rapidjson/pointer.h"
#include "rapidjson/stringbuffer.h"
#include "rapidjson/writer.h"

namespace rerank {

class Json {
 public:
  explicit Json(const std::string& text) : text_(text) {
    document_.Parse<rapidjson::kParseValidateEncodingFlag>(text.data(), text.size());
    EXPECT_FALSE(document_.HasParseError()) << "not JSON: " << text;
  }

  const rapidjson::Document& document() const { return document_; }
  const rapidjson::Value* find(const std::string& pointer) const {
    if (document_.HasParseError()) return nullptr;
    return rapidjson::Pointer(pointer.c_str(), pointer.size()).Get(document_);
  }
  bool has(const std::string& pointer) const { return find(pointer) != nullptr; }
  bool is_null(const std::string& pointer) const { return has(pointer) && find(pointer)->IsNull(); }

  double number(const std::string& pointer) const {
    const rapidjson::Value* value = find(pointer);
    if (value && value->IsNumber()) return value->GetDouble();
    ADD_FAILURE() << "no number at " << pointer << " in " << text_;
    return 0;
  }
  std::string text(const std::string& pointer) const {
    const rapidjson::Value* value = find(pointer);
    if (value && value->IsString()) return {value->GetString(), value->GetStringLength()};
    ADD_FAILURE() << "no string at " << pointer << " in " << text_;
    return {};
  }
  // Elements of an array, members of an object.
  size_t size(const std::string& pointer) const {
    const rapidjson::Value* value = find(pointer);
    if (value && value->IsArray()) return value->Size();
    if (value && value->IsObject()) return value->MemberCount();
    ADD_FAILURE() << "no array or object at " << pointer << " in " << text_;
    return 0;
  }
  // `key` of each element of the array.
  std::vector<double> numbers(const std::string& pointer, const std::string& key) const {
    std::vector<double> numbers;
    for (size_t i = 0; i < size(pointer); ++i) numbers.push_back(number(pointer + "/" + std::to_string(i) + "/" + key));
    return numbers;
  }

 private:
  std::string text_;
  rapidjson::Document document_;
};

inline std::string to_text(const rapidjson::Value& value) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  value.Accept(writer);
  return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace rerank
