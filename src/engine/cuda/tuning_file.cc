#include "engine/cuda/tuning_file.h"

#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <tuple>

#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::engine {
namespace {

namespace fs = std::filesystem;
using cuda::TunedProduct;

constexpr uint64_t kMagic = 0x32454e5554525252;  // "RRRTUNE2": another number where the format changes
// As many as an engine remembers (engine/cuda/kernels/tuning.h): 400 kB. Of more, only what the last engine knew is
// kept.
constexpr size_t kMostProducts = 4096;

// The identity and the products come after it.
struct Header {
  uint64_t magic = kMagic;
  uint64_t hash_low = 0, hash_high = 0;  // of what comes after
  uint32_t identity_bytes = 0, products = 0;
};
constexpr size_t kMostBytes = sizeof(Header) + 4096 + kMostProducts * sizeof(TunedProduct);

auto shape_of(const TunedProduct& p) { return std::tuple(p.type, p.epilogue, p.m, p.n, p.k, p.alignment); }

}  // namespace

TuningFile::TuningFile(const std::string& folder, const std::string& identity)
    : identity_(identity), path_(str_cat(folder, "/", hash128(identity).hex(), ".tuning")) {}

Result<std::vector<TunedProduct>> TuningFile::load() const {
  ASSIGN_OR_RETURN(auto text, read_file(path_, kMostBytes));
  Header header;
  if (text.size() < sizeof header) return absl::DataLossError(str_cat(path_, ": too short"));
  std::memcpy(&header, text.data(), sizeof header);
  if (header.magic != kMagic) return absl::DataLossError(str_cat(path_, ": not a file of tuned products"));
  const std::string_view behind = std::string_view(text).substr(sizeof header);
  const size_t product_bytes = size_t{header.products} * sizeof(TunedProduct);
  if (behind.size() != header.identity_bytes + product_bytes ||
      hash128(behind) != Hash128{header.hash_low, header.hash_high})
    return absl::DataLossError(str_cat(path_, ": damaged"));
  if (behind.substr(0, header.identity_bytes) != identity_)
    return absl::DataLossError(str_cat(path_, ": not of this device"));
  std::vector<TunedProduct> products(header.products);
  if (!products.empty()) std::memcpy(products.data(), behind.data() + header.identity_bytes, product_bytes);
  return products;
}

std::vector<TunedProduct> TuningFile::read() const {
  auto products = load();
  if (products.ok()) return *std::move(products);
  if (!absl::IsNotFound(products.status()))
    log_warning(str_cat("cuda engine: ", message_of(products.status()), "; it is passed over, and written anew"));
  return {};
}

Status TuningFile::keep(std::span<const TunedProduct> products) const {
  std::vector<TunedProduct> all(products.begin(), products.end());
  std::set<decltype(shape_of({}))> shapes;
  for (const TunedProduct& product : products) shapes.insert(shape_of(product));
  if (const auto there = load(); there.ok() && there->size() + all.size() <= kMostProducts) {
    for (const TunedProduct& product : *there) {
      if (shapes.insert(shape_of(product)).second) all.push_back(product);
    }
  }
  std::string behind = identity_;
  behind.append(reinterpret_cast<const char*>(all.data()), all.size() * sizeof(TunedProduct));
  const Hash128 hash = hash128(behind);
  const Header header{kMagic, hash.low, hash.high, static_cast<uint32_t>(identity_.size()),
                      static_cast<uint32_t>(all.size())};

  static std::atomic<int> writers = 0;  // engines of one process write side by side
  const std::string temporary = str_cat(path_, ".", ::getpid(), ".", writers++);
  std::error_code error;
  fs::create_directories(fs::path(path_).parent_path(), error);
  std::ofstream file(temporary, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header), sizeof header);
  file.write(behind.data(), static_cast<std::streamsize>(behind.size()));
  file.close();
  if (file.fail()) error = std::make_error_code(std::errc::io_error);
  if (!error) fs::rename(temporary, path_, error);
  if (!error) return ok_status();
  std::error_code ignored;
  fs::remove(temporary, ignored);
  return absl::UnavailableError(str_cat("--tuning-cache: cannot write ", path_, ": ", error.message()));
}

}  // namespace rerank::engine
