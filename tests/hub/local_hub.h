// A small hub of our own, with Hugging Face's addresses, headers, redirects to another host and ranges, and tests over
// it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/strings.h"
#include "model/hub/client.h"
#include "server/http_server.h"
#include "support/tiny_model.h"

namespace rerank {

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
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
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
    std::filesystem::remove_all(cache_);
  }
  void TearDown() override { std::filesystem::remove_all(cache_); }
  model::HubOptions options(bool offline = false) { return {hub_.endpoint(), "secret", cache_, offline, {}}; }
  void publish_tiny_model() { hub_.add_folder(testing::write_tiny_model({}, "hub_test_model")); }

  LocalHub hub_;
  std::string cache_;
};

}  // namespace rerank
