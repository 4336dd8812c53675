// What a hub says of a file, and which of its names are safe to use as names of files here. Used by model/hub.cc alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/hub/client.h"
#include "rerank/status.h"

namespace rerank::model::hub {

// A file's identity as the hub tells it.
struct RemoteFile {
  std::string blob;    // its name in the cache, made of the etag
  std::string sha256;  // of its bytes; empty: the hub does not tell
  std::string commit;
  std::optional<uint64_t> size;
  std::string url;     // where the bytes are
  bool on_hub = true;  // false: redirected to another host, which must not see the token
};

// Asks for the file at `url`, following redirects that stay on the hub. Errors are those of Client::head(); Unavailable
// for an answer without an etag, or without a commit where `revision` is none.
Result<RemoteFile> look_up(Client& client, const std::string& endpoint, const std::string& revision, std::string url);

// One name, without a folder.
bool is_safe_name(std::string_view name);

// A file's name in a repository: "model.onnx", "onnx/model.onnx".
bool is_safe_path(std::string_view path);

// A branch, tag, commit or pull request ("refs/pr/4", "feature/x", "v1.0+cpu"), as git names them: also a relative path
// that stays below where it starts.
bool is_revision(std::string_view text);

}  // namespace rerank::model::hub
