// Downloads from a small hub of our own: what is asked for, kept, resumed, checked and refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/strings.h"
#include "local_hub.h"
#include "model/hub.h"
#include "model/hub/client.h"
#include "model/weights.h"
#include "support/tiny_model.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const std::string kModel = RERANKD_SOURCE_DIR "/tests/data/models/bert-a";

TEST_F(HubTest, DownloadsIntoTheCacheOnceAndLoads) {
  publish_tiny_model();
  uint64_t told = 0, total = 0;
  model::HubOptions o = options();
  o.progress = [&](std::string_view file, uint64_t done, uint64_t all) {
    if (file == "model.safetensors") told = done, total = all;
  };
  auto folder = model::fetch_from_hub("org/tiny", "main", o);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(*folder, cache_ + "/models--org--tiny/snapshots/c0ffee");
  EXPECT_TRUE(fs::is_symlink(*folder + "/model.safetensors"));
  EXPECT_TRUE(model::load_model(*folder).ok()) << model::load_model(*folder).status();
  EXPECT_EQ(told, total);
  EXPECT_GT(total, 0u);

  const size_t requests = hub_.seen().size();
  EXPECT_EQ(*model::fetch_from_hub("org/tiny", "main", options()), *folder);
  EXPECT_TRUE(model::fetch_from_hub("org/tiny", "main", options(true)).ok());
  EXPECT_EQ(hub_.seen().size(), requests) << "what is in the cache is not asked for again";
}

TEST_F(HubTest, TheTokenGoesToTheHubOnly) {
  publish_tiny_model();
  ASSERT_TRUE(model::fetch_from_hub("org/tiny", "main", options()).ok());
  bool elsewhere = false;
  for (const Seen& s : hub_.seen()) {
    if (s.host.starts_with("localhost")) {
      elsewhere = true;
      EXPECT_EQ(s.authorization, "") << s.path;
    } else {
      EXPECT_EQ(s.authorization, "Bearer secret") << s.path;
    }
  }
  EXPECT_TRUE(elsewhere);
}

TEST_F(HubTest, ResumesABrokenDownload) {
  publish_tiny_model();
  const std::string content = *read_file(::testing::TempDir() + "/hub_test_model/model.safetensors", 1u << 30);
  const std::string blobs = cache_ + "/models--org--tiny/blobs";
  fs::create_directories(blobs);
  std::ofstream(blobs + "/model.safetensors-etag.incomplete", std::ios::binary) << content.substr(0, 5000);
  auto folder = model::fetch_from_hub("org/tiny", "main", options());
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(*read_file(*folder + "/model.safetensors", 1u << 30), content);
  std::vector<std::string> ranges;
  for (const Seen& s : hub_.seen()) ranges.push_back(s.range);
  EXPECT_THAT(ranges, Contains("bytes=5000-"));
}

TEST_F(HubTest, TheSizeOfWeightsIsKnownWithoutThem) {
  publish_tiny_model();
  const std::string content = *read_file(::testing::TempDir() + "/hub_test_model/model.safetensors", 1u << 30);
  const auto bytes = model::weight_bytes_on_hub("org/tiny", "main", options());
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*bytes, content.size());
  EXPECT_TRUE(hub_.downloaded().empty());
  EXPECT_EQ(model::weight_bytes_on_hub("org/none", "main", options()).status().code(), absl::StatusCode::kNotFound);
  hub_.revision = "sharded";
  hub_.add("pytorch_model.bin.index.json", R"({"metadata":{"total_size":2270000000},"weight_map":{}})");
  EXPECT_EQ(model::weight_bytes_on_hub("org/tiny", "sharded", options()).value_or(0), content.size())
      << "the first there is";
}

TEST_F(HubTest, ADownloadGoesOnAsLongAsItMakesProgress) {
  publish_tiny_model();
  const std::string content = *read_file(::testing::TempDir() + "/hub_test_model/model.safetensors", 1u << 30);
  hub_.most_at_once = content.size() / 20;
  auto folder = model::fetch_from_hub("org/tiny", "main", options());
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(*read_file(*folder + "/model.safetensors", 1u << 30), content);
  const std::vector<std::string> names = hub_.downloaded();
  EXPECT_GE(std::count(names.begin(), names.end(), "model.safetensors"), 20) << "twenty times it broke off";
}

TEST_F(HubTest, ADownloadThatBringsNextToNothingIsGivenUp) {
  publish_tiny_model();
  hub_.most_at_once = 1;
  EXPECT_EQ(model::fetch_from_hub("org/tiny", "main", options()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(HubTest, ADownloadThatBrokeOffHealsWhereTheHubHasNoRanges) {
  publish_tiny_model();
  hub_.ranges = false;
  const std::string content = *read_file(::testing::TempDir() + "/hub_test_model/model.safetensors", 1u << 30);
  const std::string blobs = cache_ + "/models--org--tiny/blobs";
  fs::create_directories(blobs);
  std::ofstream(blobs + "/model.safetensors-etag.incomplete", std::ios::binary) << content.substr(0, 5000);
  auto folder = model::fetch_from_hub("org/tiny", "main", options());
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(*read_file(*folder + "/model.safetensors", 1u << 30), content);
}

TEST_F(HubTest, ASilentHubIsGivenUp) {
  hub_.silent = true;
  model::HubOptions o = options();
  o.patience = std::chrono::seconds(1);
  const Status status = model::fetch_from_hub("org/tiny", "main", o).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(message_of(status)), HasSubstr(hub_.endpoint()));
}

TEST_F(HubTest, BytesAreHeldAgainstTheHubsChecksum) {
  publish_tiny_model();
  const std::string content = *read_file(::testing::TempDir() + "/hub_test_model/model.safetensors", 1u << 30);
  hub_.etag_of_weights = std::string(64, 'a');
  const Status status = model::fetch_from_hub("org/tiny", "main", options()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(message_of(status)), HasSubstr("checksum"));
  for (const char* end : {"", ".incomplete"})
    EXPECT_FALSE(fs::exists(cache_ + "/models--org--tiny/blobs/" + hub_.etag_of_weights + end));
  hub_.etag_of_weights = sha256_hex(content);
  EXPECT_TRUE(model::fetch_from_hub("org/tiny", "main", options()).ok());
}

TEST_F(HubTest, ABlobThatAnotherProgramLeftHalfIsLoadedAgain) {
  publish_tiny_model();
  auto folder = model::fetch_from_hub("org/tiny", "main", options());
  ASSERT_TRUE(folder.ok()) << folder.status();
  fs::resize_file(cache_ + "/models--org--tiny/blobs/model.safetensors-etag", 5000);
  EXPECT_TRUE(model::fetch_from_hub("org/tiny", "main", options()).ok());
  EXPECT_TRUE(model::load_model(*folder).ok()) << model::load_model(*folder).status();
  // Offline, what is wrong is said of the file that is wrong, also where a graph would do.
  fs::remove(cache_ + "/models--org--tiny/blobs/model.safetensors-etag");
  model::HubOptions offline = options(true);
  offline.files = model::HubFiles::kWeightsOrGraph;
  EXPECT_THAT(std::string(message_of(model::fetch_from_hub("org/tiny", "main", offline).status())),
              HasSubstr("model.safetensors: a link to a file that is not there"));
}

TEST_F(HubTest, TakesBranchesTagsAndPullRequests) {
  publish_tiny_model();
  for (const auto& [revision, escaped] : {std::pair("refs/pr/4", "refs%2Fpr%2F4"),
                                          std::pair("feature/x", "feature%2Fx"), std::pair("v1.0+cpu", "v1.0%2Bcpu")}) {
    hub_.revision = escaped;
    auto folder = model::fetch_from_hub("org/tiny", revision, options());
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_EQ(*model::fetch_from_hub("org/tiny", revision, options(true)), *folder);
  }
  for (const char* bad : {"a/../b", "/a", "a/", "a//b", "a b", "a\nb", "", "a~1"}) {
    EXPECT_EQ(model::fetch_from_hub("org/tiny", bad, options()).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST_F(HubTest, FollowsARenamedModel) {
  publish_tiny_model();
  hub_.renamed = true;
  EXPECT_TRUE(model::fetch_from_hub("org/tiny", "main", options()).ok());
}

TEST_F(HubTest, TakesMirrorsAndCachesAsOtherProgramsMakeThem) {
  publish_tiny_model();
  hub_.revision = hub_.commit = std::string(40, 'a');
  hub_.tells_commit = false;
  hub_.etag_of_weights = "{SHA1{0123456789}}";
  auto folder = model::fetch_from_hub("org/tiny", hub_.revision, options());
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(*model::fetch_from_hub("org/tiny", hub_.commit, options(true)), *folder);
  EXPECT_EQ(*model::fetch_from_hub("org/tiny", "main", options(true)), *folder)
      << "the only snapshot of a cache without refs";
  fs::create_directories(cache_ + "/models--org--tiny/refs");
  std::ofstream(cache_ + "/models--org--tiny/refs/main") << "  " << hub_.commit << "\r\n";
  EXPECT_EQ(*model::fetch_from_hub("org/tiny", "main", options(true)), *folder);
}

TEST(HubAddresses, RedirectsAreResolvedByTheRules) {
  const std::string mirror = "http://mirror/artifactory/hf/a/b";
  EXPECT_EQ(*model::hub::resolve_location(mirror, "/cdn/x"), "http://mirror/cdn/x");
  EXPECT_EQ(*model::hub::resolve_location(mirror, "//host/x"), "http://host/x");
  EXPECT_EQ(*model::hub::resolve_location(mirror, "c?d=1"), "http://mirror/artifactory/hf/a/c?d=1");
  EXPECT_EQ(*model::hub::resolve_location(mirror, "../x"), "http://mirror/artifactory/hf/x");
  EXPECT_EQ(*model::hub::resolve_location(mirror, "https://host/x"), "https://host/x");
  EXPECT_FALSE(model::hub::resolve_location("https://hub/x", "http://hub/x").ok()) << "what began encrypted stays so";
  EXPECT_FALSE(model::hub::resolve_location(mirror, "file:///etc/passwd").ok());
  EXPECT_TRUE(model::hub::same_origin("https://hub.co/x", "HTTPS://HUB.co:443/y"));
  EXPECT_FALSE(model::hub::same_origin("https://hub.co", "https://hub.co.evil.net/x"));
  EXPECT_FALSE(model::hub::same_origin("https://hub.co", "https://hub.co@evil.net/x"));
  EXPECT_FALSE(model::hub::same_origin("https://hub.co", "https://hub.co:8443"));
}

TEST_F(HubTest, AShortFileIsNotInstalled) {
  publish_tiny_model();
  hub_.announce_extra = 7;
  auto folder = model::fetch_from_hub("org/tiny", "main", options());
  EXPECT_EQ(folder.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(message_of(folder.status())), HasSubstr("model.safetensors"));
  EXPECT_FALSE(fs::exists(cache_ + "/models--org--tiny/blobs/model.safetensors-etag"));
}

TEST_F(HubTest, TakesShardsByTheirIndex) {
  const std::string folder = testing::write_tiny_model({}, "hub_test_shards");
  auto tensors = testing::make_tensors({});
  const size_t half = tensors.size() / 2;
  testing::write_safetensors(folder + "/model-00001-of-00002.safetensors", {tensors.begin(), tensors.begin() + half},
                             model::DType::kF32);
  testing::write_safetensors(folder + "/model-00002-of-00002.safetensors", {tensors.begin() + half, tensors.end()},
                             model::DType::kF32);
  fs::remove(folder + "/model.safetensors");
  std::string map;
  for (size_t i = 0; i < tensors.size(); ++i) {
    map += str_cat(i ? "," : "", "\"", tensors[i].name, "\":\"model-0000", i < half ? 1 : 2, "-of-00002.safetensors\"");
  }
  std::ofstream(folder + "/model.safetensors.index.json") << "{\"metadata\":{},\"weight_map\":{" << map << "}}";
  hub_.add_folder(folder);
  auto fetched = model::fetch_from_hub("org/tiny", "main", options());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_TRUE(model::load_model(*fetched).ok()) << model::load_model(*fetched).status();
}

// An older repository: pytorch_model.bin and vocab.txt, neither model.safetensors nor tokenizer.json.
TEST_F(HubTest, OlderFilesAreTakenWhereNewerOnesAreMissing) {
  hub_.add("config.json", testing::make_config_json({}));
  hub_.add("vocab.txt", "[UNK]\n");
  hub_.add("pytorch_model.bin", *read_file(RERANKD_SOURCE_DIR "/tests/data/torch/zip.bin", 1u << 20));
  auto fetched = fetch_from_hub("org/tiny", "main", options());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  for (const char* name : {"vocab.txt", "pytorch_model.bin"}) EXPECT_TRUE(fs::exists(*fetched + "/" + name)) << name;
  const size_t seen = hub_.downloaded().size();
  EXPECT_TRUE(fetch_from_hub("org/tiny", "main", options()).ok());
  EXPECT_EQ(hub_.downloaded().size(), seen) << "the cache serves it the second time";
}

// A repository as exporters leave it: graphs in onnx/, of one the weights beside it, and no safetensors.
// Repositories of GGUF files have no config.json, and often several precisions.
TEST_F(HubTest, SaysWhatIsWrong) {
  publish_tiny_model();
  EXPECT_THAT(std::string(message_of(model::fetch_from_hub("org/other", "main", options()).status())),
              HasSubstr("org/other"));
  EXPECT_EQ(model::fetch_from_hub("org/other", "main", options()).status().code(), absl::StatusCode::kNotFound);
  auto offline = model::fetch_from_hub("org/tiny", "main", options(true)).status();
  EXPECT_EQ(offline.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(message_of(offline)), HasSubstr("HF_HUB_OFFLINE"));
  EXPECT_EQ(model::fetch_from_hub("../etc", "main", options()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model::fetch_from_hub("org/tiny", "../x", options()).status().code(), absl::StatusCode::kInvalidArgument);
  hub_.gate_status = 401;
  auto gated = model::fetch_from_hub("org/tiny", "main", options()).status();
  EXPECT_THAT(std::string(message_of(gated)), HasSubstr("HF_TOKEN"));
  EXPECT_FALSE(model::is_hub_id("/absolute"));
  EXPECT_FALSE(model::is_hub_id("a/b/c"));
  EXPECT_TRUE(model::is_hub_id("BAAI/bge-reranker-v2-m3"));
}

}  // namespace
}  // namespace rerank
