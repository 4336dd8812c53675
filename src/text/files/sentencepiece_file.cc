#include "text/files/sentencepiece_file.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <bit>
#include <functional>

#include "base/strings.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

using google::protobuf::internal::WireFormatLite;
using Stream = google::protobuf::io::CodedInputStream;

// Field numbers of sentencepiece_model.proto, with the kind of their values.
constexpr uint32_t tag_of(int field, WireFormatLite::WireType type) {
  return static_cast<uint32_t>(field) << 3 | static_cast<uint32_t>(type);
}
constexpr auto kVarint = WireFormatLite::WIRETYPE_VARINT, kBytes = WireFormatLite::WIRETYPE_LENGTH_DELIMITED,
               kFixed32 = WireFormatLite::WIRETYPE_FIXED32;
constexpr uint32_t kPieces = tag_of(1, kBytes), kTrainer = tag_of(2, kBytes), kNormalizer = tag_of(3, kBytes);
constexpr uint32_t kPieceText = tag_of(1, kBytes), kPieceScore = tag_of(2, kFixed32), kPieceType = tag_of(3, kVarint);
constexpr uint32_t kModelType = tag_of(3, kVarint), kUnknownId = tag_of(40, kVarint);
constexpr uint32_t kCharsmap = tag_of(2, kBytes);
constexpr uint64_t kUnigram = 1;

// Calls field(tag) for each field of the message that `in` stands in; it says whether it has read the value.
bool each_field(Stream& in, const std::function<bool(uint32_t tag, bool& good)>& field) {
  while (const uint32_t tag = in.ReadTag()) {
    bool good = true;
    if (!field(tag, good) && !WireFormatLite::SkipField(&in, tag)) return false;
    if (!good) return false;
  }
  return in.ConsumedEntireMessage();
}

// The length in front of a text or a message, which lies inside of what is left.
bool read_length(Stream& in, int& length) {
  uint32_t size = 0;
  if (!in.ReadVarint32(&size) || size > static_cast<uint32_t>(INT32_MAX)) return false;
  length = static_cast<int>(size);
  return in.BytesUntilLimit() < 0 || length <= in.BytesUntilLimit();
}
bool read_text(Stream& in, std::string& out) {
  int length = 0;
  return read_length(in, length) && in.ReadString(&out, length);
}
bool read_message(Stream& in, const std::function<bool(uint32_t, bool&)>& field) {
  int length = 0;
  if (!read_length(in, length)) return false;
  const auto limit = in.PushLimit(length);
  const bool good = each_field(in, field);
  in.PopLimit(limit);
  return good;
}
bool read_piece(Stream& in, SentencePiece& piece) {
  return read_message(in, [&](uint32_t tag, bool& good) {
    uint32_t value = 0;
    if (tag == kPieceText) return good = read_text(in, piece.text), true;
    if (tag == kPieceScore) {
      good = in.ReadLittleEndian32(&value);
      piece.score = std::bit_cast<float>(value);
      return true;
    }
    if (tag != kPieceType) return false;
    good = in.ReadVarint32(&value);
    piece.type = static_cast<int>(value);
    return true;
  });
}

bool read_trainer(Stream& in, SentencePieceFile& file) {
  return read_message(in, [&](uint32_t tag, bool& good) {
    uint64_t value = 0;
    if (tag != kModelType && tag != kUnknownId) return false;
    good = in.ReadVarint64(&value);
    if (tag == kModelType) file.unigram = value == kUnigram;
    if (tag == kUnknownId) file.unknown_id = static_cast<int64_t>(value);
    return true;
  });
}

}  // namespace

Result<SentencePieceFile> read_sentencepiece(std::string_view bytes, std::string_view origin) {
  const auto wrong = [&](std::string_view what) { return absl::InvalidArgumentError(str_cat(origin, ": ", what)); };
  if (bytes.size() > static_cast<size_t>(INT32_MAX)) return wrong("larger than 2 GB");
  SentencePieceFile file;
  Stream in(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  const auto limit = in.PushLimit(static_cast<int>(bytes.size()));
  const bool good = each_field(in, [&](uint32_t tag, bool& fine) {
    if (tag == kPieces) {
      file.pieces.emplace_back();
      fine = file.pieces.size() <= kMaxPieces && read_piece(in, file.pieces.back());
    } else if (tag == kTrainer) {
      fine = read_trainer(in, file);
    } else if (tag == kNormalizer) {
      fine = read_message(in, [&](uint32_t field, bool& read) {
        if (field != kCharsmap) return false;
        read = read_text(in, file.charsmap);
        return true;
      });
    } else {
      return false;
    }
    return true;
  });
  in.PopLimit(limit);
  if (!good || file.pieces.empty())
    return wrong("not a model of SentencePiece (a Git LFS pointer is a short text file), or cut off");
  for (const SentencePiece& piece : file.pieces)
    if (!is_valid_utf8(piece.text)) return wrong("has a piece that is not UTF-8");
  return file;
}

}  // namespace rerank::text
