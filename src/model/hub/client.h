// Requests to a hub over HTTP or HTTPS (libcurl). Used by model/hub.cc alone.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "model/hub.h"
#include "rerank/status.h"

namespace rerank::model::hub {

// Once per process, before anything else here. Unimplemented: this build has no client.
Status start_client();

using Headers = std::map<std::string, std::string>;  // lower-case names; those of the last response

// Where a `Location` leads that came from `url`, as RFC 3986 5.2 resolves it. InvalidArgument for what is no http or
// https address, and for http where `url` is https: who stands between could change what is loaded.
Result<std::string> resolve_location(const std::string& url, const std::string& location);

// Whether both addresses have the same scheme, host and port: where one may see the token, so may the other.
bool same_origin(const std::string& a, const std::string& b);

// `text` as one part of a path: all but letters, digits, '-', '.', '_' and '~' are %XX.
std::string escape(std::string_view text);

// Bytes as they come into a file. More than `most` end the transfer.
struct Download {
  FILE* file = nullptr;
  uint64_t offset = 0;                                          // bytes that are there already
  uint64_t most = 0;                                            // of the whole file
  std::function<void(uint64_t done, uint64_t total)> progress;  // may be null
};

// One request at a time. Errors: NotFound, PermissionDenied, OutOfRange (the server cannot go on where an earlier try
// ended), ResourceExhausted (more bytes than `most`), else Unavailable: connecting, an answer's head, or some bytes of
// its body took longer than options.patience, or the transfer broke off.
class Client {
 public:
  // `options` outlives it.
  explicit Client(const HubOptions& options);
  ~Client();

  // GET, following redirects; a small answer.
  Result<std::string> text(const std::string& url);
  // HEAD without following redirects: the hub's own headers name commit, etag and size; Location says where the bytes
  // are.
  Result<Headers> head(const std::string& url);
  // GET of the bytes from `download.offset` on. `authorised`: the address may see the token.
  Status download(const std::string& url, bool authorised, Download& download);

 private:
  void prepare(const std::string& url, bool authorised);
  Status perform(const std::string& url);

  struct Handle;
  const HubOptions& options_;
  const std::unique_ptr<Handle> handle_;
  Headers headers_;
};

}  // namespace rerank::model::hub
