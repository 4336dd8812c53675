#include "eval/data/score_store.h"

#include <cstring>
#include <filesystem>

#include "base/strings.h"

namespace rerank::eval {
namespace {

namespace fs = std::filesystem;
constexpr char kMagic[16] = "rerankd scores1";
constexpr size_t kRecord = sizeof(Hash128) + sizeof(KeptScore);

}  // namespace

Result<std::unique_ptr<ScoreStore>> ScoreStore::open(const std::string& path) {
  std::unique_ptr<ScoreStore> store(new ScoreStore());
  if (path.empty()) return store;
  store->path_ = path;
  std::error_code error;
  if (const fs::path parent = fs::path(path).parent_path(); !parent.empty()) fs::create_directories(parent, error);
  store->file_ = std::fopen(path.c_str(), "a+b");
  if (store->file_ == nullptr)
    return absl::UnavailableError(str_cat(path, ": cannot write; name another place with --scores"));
  std::rewind(store->file_);
  char magic[sizeof kMagic];
  const size_t head = std::fread(magic, 1, sizeof magic, store->file_);
  if (head == 0) {
    std::fwrite(kMagic, 1, sizeof kMagic, store->file_);
    return store;
  }
  if (head != sizeof magic || std::memcmp(magic, kMagic, sizeof magic) != 0)
    return absl::InvalidArgumentError(
        str_cat(path, ": not a file of scores of this version; name another or remove it"));
  char record[kRecord];
  size_t records = 0;
  for (; std::fread(record, 1, kRecord, store->file_) == kRecord; ++records) {
    Hash128 key;
    KeptScore score;
    std::memcpy(&key, record, sizeof key);
    std::memcpy(&score, record + sizeof key, sizeof score);
    store->scores_[key] = score;
  }
  fs::resize_file(path, sizeof kMagic + records * kRecord, error);  // appends must start at a whole record
  std::fseek(store->file_, 0, SEEK_END);
  return store;
}

ScoreStore::~ScoreStore() {
  if (file_ != nullptr) std::fclose(file_);
}

const KeptScore* ScoreStore::find(const Hash128& key) const {
  auto found = scores_.find(key);
  return found == scores_.end() ? nullptr : &found->second;
}

Status ScoreStore::add(const Hash128& key, const KeptScore& score) {
  scores_[key] = score;
  if (file_ == nullptr) return ok_status();
  char record[kRecord];
  std::memcpy(record, &key, sizeof key);
  std::memcpy(record + sizeof key, &score, sizeof score);
  return std::fwrite(record, 1, kRecord, file_) == kRecord ? ok_status()
                                                           : absl::UnavailableError(str_cat(path_, ": cannot write"));
}

Status ScoreStore::flush() {
  return file_ == nullptr || std::fflush(file_) == 0 ? ok_status()
                                                     : absl::UnavailableError(str_cat(path_, ": cannot write"));
}

}  // namespace rerank::eval
