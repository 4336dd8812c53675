// Downloads from a small hub of our own: Hugging Face's addresses, headers, redirects to another host, ranges.
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
#include "convert/verify.h"
#include "convert/writers.h"
#include "engine/registry.h"
#include "model/hub.h"
#include "model/hub/client.h"
#include "model/weights.h"
#include "rank/locate.h"
#include "server/http_server.h"
#include "support/tiny_model.h"
#include "support/tolerances.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const std::string kModel = RERANKD_SOURCE_DIR "/tests/data/models/bert-a";

struct Seen {
  std::string method, path, range, authorization, host;
};

// Serves files as huggingface.co does: weights answer with a redirect to another host name and linked size and etag.
class LocalHub {
 public:
  LocalHub() {
    ServerOptions options;
    options.port = 0;
    auto server = server::HttpServer::start(options, [this](transport::HttpRequest&& r, auto done) {
      if (silent) return held_.push_back(std::move(done));
      done(answer(r));
    });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
  }
  std::string endpoint() const { return str_cat("http://127.0.0.1:", server_->port()); }

  void add(const std::string& name, std::string content) { files_[name] = std::move(content); }
  void add_folder(const std::string& folder) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      add(entry.path().lexically_relative(folder).string(), *read_file(entry.path().string(), 1u << 30));
    }
    if (files_.count("tokenizer.json") == 0) add("tokenizer.json", "{}");
  }
  std::vector<Seen> seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }

  // Files that were asked for in full.
  std::vector<std::string> downloaded() {
    std::vector<std::string> names;
    for (const Seen& s : seen()) {
      if (s.method == "GET" && s.path.find("/api/") != 0) names.push_back(name_of(s.path));
    }
    return names;
  }

  size_t announce_extra = 0;  // bytes announced beyond what is sent
  int gate_status = 0;        // answer everything with this status
  bool ranges = true;         // false: the whole file is sent, whatever range is asked for
  size_t most_at_once = 0;    // bytes of weights that one answer has; 0: all
  bool silent = false;        // requests are taken and never answered
  std::string revision = "main", commit = "c0ffee", etag_of_weights;  // the last: as made of the name when empty
  bool tells_commit = true;
  bool renamed = false;  // the model has another name, and the old one leads there

 private:
  std::string name_of(std::string_view path) const {
    for (const std::string& prefix :
         {str_cat("/org/", renamed ? "new" : "tiny", "/resolve/", revision, "/"), std::string("/cdn/")}) {
      if (path.starts_with(prefix)) return std::string(path.substr(prefix.size()));
    }
    return "";
  }

  // What the hub says of a repository, as far as it is read.
  transport::HttpResponse listing() {
    std::string siblings;
    for (const auto& [name, content] : files_)
      siblings += str_cat(siblings.empty() ? "" : ",", R"({"rfilename":")", name, "\"}");
    return {.status = 200, .body = str_cat(R"({"id":"org/tiny","siblings":[)", siblings, "]}")};
  }

  transport::HttpResponse answer(const transport::HttpRequest& r) {
    std::lock_guard lock(mutex_);
    const std::string path = r.target;
    seen_.push_back({r.method, path, std::string(r.header("range")), std::string(r.header("authorization")),
                     std::string(r.header("host"))});
    if (gate_status != 0) return {.status = gate_status, .body = "{}"};
    if (renamed && path.starts_with("/org/tiny/"))
      return {.status = 307, .headers = {{"location", "/org/new/" + path.substr(10)}}, .body = "{}"};
    if (path == "/api/models/org/tiny/revision/main") return listing();
    const std::string name = name_of(path);
    std::string etag = name + "-etag";
    std::replace(etag.begin(), etag.end(), '/', '-');
    if (name == "model.safetensors" && !etag_of_weights.empty()) etag = etag_of_weights;
    auto file = files_.find(name);
    if (file == files_.end()) return {.status = 404, .body = "{}"};
    transport::HttpResponse response;
    response.content_type = "application/octet-stream";
    const bool linked =
        name.ends_with(".safetensors") || name.ends_with(".onnx") || name.ends_with("_data") || name.ends_with(".gguf");
    if (linked && !path.starts_with("/cdn/")) {
      response.status = 302;
      response.headers = {{"x-repo-commit", commit},
                          {"etag", "\"pointer\""},
                          {"x-linked-etag", "\"" + etag + "\""},
                          {"x-linked-size", std::to_string(file->second.size() + announce_extra)},
                          {"location", str_cat("http://localhost:", server_->port(), "/cdn/", name)}};
      return response;
    }
    response.headers = {{"etag", "\"" + etag + "\""}};
    if (tells_commit) response.headers.emplace_back("x-repo-commit", commit);
    response.body = file->second;
    const std::string_view range = r.header("range");
    if (ranges && range.starts_with("bytes=")) {
      const size_t from = std::stoul(std::string(range.substr(6)));
      response.status = 206;
      response.headers.emplace_back("content-range",
                                    str_cat("bytes ", from, "-", response.body.size() - 1, "/", response.body.size()));
      response.body = response.body.substr(from);
    }
    if (most_at_once != 0 && path.starts_with("/cdn/") && response.body.size() > most_at_once)
      response.body.resize(most_at_once);
    return response;
  }

  std::mutex mutex_;
  std::map<std::string, std::string> files_;
  std::vector<Seen> seen_;
  std::vector<std::function<void(transport::HttpResponse)>> held_;
  std::unique_ptr<server::HttpServer> server_;
};

class HubTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cache_ =
        ::testing::TempDir() + "/hub_test_cache_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(cache_);
  }
  void TearDown() override { fs::remove_all(cache_); }
  model::HubOptions options(bool offline = false) { return {hub_.endpoint(), "secret", cache_, offline, {}}; }
  void publish_tiny_model() { hub_.add_folder(testing::write_tiny_model({}, "hub_test_model")); }

  LocalHub hub_;
  std::string cache_;
};

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
TEST_F(HubTest, TakesGgufFiles) {
  const std::string file = *read_file(RERANKD_SOURCE_DIR "/tests/data/gguf/qwen3-q8_0/model.gguf", 1u << 30);
  hub_.add("tiny-Q8_0.gguf", file);
  hub_.add("mmproj-F16.gguf", file);
  auto found = model::fetch_from_hub("org/tiny", "main", options());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, cache_ + "/models--org--tiny/snapshots/c0ffee/tiny-Q8_0.gguf");
  EXPECT_TRUE(model::load_model(*found).ok()) << model::load_model(*found).status();
  EXPECT_EQ(*model::fetch_from_hub("org/tiny", "main", options(true)), *found);
  EXPECT_EQ(*model::weight_bytes_on_hub("org/tiny", "main", options()), file.size());

  fs::remove_all(cache_);
  hub_.add("tiny-Q4_K_M.gguf", file);
  EXPECT_THAT(model::fetch_from_hub("org/tiny", "main", options()).status().ToString(),
              AllOf(HasSubstr("several GGUF files"), HasSubstr("--model org/tiny:NAME"), HasSubstr("tiny-Q8_0.gguf")));
  Options wanted;
  wanted.model.source.hub_endpoint = hub_.endpoint();
  wanted.model.source.hub_cache = cache_;
  const auto locate = [&](const std::string& name) {
    wanted.model.source.model = name;
    return rank::locate_model(wanted);
  };
  const auto part = locate("org/tiny:q4_k");
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_THAT(part->folder, ::testing::EndsWith("/tiny-Q4_K_M.gguf"));
  EXPECT_EQ(part->name, "tiny-reranker");
  EXPECT_THAT(locate("org/tiny:tiny-Q8_0.gguf")->folder, ::testing::EndsWith("/tiny-Q8_0.gguf"));
  EXPECT_THAT(locate("org/tiny:Q5_K").status().ToString(), HasSubstr("no GGUF file is named by `Q5_K`"));
}

class GraphHubTest : public HubTest {
 protected:
  void SetUp() override {
    HubTest::SetUp();
    auto loaded = model::load_model(kModel);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    model_ = *loaded;
    const std::string out = ::testing::TempDir() + "/hub_test_graphs";
    for (const char* name : {"config.json", "tokenizer.json"})
      hub_.add(name, *read_file(str_cat(kModel, "/", name), 1u << 20));
    for (const auto& [precision, name, beside] : {std::tuple(Precision::kFp32, "onnx/model.onnx", true),
                                                  std::tuple(Precision::kInt8, "onnx/model_quantized.onnx", false)}) {
      convert::ConvertOptions convert;
      convert.precision = precision;
      if (beside) convert.inline_bytes = 0;
      ASSERT_TRUE(convert::write_onnx(*model_, out, convert).ok());
      hub_.add(name, *read_file(out + "/model.onnx", 1u << 30));
      if (beside) hub_.add("onnx/model.onnx_data", *read_file(out + "/model.onnx_data", 1u << 30));
    }
  }

  Options served(EngineKind engine, Precision precision = Precision::kAuto, const std::string& file = "") {
    Options o;
    o.model.source.model = "org/tiny";
    o.model.engine.engine = engine, o.model.engine.precision = precision, o.model.engine.onnx_file = file;
    o.model.source.hub_endpoint = hub_.endpoint(), o.model.source.hub_cache = cache_;
    return o;
  }

  std::shared_ptr<const model::Model> model_;
};

TEST_F(GraphHubTest, TheGraphIsTakenWhereThereAreNoWeights) {
  std::string lines;
  set_log_sink([&](LogLevel, std::string_view line, std::span<const LogField>) { lines += str_cat(line, "\n"); });
  Options options = served(EngineKind::kAuto);
  auto located = rank::locate_model(options);
  set_log_sink({});
  ASSERT_TRUE(located.ok()) << located.status();
  EXPECT_THAT(lines, HasSubstr("no weights on the hub, so its graph onnx/model.onnx was taken, for engine onnx"));
  EXPECT_THAT(hub_.downloaded(),
              UnorderedElementsAre("config.json", "tokenizer.json", "onnx/model.onnx", "onnx/model.onnx_data"));
  // It computes what the weights do: files behind links, weights beside the graph.
  auto loaded = model::load_model(located->folder);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  auto backend = engine::open_backend(*loaded, EngineKind::kAuto, engine::backend_options(options));
  const std::string_view refusal = message_of(backend.status());
  if (refusal.find("built without it, for ONNX") != std::string_view::npos ||
      refusal.find("is not there (looked") != std::string_view::npos)
    GTEST_SKIP() << refusal;
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->info().engine, "onnx");
  const auto found = convert::verify_converted(model_, 0, **backend, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_LT(found->largest, testing::tolerance(EngineKind::kOnnx, Precision::kFp32).generated);
}

TEST_F(GraphHubTest, OneFileIsTakenAndTheCacheIsEnough) {
  hub_.add("model.safetensors", "never asked for");
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx, Precision::kInt8)).ok());
  EXPECT_THAT(hub_.downloaded(), UnorderedElementsAre("config.json", "tokenizer.json", "onnx/model_quantized.onnx"));
  // The other graph is another wish, whatever is in the cache.
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx)).ok());
  EXPECT_THAT(hub_.downloaded(), Contains("onnx/model.onnx_data"));
  EXPECT_THAT(hub_.downloaded(), Not(Contains("model.safetensors")));
  const size_t requests = hub_.seen().size();
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx)).ok());
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx, Precision::kAuto, "onnx/model_quantized.onnx")).ok());
  Options offline = served(EngineKind::kAuto);
  offline.model.source.hub_offline = true;
  EXPECT_TRUE(rank::locate_model(offline).ok());
  EXPECT_EQ(hub_.seen().size(), requests);
  // A file of weights that has gone from the cache is fetched again.
  fs::remove(cache_ + "/models--org--tiny/snapshots/c0ffee/onnx/model.onnx_data");
  fs::remove(cache_ + "/models--org--tiny/blobs/onnx-model.onnx_data-etag");
  EXPECT_TRUE(rank::locate_model(served(EngineKind::kOnnx)).ok());
  EXPECT_GT(hub_.seen().size(), requests);
}

TEST_F(GraphHubTest, AGraphThatIsNotThereIsNamedWithThoseThatAre) {
  const auto error = [&](const Options& o) { return std::string(message_of(rank::locate_model(o).status())); };
  EXPECT_THAT(error(served(EngineKind::kOnnx, Precision::kFp16)),
              AllOf(HasSubstr("onnx/model_fp16.onnx"), HasSubstr("onnx/model_quantized.onnx")));
  EXPECT_THAT(error(served(EngineKind::kOnnx, Precision::kAuto, "onnx/model_O9.onnx")),
              HasSubstr("onnx/model_O9.onnx"));
  EXPECT_THAT(error(served(EngineKind::kOnnx, Precision::kAuto, "../../nowhere.onnx")),
              HasSubstr("neither a file here nor a name"));
  EXPECT_THAT(error(served(EngineKind::kCpu)), HasSubstr("neither model.safetensors"));
}

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
