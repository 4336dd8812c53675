// The files of packed weights: used when they are good, written anew when they are not, bounded.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <span>

#include "base/hash.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/cpu/weights/weight_cache.h"
#include "support/tiny_model.h"

namespace rerank::engine {
namespace {

namespace fs = std::filesystem;

class WeightCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    auto loaded =
        model::load_model(testing::write_tiny_model({.hidden = 64, .intermediate = 200}, "weight_cache_test"));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    model_ = *loaded;
    std::mt19937 random(1);
    for (size_t length : {3, 30, 61}) {
      for (size_t i = 0; i < length; ++i)
        ids_.push_back(static_cast<int32_t>(random() % model_->config.architecture.embedding.vocabulary));
      offsets_.push_back(static_cast<uint32_t>(ids_.size()));
    }
    segments_.resize(ids_.size());
  }

  BackendOptions options(size_t max_bytes = 64 << 20) const {
    BackendOptions options = {.precision = Precision::kFp32, .threads = 2};
    options.weight_cache = folder_;
    options.weight_cache_bytes = max_bytes;
    return options;
  }
  std::vector<float> score(const BackendOptions& options) const {
    auto backend = make_cpu_backend(model_, options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    std::vector<float> logits(3);
    EXPECT_TRUE((*backend)->forward({ids_, segments_, offsets_}, logits).ok());
    return logits;
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_)) found.push_back(entry.path());
    return found;
  }
  fs::path only_file() const {
    const auto found = files();
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? fs::path() : found[0];
  }

  const std::string folder_ = ::testing::TempDir() + "weight_cache/of/this/test";
  std::shared_ptr<const model::Model> model_;
  std::vector<int32_t> ids_, segments_;
  std::vector<uint32_t> offsets_{0};
};

TEST_F(WeightCacheTest, ScoresAreTheSameFromMemoryAndFromTheFileOnEveryTier) {
  size_t tiers = 0;
  for (const auto* table : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*table).empty()) continue;
    ++tiers;
    BackendOptions own = {table->precision, table->tier, 2}, cached = options();
    cached.precision = table->precision;
    cached.kernel = table->tier;
    const auto expected = score(own);
    EXPECT_EQ(score(cached), expected) << word_of(table->tier);  // writes it
    EXPECT_EQ(files().size(), tiers);
    EXPECT_EQ(score(cached), expected) << word_of(table->tier);  // reads it
    EXPECT_EQ(files().size(), tiers);
  }
}

TEST_F(WeightCacheTest, ASecondStartDoesNotWrite) {
  score(options());
  const auto file = only_file();
  fs::permissions(file, fs::perms::owner_read);
  std::ofstream(folder_ + "/note") << "not ours";
  const auto inode = [&] {
    struct stat info {};
    ::stat(file.c_str(), &info);
    return info.st_ino;
  };
  const auto before = inode();
  score(options());
  EXPECT_EQ(inode(), before);
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(WeightCacheTest, ABadFileIsWrittenAnew) {
  const auto expected = score(options());
  const auto file = only_file();
  const auto size = fs::file_size(file);
  const auto damage = [&](const char* what, const auto& change) {
    change();
    std::vector<std::string> lines;
    set_log_sink([&](LogLevel, std::string_view message, std::span<const LogField>) { lines.emplace_back(message); });
    EXPECT_EQ(score(options()), expected) << what;
    set_log_sink(nullptr);
    EXPECT_EQ(fs::file_size(only_file()), size) << what;
    std::string all;
    for (const auto& line : lines) all += line + "\n";
    EXPECT_NE(all.find("written anew"), std::string::npos) << what << ": " << all;
  };
  damage("a byte", [&] {
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(size / 2));
    out.put('\x55');
  });
  damage("cut", [&] { fs::resize_file(file, size / 2); });
  damage("empty", [&] { fs::resize_file(file, 0); });
  damage("of other weights", [&] {
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(40);
    out.put('z');
  });
}

TEST_F(WeightCacheTest, AFileThatIsCutInUseFailsBatchesAndEndsNothing) {
  score(options());
  auto backend = make_cpu_backend(model_, options());
  ASSERT_TRUE(backend.ok()) << backend.status();
  std::vector<float> logits(3);
  ASSERT_TRUE((*backend)->forward({ids_, segments_, offsets_}, logits).ok());
  auto other = make_cpu_backend(model_, options());  // what another process does when it starts
  EXPECT_TRUE((*backend)->forward({ids_, segments_, offsets_}, logits).ok());
  fs::resize_file(only_file(), 5000);
  for (auto* engine : {&backend, &other}) {
    const Status status = (**engine)->forward({ids_, segments_, offsets_}, logits);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_NE(status.message().find(only_file().string()), std::string_view::npos) << status;
  }
}

TEST_F(WeightCacheTest, AFifoInItsPlaceIsPassedOver) {
  const auto expected = score(options());
  const auto file = only_file();
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  EXPECT_EQ(score(options()), expected);
}

TEST_F(WeightCacheTest, AFolderThatAnybodyCanWriteIntoIsNotUsed) {
  const auto expected = score(options());
  const auto file = only_file();
  fs::permissions(folder_, fs::perms::others_write, fs::perm_options::add);
  const cpu::WeightCacheOptions cache = {folder_, 1 << 20, "some key"};
  EXPECT_TRUE(absl::IsPermissionDenied(cpu::MappedWeights::open(cache).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(cpu::WeightWriter::create(cache).status()));
  std::ofstream(file) << "another's";
  EXPECT_EQ(score(options()), expected) << "packed into memory";
}

TEST_F(WeightCacheTest, AWholeFileOfAnotherPackingIsNotUsed) {
  const cpu::WeightCacheOptions cache = {folder_, 1 << 20, "some key"};
  auto writer = cpu::WeightWriter::create(cache);
  ASSERT_TRUE(writer.ok()) << writer.status();
  (*writer)->place(100, [](std::byte* to) { std::fill_n(to, 100, std::byte{7}); });
  ASSERT_TRUE((*writer)->commit().ok());
  auto mapped = cpu::MappedWeights::open(cache);
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  EXPECT_EQ((*mapped)->place(100, [](std::byte*) { FAIL() << "it is there"; })[99], std::byte{7});
  EXPECT_FALSE((*mapped)->mismatched());
  bool filled = false;
  EXPECT_EQ((*mapped)->place(200, [&](std::byte* to) { filled = true, to[0] = std::byte{1}; })[0], std::byte{1});
  EXPECT_TRUE(filled);
  EXPECT_TRUE((*mapped)->mismatched());
  auto half = cpu::MappedWeights::open(cache);
  (*half)->place(10, [](std::byte*) {});
  EXPECT_TRUE((*half)->mismatched()) << "less was asked for than is there";
}

TEST_F(WeightCacheTest, TheLeastRecentlyUsedLeave) {
  const auto write = [&](const std::string& key) {
    const cpu::WeightCacheOptions cache = {folder_, 40000, key};
    auto writer = cpu::WeightWriter::create(cache);
    ASSERT_TRUE(writer.ok()) << writer.status();
    (*writer)->place(10000, [](std::byte*) {});
    ASSERT_TRUE((*writer)->commit().ok());
  };
  const auto age = [&](const std::string& key, int hours) {
    const timespec times[] = {{.tv_sec = ::time(nullptr) - hours * 3600}, {.tv_nsec = UTIME_OMIT}};
    ASSERT_EQ(::utimensat(AT_FDCWD, cpu::weight_cache_file({folder_, 0, key}).c_str(), times, 0), 0);
  };
  write("a");
  write("b");
  age("a", 3), age("b", 2);
  ASSERT_TRUE(cpu::MappedWeights::open({folder_, 40000, "a"}).ok());  // used now
  write("c");
  EXPECT_TRUE(fs::exists(cpu::weight_cache_file({folder_, 0, "a"})));
  EXPECT_FALSE(fs::exists(cpu::weight_cache_file({folder_, 0, "b"})));
  EXPECT_TRUE(fs::exists(cpu::weight_cache_file({folder_, 0, "c"})));
}

TEST_F(WeightCacheTest, WithoutRoomOrFolderWeightsArePackedIntoMemory) {
  const auto expected = score({.precision = Precision::kFp32, .threads = 2});
  EXPECT_EQ(score(options(1000)), expected);
  EXPECT_TRUE(files().empty());
  BackendOptions nowhere = options();
  nowhere.weight_cache = "/proc/none";
  EXPECT_EQ(score(nowhere), expected);
}

// Multiples of 1/64 whose largest is 127/64 in each row, so that int8's units are exact.
std::vector<float> plain_weights(size_t rows, size_t columns) {
  std::vector<float> weights(rows * columns);
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] = i % columns == 3 ? 127.0f / 64 : static_cast<float>(static_cast<int>(i * 37 % 251) - 125) / 64;
  return weights;
}

std::string hash_of(std::span<const std::byte> packed) {
  return hash128({reinterpret_cast<const char*>(packed.data()), packed.size()}).hex().substr(0, 16);
}

std::string panel_layout(const cpu::ProductKernels& kernels) {
  const size_t out = 40, in = 70, panels = (out + kernels.tile_columns - 1) / kernels.tile_columns;
  cpu::Buffer<std::byte> packed(panels * kernels.panel_bytes(in));
  std::memset(packed.data(), 0, packed.size());
  const std::vector<float> weights = plain_weights(out, in);
  kernels.pack({weights.data(), out, in, in}, packed.data());
  return hash_of({packed.data(), packed.size()});
}

std::string tile_layout(const cpu::TileKernels& kernels) {
  const size_t steps = 3, inputs = steps * kernels.inputs_per_tile;
  cpu::Buffer<std::byte> packed(steps * 2 * cpu::kTileBytes);
  cpu::Buffer<float> scales(cpu::kPanelColumns), sums(cpu::kPanelColumns);
  kernels.pack(plain_weights(cpu::kPanelColumns, inputs).data(), inputs, packed.data(), scales.data(), sums.data());
  return hash_of({packed.data(), packed.size()});
}

// A file of another layout would be read as a valid one: its sizes and its hash are right. Where this fails, raise
// kPanelLayout or kTileLayout and record what is packed now.
TEST(PackedLayout, ChangesWithItsNumberOnly) {
  const std::map<std::string, std::string> recorded = {
      {"avx512bf16 bf16", "568cba9a3bfdc2b2"},
      {"avx512 fp32", "fae0f8b91470a182"},
      {"avx2 fp32", "12dfc449c72c90cd"},
      {"avx512vnni-bf16 int8", "41b47cb896615d67"},
      {"avx512vnni int8", "41b47cb896615d67"},
      {"avx2 int8", "9b2d189b2a2fd503"},
      {"bf16-emulated bf16", "1bef31b67919d714"},
      {"amx bf16", "bc991875ec909faa"},
      {"amx-emulated bf16", "bc991875ec909faa"},
      {"amx int8", "de17cecc9ebfc836"},
      {"amx-emulated int8", "de17cecc9ebfc836"},
      {"amx-rows bf16", "568cba9a3bfdc2b2"},
      {"amx-rows-emulated bf16", "568cba9a3bfdc2b2"},
      {"amx-rows-narrow-emulated bf16", "1bef31b67919d714"},
      {"amx-rows int8", "bd8ee33b3b57cec4"},
      {"amx-rows-emulated int8", "bd8ee33b3b57cec4"},
      {"amx-rows-narrow-emulated int8", "1dcaac87031d5126"},
      {"amx-rows int4", "0dd5b0ae651e4d22"},
      {"avx512bf16 int4", "0dd5b0ae651e4d22"},
      {"avx512 int4", "0dd5b0ae651e4d22"},
      {"avx2 int4", "ecf95e70f8f6885a"},
      {"bf16-emulated int4", "ecf95e70f8f6885a"},
  };
  EXPECT_EQ(cpu::kPanelLayout, 1);
  EXPECT_EQ(cpu::kTileLayout, 1);
  for (const cpu::KernelTable* table : cpu::compiled_kernels()) {
    const std::string name = str_cat(word_of(table->tier), " ", word_of(table->precision));
    if (table->tier == KernelTier::kPortable) continue;  // as wide as the vectors of the machine it is built for
    ASSERT_TRUE(recorded.contains(name)) << name;
    if (!cpu::unsupported_reason(*table).empty()) continue;
    EXPECT_EQ(table->tiles != nullptr ? tile_layout(*table->tiles) : panel_layout(table->linear), recorded.at(name))
        << name;
  }
}

}  // namespace
}  // namespace rerank::engine
